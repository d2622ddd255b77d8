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

namespace {

using Attribute = onnx::AttributeProto;

// A model made node by node: input x of floats, output y.
class Draft {
 public:
  Draft() {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(17);
    declare(*model_.mutable_graph()->add_input(), "x", 2);
    declare(*model_.mutable_graph()->add_output(), "y", 2);
  }

  onnx::ModelProto& model() { return model_; }
  onnx::NodeProto& add(const std::string& kind, const std::vector<std::string>& inputs,
                       const std::string& output) {
    onnx::NodeProto& node = *model_.mutable_graph()->add_node();
    node.set_op_type(kind);
    node.set_name("the " + output);
    for (const std::string& name : inputs) node.add_input(name);
    node.add_output(output);
    return node;
  }
  onnx::TensorProto& weight(const std::string& name, const OnnxShape& shape,
                            const std::vector<float>& values) {
    onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t size : shape) tensor.add_dims(size);
    for (const float value : values) tensor.add_float_data(value);
    return tensor;
  }
  static void declare(onnx::ValueInfoProto& info, const std::string& name, int axes) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx::TensorProto::FLOAT);
    for (int axis = 0; axis < axes; ++axis) tensor.mutable_shape()->add_dim();
  }
  OnnxModel loaded(const fs::path& folder = {}) const { return OnnxModel(model_, "some.onnx", folder, 1); }

 private:
  onnx::ModelProto model_;
};

const OnnxModel::Tensors two_by_two = {{"x", OnnxTensor({2, 2}, std::vector<float>{1, 2, 3, 4})}};

std::vector<float> y_of(OnnxModel model) {
  return model.run(two_by_two).at("y").as<float>();
}

// The message of the one-line Error that a call ends in.
template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(const Draft& draft) {
  return error_of([&] { draft.loaded().run(two_by_two); });
}

std::string error_of_file(const std::string& bytes) {
  const TemporaryFolder folder;
  AtomicFile file(folder.path() / "cut.onnx");
  file.write(bytes);
  file.commit();
  const std::string message = error_of([&] { OnnxModel(folder.path() / "cut.onnx", 1); });
  CHECK_THAT(message, Catch::Contains("cut.onnx"));
  return message;
}

}  // namespace

TEST_CASE("Values that several nodes or the same one twice read stay until the last has read them") {
  Draft draft;
  draft.add("Mul", {"x", "x"}, "square");
  draft.add("Neg", {"square"}, "negative");
  draft.add("Add", {"square", "negative"}, "zero");
  draft.add("Sub", {"square", "zero"}, "again");
  draft.add("Add", {"again", "again"}, "y");
  CHECK(y_of(draft.loaded()) == std::vector<float>{2, 8, 18, 32});
}

TEST_CASE("Outputs are those asked for, and may be values within the graph") {
  Draft draft;
  draft.weight("w", {2, 1}, {1, 10});
  draft.add("MatMul", {"x", "w"}, "first");
  draft.add("Transpose", {"w"}, "turned");
  draft.add("MatMul", {"first", "turned"}, "second");
  draft.add("MatMul", {"second", "w"}, "y");
  OnnxModel model = draft.loaded();
  for (int run = 0; run < 2; ++run) {  // weights that were packed in one run are there in others
    const OnnxModel::Tensors some = model.run(two_by_two, {"first", "x"});
    CHECK(some.size() == 2);
    CHECK(some.at("first").as<float>() == std::vector<float>{21, 43});
    CHECK(model.run(two_by_two).at("y").as<float>() == std::vector<float>{2121, 4343});
  }
  CHECK(error_of([&] { model.run(two_by_two, {"third"}); }) == "some.onnx: there is no value third in it");
}

TEST_CASE("An input that is also a tensor of the model need not be given") {
  Draft draft;
  Draft::declare(*draft.model().mutable_graph()->add_input(), "shift", 1);
  draft.weight("shift", {1}, {5});
  draft.add("Add", {"x", "shift"}, "y");
  OnnxModel model = draft.loaded();
  CHECK(y_of(draft.loaded()) == std::vector<float>{6, 7, 8, 9});
  OnnxModel::Tensors inputs = two_by_two;
  inputs["shift"] = OnnxTensor({1}, std::vector<float>{-1});
  CHECK(model.run(inputs).at("y").as<float>() == std::vector<float>{0, 1, 2, 3});
}

