#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/hash.h"
#include "base/log.h"
#include "model/tensors.h"

namespace retort {
namespace {

// Gathers what is wrong with a folder's tensors and says it in one line.
class TensorProblems {
 public:
  void missing(const std::string& name) { missing_.push_back(name); }
  void extra(const std::string& name) { extra_.push_back(name); }
  void wrong(const std::string& what) { wrong_.push_back(what); }

  void fail_if_any(const std::string& folder) const {
    std::vector<std::string> parts;
    describe(parts, missing_, "missing");
    describe(parts, extra_, "not of this model");
    describe(parts, wrong_, "of another shape or type");
    if (!parts.empty()) fail("{}: the weights do not fit config.json: {}", folder, fmt::join(parts, "; "));
  }

 private:
  static void describe(std::vector<std::string>& parts, const std::vector<std::string>& names,
                       const char* what) {
    constexpr size_t most_named = 3;
    if (names.empty()) return;
    const size_t named = std::min(names.size(), most_named);
    std::string list =
        fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<long>(named), ", "));
    if (names.size() > named) list += fmt::format(" and {} more", names.size() - named);
    parts.push_back(
        fmt::format("{} {} {} ({})", names.size(), names.size() == 1 ? "tensor" : "tensors", what, list));
  }

  std::vector<std::string> missing_, extra_, wrong_;
};

bool is_float_type(const std::string& dtype) {
  return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({})", fmt::join(shape, ","));
}

void check_tensors(const ModelConfig& config, const TensorSource& source, const std::string& where) {
  TensorProblems problems;
  std::set<std::string> expected;
  for (const TensorSpec& spec : model_tensors(config)) {
    expected.insert(spec.name);
    const auto found = source.find(spec.name);
    if (found == source.end()) {
      problems.missing(spec.name);
    } else if (found->second.shape != spec.shape) {
      problems.wrong(fmt::format("{} is {}, should be {}", spec.name, shape_text(found->second.shape),
                                 shape_text(spec.shape)));
    } else if (!is_float_type(found->second.dtype)) {
      problems.wrong(
          fmt::format("{} is {}, should be F32, F16, BF16 or F64", spec.name, found->second.dtype));
    }
  }
  for (const auto& [name, tensor] : source) {
    if (!expected.contains(name)) problems.extra(name);
  }
  problems.fail_if_any(where);
}

bool shapes_features(const TensorSpec& spec) {
  return spec.role != TensorRole::head && spec.role != TensorRole::mask;
}

bool all_zero(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

bool is_idle_conv_bias(const TensorSpec& spec, const NamedTensor& tensor) {
  return spec.role == TensorRole::conv && spec.name.ends_with(".conv.bias") && all_zero(tensor.values);
}

}  // namespace

std::string ModelWeights::hash() const {
  std::set<std::string> counted;
  for (const TensorSpec& spec : model_tensors(config)) {
    const auto tensor = tensors.find(spec.name);
    if (shapes_features(spec) && tensor != tensors.end() && !is_idle_conv_bias(spec, tensor->second))
      counted.insert(spec.name);
  }
  Hasher hasher;
  for (const auto& [name, tensor] : tensors) {
    if (!counted.contains(name)) continue;
    hasher.add(fmt::format("{}{}\n", name, shape_text(tensor.shape)));
    hasher.add(tensor.values.data(), tensor.values.size() * sizeof(float));
  }
  return hasher.hex();
}

ModelWeights assemble_model(ModelConfig config, const TensorSource& source, const std::string& where) {
  if (config.mask_embedding && !source.contains("masked_spec_embed")) {
    log_info("model", "{}: it has no mask embedding, which only training needs", where);
    config.mask_embedding = false;
  }
  check_model_config(config, where);
  check_tensors(config, source, where);
  ModelWeights model;
  for (const auto& [name, tensor] : source) {
    std::vector<float> values = tensor.read();
    const auto wrong =
        std::find_if_not(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
    if (wrong != values.end())
      fail("{}: tensor {} holds {} at {}; a checkpoint like this is of no use", where, name, *wrong,
           wrong - values.begin());
    model.tensors[name] = {tensor.shape, std::move(values)};
  }
  model.config = std::move(config);
  return model;
}

}  // namespace retort
