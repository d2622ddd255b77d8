#include "onnx/evaluator.h"

#include <limits>
#include <new>
#include <set>
#include <stdexcept>

#include "base/files.h"
#include "base/threads.h"
#include "store/half.h"

namespace retort {
namespace {

constexpr int64_t oldest_opset = 13;
constexpr int64_t newest_opset = 17;

onnx::ModelProto parse_model(const std::filesystem::path& path) {
  const MappedFile file(path);
  if (file.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    fail("{}: an ONNX file is at most 2 GB large; keep its tensors in a file beside it", path.string());
  onnx::ModelProto model;
  if (!model.ParseFromArray(file.data(), static_cast<int>(file.size())))
    fail("{}: it is no ONNX model, or it is cut short", path.string());
  return model;
}

bool is_onnx(const std::string& domain) {
  return domain.empty() || domain == "ai.onnx";
}

// A whole model of a version that is known here.
void check_model(const onnx::ModelProto& model, const std::string& where) {
  if (!model.has_graph() || model.graph().node_size() == 0 || model.opset_import_size() == 0)
    fail("{}: it is no ONNX model, or it is cut short", where);
  for (const auto& opset : model.opset_import())
    if (is_onnx(opset.domain()) && (opset.version() < oldest_opset || opset.version() > newest_opset))
      fail("{}: its operators are of opset {}; {} to {} are known here", where, opset.version(), oldest_opset,
           newest_opset);
}

OnnxPort port_of(const onnx::ValueInfoProto& info) {
  OnnxPort port;
  port.name = info.name();
  if (!info.type().has_tensor_type()) fail("{} is no tensor", one_line(info.name()));
  const auto& tensor = info.type().tensor_type();
  port.type = parse_onnx_type(tensor.elem_type());
  port.any_shape = !tensor.has_shape();
  for (const auto& size : tensor.shape().dim())
    port.shape.push_back(size.has_dim_value() ? size.dim_value() : -1);
  return port;
}

std::string described(const onnx::NodeProto& node) {
  const std::string name = !node.name().empty() ? node.name() : node.output_size() > 0 ? node.output(0) : "";
  return fmt::format("node {} ({})", one_line(name), one_line(node.op_type()));
}

// float16 tensors hold what float16 can hold.
void round_halves(const OnnxCompute& compute, OnnxTensor& tensor) {
  if (tensor.type != OnnxType::f16) return;
  std::vector<float>& values = tensor.as<float>();
  compute.for_each_run(static_cast<int64_t>(values.size()), 16384, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      values[i] = f32_from_f16(f16_from_f32(values[i]));
  });
}

}  // namespace

OnnxModel::OnnxModel(const std::filesystem::path& path, int threads)
    : OnnxModel(parse_model(path), path.string(), path.parent_path(), threads) {}

OnnxModel::OnnxModel(onnx::ModelProto model, std::string where, const std::filesystem::path& folder,
                     int threads)
    : where_(std::move(where)),
      model_(std::move(model)),
      team_(threads > 0 ? threads : available_threads()),
      compute_{cpu_path(), team_} {
  check_model(model_, where_);
  try {
    for (const auto& entry : model_.metadata_props()) metadata_[entry.key()] = entry.value();
    read_ports();
    read_weights(folder);
    read_nodes();
  } catch (const Error& error) {
    fail("{}: {}", where_, error.what());
  }
  fold_constants();
}

void OnnxModel::read_ports() {
  for (const auto& info : model_.graph().input()) inputs_.push_back(port_of(info));
  for (const auto& info : model_.graph().output()) outputs_.push_back(port_of(info));
}

// Tensors that are also inputs are what these are where they are not given.
void OnnxModel::read_weights(const std::filesystem::path& folder) {
  if (model_.graph().sparse_initializer_size() > 0) fail("sparse tensors are not known here");
  for (auto& proto : *model_.mutable_graph()->mutable_initializer()) {
    const std::string name = proto.name();
    const bool is_input =
        std::any_of(inputs_.begin(), inputs_.end(), [&](const OnnxPort& port) { return port.name == name; });
    Tensors& tensors = is_input ? defaults_ : constants_;
    if (!tensors.emplace(name, read_onnx_tensor(proto, folder)).second)
      fail("tensor {} is there twice", one_line(name));
    proto.Clear();
  }
}

void OnnxModel::check_node(const onnx::NodeProto& node) const {
  const auto found = onnx_operators().find(node.op_type());
  if (!is_onnx(node.domain()) || found == onnx_operators().end()) fail("this operator is not known here");
  if (node.output_size() == 0) fail("it makes nothing");
  for (const auto& attribute : node.attribute())
    if (!found->second.attributes.contains(attribute.name()))
      fail("attribute {} is not known here", one_line(attribute.name()));
}

void OnnxModel::read_nodes() {
  std::set<std::string> made;
  for (const OnnxPort& port : inputs_) made.insert(port.name);
  for (const auto& [name, tensor] : constants_) made.insert(name);
  for (const onnx::NodeProto& node : model_.graph().node()) {
    try {
      check_node(node);
      for (const std::string& name : node.input())
        if (!name.empty() && !made.contains(name))
          fail("nothing before it makes its input {}", one_line(name));
      for (const std::string& name : node.output())
        if (!name.empty() && !made.insert(name).second)
          fail("its output {} is there already", one_line(name));
    } catch (const Error& error) {
      fail("{}: {}", described(node), error.what());
    }
    nodes_.push_back({&node, &onnx_operators().at(node.op_type()), {}});
  }
  for (const OnnxPort& port : outputs_)
    if (!made.contains(port.name)) fail("no node makes output {}", one_line(port.name));
}

// Nodes that read nothing but constants run once, here; constants that nobody else reads are forgotten.
void OnnxModel::fold_constants() {
  std::vector<Node> rest;
  for (Node& node : nodes_) {
    const auto& names = node.proto->input();
    const bool constant = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
      return name.empty() || constants_.contains(name);
    });
    if (!constant) {
      rest.push_back(std::move(node));
      continue;
    }
    std::vector<OnnxInput> inputs;
    for (const std::string& name : names)
      inputs.push_back({name.empty() ? nullptr : &constants_.at(name), false, true});
    OnnxOutputs outputs = compute(node, std::move(inputs));
    for (size_t i = 0; i < outputs.tensors.size() && static_cast<int>(i) < node.proto->output_size(); ++i)
      constants_[node.proto->output(static_cast<int>(i))] = std::move(outputs.tensors[i]);
  }
  nodes_ = std::move(rest);
  for (const Node& node : nodes_)
    for (const std::string& name : node.proto->input())
      if (constants_.contains(name)) ++constant_uses_[name];
  for (const OnnxPort& port : outputs_)
    if (constants_.contains(port.name)) ++constant_uses_[port.name];
  std::erase_if(constants_, [&](const auto& entry) { return !constant_uses_.contains(entry.first); });
}