TEST_CASE("float16 tensors hold what float16 holds") {
  Draft draft;
  draft.model().mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type()->set_elem_type(
      onnx::TensorProto::FLOAT16);
  onnx::AttributeProto& to = *draft.add("Cast", {"x"}, "half").add_attribute();
  to.set_name("to");
  to.set_type(Attribute::INT);
  to.set_i(onnx::TensorProto::FLOAT16);
  draft.add("Reciprocal", {"half"}, "y");
  const OnnxTensor y = draft.loaded().run(two_by_two).at("y");
  CHECK(y.type == OnnxType::f16);
  CHECK(y.as<float>() == std::vector<float>{1, 0.5f, 0.333251953125f, 0.25f});
}

TEST_CASE("Metadata and ports are the file's") {
  Draft draft;
  draft.add("Neg", {"x"}, "y");
  auto& entry = *draft.model().add_metadata_props();
  entry.set_key("rate");
  entry.set_value("16000");
  const OnnxModel model = draft.loaded();
  CHECK(model.metadata() == std::map<std::string, std::string>{{"rate", "16000"}});
  REQUIRE(model.inputs().size() == 1);
  CHECK(model.inputs()[0].name == "x");
  CHECK(model.inputs()[0].shape == OnnxShape{-1, -1});
  CHECK(model.outputs()[0].name == "y");
}

TEST_CASE("Tensors may lie in a file beside the model") {
  const TemporaryFolder folder;
  const std::vector<float> values{9, 1, 2, 3, 4};
  AtomicFile file(folder.path() / "weights.bin");
  file.write(values.data(), values.size() * sizeof(float));
  file.commit();
  Draft draft;
  draft.add("Mul", {"x", "w"}, "y");
  onnx::TensorProto& tensor = draft.weight("w", {2, 2}, {});
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  const auto say = [&](const char* key, const char* value) {
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  };
  say("location", "weights.bin");
  say("offset", "4");
  CHECK(y_of(draft.loaded(folder.path())) == std::vector<float>{1, 4, 9, 16});
  say("length", "20");
  CHECK_THAT(error_of([&] { draft.loaded(folder.path()); }),
             Catch::Contains("some.onnx: tensor w: ") && Catch::Contains("weights.bin"));
  say("length", "8");
  CHECK_THAT(error_of([&] { draft.loaded(folder.path()); }), Catch::Contains("it has 8 bytes"));
  say("length", "-8");
  CHECK_THAT(error_of([&] { draft.loaded(folder.path()); }), Catch::Contains("should be a number of bytes"));
  tensor.clear_external_data();
  say("location", "../weights.bin");
  CHECK_THAT(error_of([&] { draft.loaded(folder.path()); }), Catch::Contains("a file beside the model"));
}

TEST_CASE("What is no whole model is refused in one line") {
  Draft draft;
  draft.weight("w", {2, 2}, {1, 2, 3, 4});
  draft.add("MatMul", {"x", "w"}, "y");
  const std::string whole = draft.model().SerializeAsString();
  CHECK_THAT(error_of_file(""), Catch::Contains("it is no ONNX model, or it is cut short"));
  CHECK_THAT(error_of_file("RIFF, or some other file"), Catch::Contains("no ONNX model"));
  for (size_t size = 0; size < whole.size(); ++size)
    CHECK_THAT(error_of_file(whole.substr(0, size)), Catch::Contains("no ONNX model"));
  CHECK_THAT(error_of([] { OnnxModel("/nowhere.onnx", 1); }), Catch::Contains("/nowhere.onnx"));
}

