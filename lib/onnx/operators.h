// What an operator of ONNX sees of the node that it computes, and the table of them all.
//
// To add one: write `OnnxOutputs name(OperatorCall&)` in the operators_*.cpp of its theme, and give it a line
// in the table at the end of that file, with the attributes that it obeys. A node with another attribute is
// refused before anything runs.
#pragma once

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_team.h"
#include "kernels/cpu_path.h"
#include "onnx/onnx_tensor.h"

namespace retort {

// What a node made, in the order of its outputs.
struct OnnxOutputs {
  std::vector<OnnxTensor> tensors;

  OnnxOutputs() = default;
  OnnxOutputs(OnnxTensor only) { tensors.push_back(std::move(only)); }  // NOLINT: a tensor is its own list
};

// With what operators compute.
struct OnnxCompute {
  CpuPath path;
  ThreadTeam& team;

  // Calls body(begin, end) for runs that cover [0, count), of `least` or more apart from the last.
  template <class Body>
  void for_each_run(int64_t count, int64_t least, const Body& body) const {
    const int64_t runs_per_thread = 4;  // so that a slow thread does not hold up the others for long
    const int64_t share = (count - 1) / (runs_per_thread * team.threads()) + 1;
    const int64_t length = std::max(least, share);
    team.run(static_cast<size_t>((count + length - 1) / length), [&](std::size_t run) {
      const int64_t begin = static_cast<int64_t>(run) * length;
      body(begin, std::min(count, begin + length));
    });
  }
};

// An input of a node: where the tensor is, and what may be done with it.
struct OnnxInput {
  OnnxTensor* tensor = nullptr;  // null: left out
  bool last_use = false;         // nobody else reads it
  bool constant = false;         // the same in every run
};

// What a node prepared of inputs that are the same in every run.
struct KeptByNode {
  std::shared_ptr<const void> what;  // null: nothing
  std::vector<std::size_t> of;       // these inputs
};

class OperatorCall {
 public:
  OperatorCall(const onnx::NodeProto& node, std::vector<OnnxInput> inputs, const OnnxCompute& compute,
               KeptByNode& kept)
      : node_(node), inputs_(std::move(inputs)), compute_(compute), kept_(kept) {}

  const OnnxCompute& compute() const { return compute_; }
  CpuPath path() const { return compute_.path; }

  std::size_t inputs() const { return inputs_.size(); }
  std::size_t outputs() const { return static_cast<size_t>(node_.output_size()); }
  bool has(std::size_t index) const { return index < inputs_.size() && inputs_[index].tensor; }
  // An Error where it was left out.
  const OnnxTensor& input(std::size_t index) const;
  // The same to write into: the tensor itself where nobody needs it any more, else a copy.
  OnnxTensor take(std::size_t index);
  // Whether take() copies nothing.
  bool may_take(std::size_t index) const { return has(index) && inputs_[index].last_use; }
  // Its values as int64, from int32 or int64; empty where it was left out.
  std::vector<int64_t> integers(std::size_t index) const;

  // Attributes, with what holds where they were left out.
  int64_t integer(std::string_view name, int64_t otherwise) const;
  float real(std::string_view name, float otherwise) const;
  std::string text(std::string_view name, const std::string& otherwise) const;
  std::vector<int64_t> integers(std::string_view name) const;
  std::vector<float> reals(std::string_view name) const;
  // Null where it was left out; an Error where it is of another type.
  const onnx::AttributeProto* attribute(std::string_view name,
                                        onnx::AttributeProto::AttributeType type) const;

  // What make() prepares of some inputs, for example packed weights: once where they are constants, which are
  // not there any more in later calls, so that T has to know their shapes. Once per node.
  template <class T, class Make>
  const T& prepared(const std::vector<std::size_t>& of, const Make& make) {
    if (kept_.what) return *static_cast<const T*>(kept_.what.get());
    std::shared_ptr<const T> made = std::make_shared<T>(make());
    const T& there = *made;
    if (std::all_of(of.begin(), of.end(), [&](std::size_t i) { return inputs_[i].constant; }))
      kept_ = {std::move(made), of};
    else
      passing_ = std::move(made);
    return there;
  }

 private:
  const onnx::NodeProto& node_;
  std::vector<OnnxInput> inputs_;
  const OnnxCompute& compute_;
  KeptByNode& kept_;
  std::shared_ptr<const void> passing_;  // what was prepared of inputs that are not all constant
};

// A tensor's only value.
template <class T>
T only_value(const OnnxTensor& tensor) {
  if (tensor.size() != 1)
    fail("a single value belongs where there is a tensor of shape {}", to_string(tensor.shape));
  return tensor.as<T>().front();
}

struct OnnxOperator {
  OnnxOutputs (*compute)(OperatorCall& call);
  std::set<std::string> attributes = {};  // those that it obeys
};

using OperatorTable = std::map<std::string, OnnxOperator>;

// By theme, each from a file of its own.
OperatorTable elementwise_operators();
OperatorTable shape_operators();
OperatorTable reduction_operators();
OperatorTable matrix_operators();
OperatorTable convolution_operators();
OperatorTable recurrent_operators();
OperatorTable quantisation_operators();
// All of these.
const OperatorTable& onnx_operators();

// The values of a tensor of eight bits, input `index` of a node, less their zero points, those of input
// `zero_index`: one, or one for each place of an axis whose places are `inner` values wide.
std::vector<float> without_zero_point(const OperatorCall& call, std::size_t index, std::size_t zero_index,
                                      int64_t inner);

// Position of an axis counted from the front; an Error where a tensor of so many axes has none such.
int64_t axis_of(int64_t axis, int64_t axes);
// Product of the sizes in [first, last).
int64_t sizes_between(const OnnxShape& shape, int64_t first, int64_t last);

}  // namespace retort
