#include "model/model_source.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/log.h"
#include "model/tensors.h"

namespace retort {
namespace {

constexpr std::size_t read_ahead = 8;  // tensors, of which every other one is a small bias

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

void check_tensors(const ModelConfig& config, const TensorSource& tensors, const std::string& where) {
  TensorProblems problems;
  std::set<std::string> expected;
  for (const TensorSpec& spec : model_tensors(config)) {
    expected.insert(spec.name);
    const auto found = tensors.find(spec.name);
    if (found == tensors.end()) {
      problems.missing(spec.name);
    } else if (found->second.shape != spec.shape) {
      problems.wrong(fmt::format("{} is {}, should be {}", spec.name, shape_text(found->second.shape),
                                 shape_text(spec.shape)));
    } else if (!is_float_type(found->second.dtype)) {
      problems.wrong(
          fmt::format("{} is {}, should be F32, F16, BF16 or F64", spec.name, found->second.dtype));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!expected.contains(name)) problems.extra(name);
  }
  problems.fail_if_any(where);
}

std::vector<float> finite_values(const std::string& name, const SourceTensor& tensor,
                                 const std::string& where) {
  std::vector<float> values = tensor.read();
  const auto wrong = std::find_if_not(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
  if (wrong != values.end())
    fail("{}: tensor {} holds {} at {}; a checkpoint like this is of no use", where, name, *wrong,
         wrong - values.begin());
  return values;
}

std::vector<TensorSource::const_iterator> iterators_of(const TensorSource& tensors) {
  std::vector<TensorSource::const_iterator> all;
  for (auto tensor = tensors.begin(); tensor != tensors.end(); ++tensor) all.push_back(tensor);
  return all;
}

}  // namespace

ModelSource checked_source(ModelConfig config, TensorSource tensors, const std::string& where) {
  if (config.mask_embedding && !tensors.contains("masked_spec_embed")) {
    log_info("model", "{}: it has no mask embedding, which only training needs", where);
    config.mask_embedding = false;
  }
  check_model_config(config, where);
  check_tensors(config, tensors, where);
  ModelSource source;
  source.config = std::move(config);
  source.tensors = std::move(tensors);
  source.where = where;
  return source;
}

ModelSource source_of(const ModelWeights& model) {
  ModelSource source;
  source.config = model.config;
  source.provenance = model.provenance;
  source.where.assign("the model");
  for (const auto& [name, tensor] : model.tensors)
    source.tensors[name] = {"F32", tensor.shape, [&values = tensor.values] { return values; }};
  return source;
}

ModelStream::ModelStream(const ModelSource& source)
    : source_(source),
      order_(iterators_of(source.tensors)),
      hasher_(source.config),
      ahead_(order_.size(), 1, read_ahead, [this](std::size_t i) {
        return finite_values(order_[i]->first, order_[i]->second, source_.where);
      }) {}

std::pair<std::string, NamedTensor> ModelStream::next() {
  const auto& [name, tensor] = *order_[taken_++];
  std::vector<float> values = ahead_.next();
  hasher_.add(name, tensor.shape, values);
  if (done() && !source_.stated_hash.empty() && hash() != source_.stated_hash)
    fail("{}: its retort.json says that the weights hash to {}, they hash to {}: they were changed",
         source_.where, source_.stated_hash, hash());
  return std::make_pair(name, NamedTensor{tensor.shape, std::move(values)});
}

ModelWeights read_weights(const ModelSource& source) {
  ModelWeights model;
  for (ModelStream stream(source); !stream.done();) model.tensors.insert(stream.next());
  model.config = source.config;
  model.provenance = source.provenance;
  return model;
}

}  // namespace retort