TEST_CASE("A model that asks for what is not known is refused before it runs, with the node's name") {
  SECTION("operator") {
    Draft draft;
    draft.add("Cosh", {"x"}, "y");
    CHECK(error_of(draft) == "some.onnx: node the y (Cosh): this operator is not known here");
  }
  SECTION("domain") {
    Draft draft;
    draft.add("Neg", {"x"}, "y").set_domain("com.microsoft");
    CHECK(error_of(draft) == "some.onnx: node the y (Neg): this operator is not known here");
  }
  SECTION("attribute") {
    Draft draft;
    draft.add("Relu", {"x"}, "y").add_attribute()->set_name("slope");
    CHECK(error_of(draft) == "some.onnx: node the y (Relu): attribute slope is not known here");
  }
  SECTION("opset") {
    Draft draft;
    draft.add("Neg", {"x"}, "y");
    draft.model().mutable_opset_import(0)->set_version(18);
    CHECK(error_of(draft) == "some.onnx: its operators are of opset 18; 13 to 17 are known here");
  }
  SECTION("order") {
    Draft draft;
    draft.add("Neg", {"z"}, "y");
    draft.add("Neg", {"x"}, "z");
    CHECK(error_of(draft) == "some.onnx: node the y (Neg): nothing before it makes its input z");
  }
  SECTION("output") {
    Draft draft;
    draft.add("Neg", {"x"}, "z");
    CHECK(error_of(draft) == "some.onnx: no node makes output y");
  }
  SECTION("tensor") {
    Draft draft;
    draft.weight("w", {2, 3}, {1, 2, 3, 4});
    draft.add("MatMul", {"x", "w"}, "y");
    CHECK(error_of(draft) == "some.onnx: tensor w: it has 4 values, which is not what its shape (2, 3) says");
  }
  SECTION("type") {
    Draft draft;
    draft.weight("w", {2, 2}, {1, 2, 3, 4}).set_data_type(onnx::TensorProto::DOUBLE);
    draft.add("MatMul", {"x", "w"}, "y");
    CHECK(error_of(draft) == "some.onnx: tensor w: values of type DOUBLE are not known here");
  }
}

TEST_CASE("What cannot be computed is refused in one line with the node's name") {
  SECTION("shapes") {
    Draft draft;
    draft.weight("w", {3, 2}, {1, 2, 3, 4, 5, 6});
    draft.add("MatMul", {"x", "w"}, "y");
    CHECK(error_of(draft) == "some.onnx: node the y (MatMul): (2, 2) and (3, 2) cannot be multiplied");
  }
  SECTION("broadcasting") {
    Draft draft;
    draft.weight("w", {3}, {1, 2, 3});
    draft.add("Add", {"x", "w"}, "y");
    CHECK(error_of(draft) == "some.onnx: node the y (Add): shapes (2, 2) and (3) do not go together");
  }
  SECTION("memory") {
    Draft draft;
    onnx::TensorProto& shape = *draft.model().mutable_graph()->add_initializer();
    shape.set_name("shape");
    shape.set_data_type(onnx::TensorProto::INT64);
    shape.add_dims(2);
    shape.add_int64_data(int64_t{1} << 40);
    shape.add_int64_data(int64_t{1} << 40);
    draft.add("ConstantOfShape", {"shape"}, "y");
    CHECK_THAT(error_of(draft),
               Catch::StartsWith("some.onnx: node the y (ConstantOfShape): a tensor cannot"));
  }
  SECTION("missing input") {
    Draft draft;
    draft.add("MatMul", {"x", ""}, "y");
    CHECK(error_of(draft) == "some.onnx: node the y (MatMul): input 1 is missing");
  }
  SECTION("types") {
    Draft draft;
    draft.add("Shape", {"x"}, "shape");
    draft.add("Add", {"x", "shape"}, "y");
    CHECK(error_of(draft) == "some.onnx: node the y (Add): it has operands of float and int64");
  }
}

TEST_CASE("Inputs that are not the model's are refused") {
  Draft draft;
  draft.add("Neg", {"x"}, "y");
  OnnxModel model = draft.loaded();
  const OnnxTensor list({2}, std::vector<float>{1, 2});
  CHECK(error_of([&] { model.run({}); }) == "some.onnx: input x is missing");
  CHECK(error_of([&] { model.run({{"z", list}}); }) == "some.onnx: it has no input z");
  CHECK_THAT(error_of([&] {
               model.run({{"x", list}});
             }),
             Catch::StartsWith("some.onnx: input x should be float of shape (-1, -1)"));
}
