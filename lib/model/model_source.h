// A model that files hold, with weights that are read one tensor at a time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/threads.h"
#include "model/weights.h"

namespace retort {

// A tensor that a file holds, read when it is asked for.
struct SourceTensor {
  std::string dtype;  // as safetensors names it
  std::vector<int64_t> shape;
  std::function<std::vector<float>()> read;
};

// The tensors of a checkpoint by name.
using TensorSource = std::map<std::string, SourceTensor>;

// Names, shapes and types were held against the config; values were not looked at yet.
struct ModelSource {
  ModelConfig config;
  TensorSource tensors;  // canonical names, exactly those of model_tensors(config)
  Json provenance = Json::object();
  std::string where;        // names the checkpoint in errors
  std::string stated_hash;  // what retort.json says of the weights; empty where there is none
};

// The source of these tensors. An Error naming, in one line, every tensor that is missing, extra, or of
// another shape or type than the config lists. A missing mask embedding, which only training needs, is
// tolerated. `where` names the checkpoint.
ModelSource checked_source(ModelConfig config, TensorSource tensors, const std::string& where);

// A source of weights in memory, which must outlive it.
ModelSource source_of(const ModelWeights& model);

// Goes through the tensors of a source in order of name. A thread reads the next ones while one is used; few
// are in memory at a time.
class ModelStream {
 public:
  // The source must outlive the stream.
  explicit ModelStream(const ModelSource& source);

  bool done() const { return ahead_.done(); }
  // The next tensor and its name. An Error names a tensor with values that are not finite and, with the last
  // one, weights that hash to something else than the source states.
  std::pair<std::string, NamedTensor> next();
  // ModelWeights::hash() of the tensors so far: the model's, once done.
  std::string hash() const { return hasher_.hex(); }

 private:
  const ModelSource& source_;
  std::vector<TensorSource::const_iterator> order_;
  std::size_t taken_ = 0;
  ModelHasher hasher_;
  Prefetcher<std::vector<float>> ahead_;  // last: its thread uses the others
};

// All of it.
ModelWeights read_weights(const ModelSource& source);

}  // namespace retort