void OnnxModel::check_input(const OnnxPort& port, const OnnxTensor& tensor) const {
  bool fits = tensor.type == port.type && (port.any_shape || tensor.shape.size() == port.shape.size());
  for (size_t axis = 0; fits && !port.any_shape && axis < port.shape.size(); ++axis)
    fits = port.shape[axis] == -1 || port.shape[axis] == tensor.shape[axis];
  if (!fits)
    fail("{}: input {} should be {} of shape {} (-1: any size), it is {} of shape {}", where_,
         one_line(port.name), to_string(port.type), to_string(port.shape), to_string(tensor.type),
         to_string(tensor.shape));
}

OnnxModel::Tensors OnnxModel::given(const Tensors& inputs) const {
  Tensors values = defaults_;
  for (const auto& entry : inputs) {
    const std::string& name = entry.first;  // clang-14 cannot capture structured bindings
    const OnnxTensor& tensor = entry.second;
    const auto port =
        std::find_if(inputs_.begin(), inputs_.end(), [&](const OnnxPort& one) { return one.name == name; });
    if (port == inputs_.end()) fail("{}: it has no input {}", where_, one_line(name));
    check_input(*port, tensor);
    values.insert_or_assign(name, tensor);
  }
  for (const OnnxPort& port : inputs_)
    if (!values.contains(port.name)) fail("{}: input {} is missing", where_, one_line(port.name));
  return values;
}

