#include "model/tensors.h"

#include <fmt/format.h>

namespace retort {
namespace {

// Collects the list in order of computation.
class TensorList {
 public:
  explicit TensorList(const ModelConfig& config) : config_(config) {}

  std::vector<TensorSpec> build() {
    add_conv_stack();
    add_projection();
    if (config_.mask_embedding) add("masked_spec_embed", {config_.hidden}, TensorRole::mask);
    add_positional_conv();
    if (!config_.pre_norm) add_norm("encoder.layer_norm", config_.hidden, TensorRole::encoder);
    for (int i = 0; i < config_.layers; ++i) add_block(fmt::format("encoder.layers.{}", i));
    if (config_.pre_norm) add_norm("encoder.layer_norm", config_.hidden, TensorRole::encoder);
    add_label_head();
    return std::move(specs_);
  }

 private:
  void add(const std::string& name, std::vector<int64_t> shape, TensorRole role) {
    specs_.push_back({name, std::move(shape), role});
  }
  void add_linear(const std::string& name, int64_t in, int64_t out, TensorRole role) {
    add(name + ".weight", {out, in}, role);
    add(name + ".bias", {out}, role);
  }
  void add_norm(const std::string& name, int64_t width, TensorRole role) {
    add(name + ".weight", {width}, role);
    add(name + ".bias", {width}, role);
  }

  void add_conv_stack() {
    int64_t in = 1;
    for (size_t i = 0; i < config_.conv.size(); ++i) {
      const ConvLayerShape& layer = config_.conv[i];
      const std::string name = fmt::format("feature_extractor.conv_layers.{}", i);
      add(name + ".conv.weight", {layer.channels, in, layer.kernel}, TensorRole::conv);
      if (config_.conv_bias) add(name + ".conv.bias", {layer.channels}, TensorRole::conv);
      const bool normed = config_.conv_norm == ConvNorm::layer || i == 0;
      if (normed) add_norm(name + ".layer_norm", layer.channels, TensorRole::conv);
      in = layer.channels;
    }
  }

  void add_projection() {
    const int64_t in = config_.conv.back().channels;
    if (config_.projection_norm) add_norm("feature_projection.layer_norm", in, TensorRole::projection);
    add_linear("feature_projection.projection", in, config_.hidden, TensorRole::projection);
  }

  // The weight is kept as direction (weight_v) and one length per tap of the kernel (weight_g).
  void add_positional_conv() {
    const std::string name = "encoder.pos_conv_embed.conv";
    add(name + ".bias", {config_.hidden}, TensorRole::positional);
    add(name + ".weight_g", {1, 1, config_.pos_kernel}, TensorRole::positional);
    add(name + ".weight_v", {config_.hidden, config_.hidden / config_.pos_groups, config_.pos_kernel},
        TensorRole::positional);
  }

  void add_block(const std::string& name) {
    for (const char* part : {"q", "k", "v", "out"}) {
      add_linear(fmt::format("{}.attention.{}_proj", name, part), config_.hidden, config_.hidden,
                 TensorRole::encoder);
    }
    add_norm(name + ".layer_norm", config_.hidden, TensorRole::encoder);
    add_linear(name + ".feed_forward.intermediate_dense", config_.hidden, config_.ffn, TensorRole::encoder);
    add_linear(name + ".feed_forward.output_dense", config_.ffn, config_.hidden, TensorRole::encoder);
    add_norm(name + ".final_layer_norm", config_.hidden, TensorRole::encoder);
  }

  void add_label_head() {
    if (config_.classes == 0) return;
    add_linear("final_proj", config_.hidden, config_.final_dim, TensorRole::head);
    add("label_embeddings", {config_.classes, config_.final_dim}, TensorRole::head);
  }

  const ModelConfig& config_;
  std::vector<TensorSpec> specs_;
};

const char* role_name(TensorRole role) {
  switch (role) {
    case TensorRole::conv:
      return "conv";
    case TensorRole::projection:
      return "projection";
    case TensorRole::mask:
      return "mask";
    case TensorRole::positional:
      return "positional";
    case TensorRole::encoder:
      return "encoder";
    case TensorRole::head:
      return "head";
  }
  return "";
}

}  // namespace

int64_t TensorSpec::count() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

std::vector<TensorSpec> model_tensors(const ModelConfig& config) {
  return TensorList(config).build();
}

ParameterCount count_parameters(const ModelConfig& config) {
  ParameterCount count;
  for (const TensorSpec& spec : model_tensors(config)) {
    count.by_role[role_name(spec.role)] += spec.count();
    count.total += spec.count();
    if (spec.role != TensorRole::head) count.backbone += spec.count();
  }
  return count;
}

MacCount count_macs(const ModelConfig& config, int64_t samples) {
  MacCount macs;
  const auto add = [&macs](const std::string& component, int64_t count) {
    macs.by_component[component] += count;
    macs.total += count;
  };
  int64_t length = samples;
  int64_t in = 1;
  for (const ConvLayerShape& layer : config.conv) {
    length = length < layer.kernel ? 0 : (length - layer.kernel) / layer.stride + 1;
    add("conv", length * layer.kernel * in * layer.channels);
    in = layer.channels;
  }
  const int64_t frames = length;
  const int64_t width = config.hidden;
  const int64_t layers = config.layers;
  add("projection", frames * in * width);
  // An even kernel computes one frame more than it keeps.
  const int64_t positions = frames == 0 ? 0 : frames + (config.pos_kernel % 2 == 0 ? 1 : 0);
  add("positional", positions * width * (width / config.pos_groups) * config.pos_kernel);
  add("attention-linear", layers * frames * 4 * width * width);
  add("attention-product", layers * 2 * frames * frames * width);
  add("feed-forward", layers * frames * 2 * width * config.ffn);
  return macs;
}

}  // namespace retort
