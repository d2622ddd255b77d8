// The evaluator against ONNX Runtime, operator by operator (tests/fixtures/onnx), and with models that are
// not what they should be.
#include "onnx/evaluator.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "base/files.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

struct Case {
  onnx::ModelProto model;
  OnnxModel::Tensors inputs, outputs;
};

// Messages behind their sizes, as the fixture's script writes them.
class Messages {
 public:
  explicit Messages(const fs::path& path) : bytes_(read_file(path)) {}

  bool done() const { return at_ == bytes_.size(); }
  template <class Message>
  Message next() {
    uint32_t size = 0;
    REQUIRE(at_ + sizeof size <= bytes_.size());
    std::memcpy(&size, bytes_.data() + at_, sizeof size);
    at_ += sizeof size;
    Message message;
    REQUIRE(message.ParseFromArray(bytes_.data() + at_, static_cast<int>(size)));
    at_ += size;
    return message;
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

std::vector<Case> all_cases() {
  Messages messages(fs::path(RETORT_FIXTURES) / "onnx/operators.bin");
  std::vector<Case> cases;
  while (!messages.done()) {
    Case& one = cases.emplace_back();
    one.model = messages.next<onnx::ModelProto>();
    for (const auto* ports : {&one.model.graph().input(), &one.model.graph().output()}) {
      OnnxModel::Tensors& tensors = ports == &one.model.graph().input() ? one.inputs : one.outputs;
      for (const auto& port : *ports)
        tensors[port.name()] = read_onnx_tensor(messages.next<onnx::TensorProto>(), {});
    }
  }
  return cases;
}

// Largest distance of two lists of numbers, each over the number's size or, where that is less, over the RMS
// of all: what cancels out is as far off as what it is made of.
double distance(const std::vector<float>& ours, const std::vector<float>& theirs) {
  double squares = 0;
  for (const float value : theirs) squares += static_cast<double>(value) * value;
  const double rms = std::sqrt(squares / static_cast<double>(theirs.size()));
  double largest = 0;
  for (size_t i = 0; i < theirs.size(); ++i) {
    if (ours[i] == theirs[i]) continue;
    const double difference = std::abs(static_cast<double>(ours[i]) - theirs[i]);
    const double size = std::max(rms, std::abs(static_cast<double>(theirs[i])));
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference / size);
  }
  return largest;
}

void check_equal(const OnnxTensor& ours, const OnnxTensor& theirs) {
  CHECK(ours.type == theirs.type);
  CHECK(ours.shape == theirs.shape);
  REQUIRE(ours.values.index() == theirs.values.index());
  if (std::holds_alternative<std::vector<float>>(ours.values)) {
    REQUIRE(ours.as<float>().size() == theirs.as<float>().size());
    CHECK(distance(ours.as<float>(), theirs.as<float>()) <= (ours.type == OnnxType::f16 ? 1e-3 : 1e-6));
  } else {
    CHECK(ours.values == theirs.values);
  }
}

}  // namespace

TEST_CASE("Operators compute what ONNX Runtime computes") {
  for (const Case& one : all_cases()) {
    INFO(one.model.graph().name());
    for (const int threads : {1, 3}) {
      OnnxModel model(one.model, "model", {}, threads);
      for (int run = 0; run < 2; ++run)  // the second with what the first prepared
        for (const auto& [name, tensor] : model.run(one.inputs)) check_equal(tensor, one.outputs.at(name));
    }
  }
}
