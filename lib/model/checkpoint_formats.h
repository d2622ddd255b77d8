// What the readers of single checkpoint formats share; the public door is model/checkpoint.h.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model_source.h"
#include "store/torch_file.h"

namespace retort {

// A file that is being imported.
struct Checkpoint {
  std::string where;
  std::shared_ptr<const TorchFile> file;
  Json config;  // of --config; null where none was given

  const PickleValue& root() const { return file->root(); }
  // A member of the root that has to be there.
  const PickleValue& member(const char* key) const;
};

// The tensors of a checkpoint on their way to canonical names, and what became of the others.
class Renaming {
 public:
  Renaming(const Checkpoint& checkpoint, const PickleValue& state_dict);

  const TensorSource& tensors() const { return tensors_; }
  bool has(const std::string& name) const { return tensors_.contains(name); }
  bool has_any(std::string_view prefix) const;

  // Keeps the tensors under this prefix, without it; the others are dropped.
  void keep_below(std::string_view prefix);
  void drop(const std::string& name);
  void drop_all(std::string_view prefix);
  // Gives every tensor the name that `rename` makes of its own.
  void rename_all(const std::function<std::string(const std::string&)>& rename);
  // Replaces a tensor's shape and values.
  void change(const std::string& name, std::vector<int64_t> shape,
              std::function<std::vector<float>(std::vector<float>)> values);
  void add(const std::string& name, SourceTensor tensor);

  // The model, with the format and what was dropped in its provenance.
  ModelSource assemble(ModelConfig config, const std::string& format, Json details = Json::object()) const;

 private:
  const Checkpoint& checkpoint_;
  TensorSource tensors_;
  std::vector<std::string> dropped_;
};

// "[(512,10,5)] + [(512,3,2)] * 4": the Python expression by which fairseq and its kin write a conv stack.
std::vector<ConvLayerShape> parse_conv_layers(const std::string& text, const std::string& where);

// fairseq's name of an encoder's tensor as ours; names that it does not have are left alone.
std::string canonical_from_fairseq(const std::string& fairseq);

// The other way round.
std::string fairseq_from_canonical(const std::string& canonical, const ModelConfig& config);

// The fields of fairseq's configs of HuBERT, wav2vec 2.0 and WavLM that shape a network; distillers use the
// same names.
ModelConfig config_from_fairseq(const Json& model, const std::string& where);

ModelSource open_fairseq(const Checkpoint& checkpoint);          // {"model", "cfg" or "args"}
ModelSource open_s3prl_upstream(const Checkpoint& checkpoint);   // {"model_weight", "model_cfg", "task_cfg"}
ModelSource open_s3prl_distiller(const Checkpoint& checkpoint);  // {"Distiller", "Config"}
ModelSource open_fithubert(const Checkpoint& checkpoint);        // {"state_dict"} and a yaml
ModelSource open_torchaudio(const Checkpoint& checkpoint);       // tensors alone and a JSON

}  // namespace retort
