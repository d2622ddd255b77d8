// Computes what a model in ONNX's form says, so that one can be checked wherever it was written. It follows
// the specification of ONNX's operators (opset 13 to 17, those that onnx/operators.h lists) in f32, with
// sums in the order of our own kernels; no graph is rewritten. float16 tensors are computed in f32 and
// rounded after each node, as ONNX Runtime does on CPUs.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "kernels/cpu_path.h"
#include "onnx/onnx_tensor.h"
#include "onnx/operators.h"

namespace retort {

// An input or output as the model declares it.
struct OnnxPort {
  std::string name;
  OnnxType type = OnnxType::f32;
  bool any_shape = false;
  OnnxShape shape;  // -1: any size
};

class OnnxModel {
 public:
  using Tensors = std::map<std::string, OnnxTensor>;

  // Reads the file, and those beside it that tensors are in. An Error in one line names the file, and the
  // node or tensor, where it is no such model, is cut short, or asks for what is not known here. `threads`:
  // 0 for all.
  explicit OnnxModel(const std::filesystem::path& path, int threads = 0);
  // A model in memory; `where` names it in errors, its outside tensors are below `folder`.
  OnnxModel(onnx::ModelProto model, std::string where, const std::filesystem::path& folder, int threads);

  // Those that have to be given, and those that have a value of their own where they are not.
  const std::vector<OnnxPort>& inputs() const { return inputs_; }
  const std::vector<OnnxPort>& outputs() const { return outputs_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Values of these names, outputs of the graph or of any node that reads inputs; all outputs of the graph
  // where none are named. Only what they need is computed, and a value is freed when nobody reads it any
  // more. From one thread at a time: what nodes make of weights stays.
  Tensors run(const Tensors& inputs, const std::vector<std::string>& outputs = {});

 private:
  struct Node {
    const onnx::NodeProto* proto;
    const OnnxOperator* what;
    KeptByNode kept;
  };
  // What is known while nodes run: values, and how many inputs of nodes still read each.
  struct State {
    Tensors values;
    std::map<std::string, int> uses;
  };

  void read_weights(const std::filesystem::path& folder);
  void read_ports();
  void check_node(const onnx::NodeProto& node) const;
  void read_nodes();
  void fold_constants();
  void check_input(const OnnxPort& port, const OnnxTensor& tensor) const;
  Tensors given(const Tensors& inputs) const;
  std::vector<bool> nodes_for(const std::vector<std::string>& outputs) const;
  std::vector<OnnxInput> inputs_of(const Node& node, State& state);
  OnnxOutputs compute(Node& node, std::vector<OnnxInput> inputs);
  void run_node(Node& node, State& state);
  void release(const Node& node, const std::vector<std::size_t>& inputs);

  std::string where_;
  onnx::ModelProto model_;
  std::vector<OnnxPort> inputs_, outputs_;
  std::map<std::string, std::string> metadata_;
  std::vector<Node> nodes_;  // but those whose outputs are constant
  Tensors constants_;        // weights, and what nodes make of nothing else
  std::map<std::string, int> constant_uses_;
  Tensors defaults_;  // of inputs that need not be given
  ThreadTeam team_;
  OnnxCompute compute_;
};

}  // namespace retort