std::vector<bool> OnnxModel::nodes_for(const std::vector<std::string>& outputs) const {
  std::set<std::string> wanted(outputs.begin(), outputs.end());
  std::vector<bool> needed(nodes_.size(), false);
  for (size_t i = nodes_.size(); i-- > 0;) {
    const onnx::NodeProto& node = *nodes_[i].proto;
    needed[i] = std::any_of(node.output().begin(), node.output().end(),
                            [&](const std::string& name) { return wanted.contains(name); });
    if (needed[i]) wanted.insert(node.input().begin(), node.input().end());
  }
  return needed;
}

std::vector<OnnxInput> OnnxModel::inputs_of(const Node& node, State& state) {
  const auto& names = node.proto->input();
  std::vector<OnnxInput> inputs;
  for (const std::string& name : names) {
    const auto constant = constants_.find(name);
    const auto value = state.values.find(name);
    if (constant != constants_.end())
      inputs.push_back({&constant->second, false, true});
    else if (value == state.values.end())
      inputs.push_back({nullptr, false, true});  // left out, or prepared and forgotten
    else
      inputs.push_back({&value->second, state.uses[name] == 1, false});
  }
  return inputs;
}

OnnxOutputs OnnxModel::compute(Node& node, std::vector<OnnxInput> inputs) {
  try {
    OperatorCall call(*node.proto, std::move(inputs), compute_, node.kept);
    OnnxOutputs outputs = node.what->compute(call);
    if (outputs.tensors.size() < call.outputs())
      fail("only {} of its outputs are known here", outputs.tensors.size());
    for (OnnxTensor& tensor : outputs.tensors) round_halves(compute_, tensor);
    return outputs;
  } catch (const Error& error) {
    fail("{}: {}: {}", where_, described(*node.proto), error.what());
  } catch (const std::bad_alloc&) {
    fail("{}: {}: there is not the memory for what it makes", where_, described(*node.proto));
  } catch (const std::length_error&) {
    fail("{}: {}: there is not the memory for what it makes", where_, described(*node.proto));
  }
}

// A constant that no node will read again goes.
void OnnxModel::release(const Node& node, const std::vector<std::size_t>& inputs) {
  for (const std::size_t index : inputs) {
    const std::string& name = node.proto->input(static_cast<int>(index));
    const auto uses = constant_uses_.find(name);
    if (uses == constant_uses_.end() || --uses->second > 0) continue;
    constants_.erase(name);
    constant_uses_.erase(uses);
  }
}

void OnnxModel::run_node(Node& node, State& state) {
  const bool kept_before = node.kept.what != nullptr;
  OnnxOutputs outputs = compute(node, inputs_of(node, state));
  if (!kept_before && node.kept.what) release(node, node.kept.of);
  for (const std::string& name : node.proto->input()) {
    const auto value = state.values.find(name);
    if (value != state.values.end() && --state.uses[name] == 0) state.values.erase(value);
  }
  for (int i = 0; i < node.proto->output_size(); ++i) {
    const std::string& name = node.proto->output(i);
    if (state.uses.contains(name)) state.values[name] = std::move(outputs.tensors[static_cast<size_t>(i)]);
  }
}

OnnxModel::Tensors OnnxModel::run(const Tensors& inputs, const std::vector<std::string>& outputs) {
  std::vector<std::string> names = outputs;
  if (names.empty())
    for (const OnnxPort& port : outputs_) names.push_back(port.name);
  State state;
  state.values = given(inputs);
  const std::vector<bool> needed = nodes_for(names);
  for (const std::string& name : names) ++state.uses[name];
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (needed[i])
      for (const std::string& name : nodes_[i].proto->input()) ++state.uses[name];
  for (size_t i = 0; i < nodes_.size(); ++i)
    if (needed[i]) run_node(nodes_[i], state);
  Tensors made;
  for (const std::string& name : names) {
    const auto value = state.values.find(name);
    const auto constant = constants_.find(name);
    if (value == state.values.end() && constant == constants_.end())
      fail("{}: there is no value {} in it", where_, one_line(name));
    if (made.contains(name)) continue;
    made[name] = value != state.values.end() ? std::move(value->second) : constant->second;
  }
  return made;
}

}  // namespace retort
