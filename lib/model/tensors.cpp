#include "model/tensors.h"

#include <fmt/ranges.h>

namespace retort {
namespace {

// Collects the list in order of computation.
class TensorList {
 public:
  explicit TensorList(const ModelConfig& config) : config_(config) {}

  std::vector<TensorSpec> build() {
    add_conv_stack();
    add_projection();
    if (config_.mask_embedding) add("masked_spec_embed", {config_.block_input()}, TensorRole::mask);
    config_.blocks == BlockKind::lstm ? add_lstm() : add_transformer();
    add_class_head();
    add_prediction_heads();
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
    if (config_.projection)
      add_linear("feature_projection.projection", in, config_.hidden, TensorRole::projection);
  }

  void add_lstm() {
    const int64_t gates = 4 * int64_t{config_.lstm_hidden};
    int64_t in = config_.block_input();
    for (int i = 0; i < config_.layers; ++i) {
      for (const char* direction : {"", "_reverse"}) {
        if (*direction != 0 && !config_.bidirectional) break;
        const auto name = [&](const char* part) {
          return fmt::format("encoder.lstm.{}.{}{}", i, part, direction);
        };
        add(name("weight_ih"), {gates, in}, TensorRole::encoder);
        add(name("weight_hh"), {gates, config_.lstm_hidden}, TensorRole::encoder);
        add(name("bias_ih"), {gates}, TensorRole::encoder);
        add(name("bias_hh"), {gates}, TensorRole::encoder);
      }
      in = config_.hidden;
    }
  }

  void add_transformer() {
    add_positions();
    if (!config_.pre_norm) add_norm("encoder.layer_norm", config_.hidden, TensorRole::encoder);
    if (config_.time_reduction > 1) add_time_reduction();
    for (int i = 0; i < config_.layers; ++i) add_block(i);
    if (config_.pre_norm) add_norm("encoder.layer_norm", config_.hidden, TensorRole::encoder);
  }

  void add_positions() {
    const std::string name = "encoder.pos_conv_embed";
    const std::vector<int64_t> kernel = {config_.hidden, config_.hidden / config_.pos_groups,
                                         config_.pos_kernel};
    switch (config_.positional) {
      case PositionalForm::weight_norm:  // kept as direction (weight_v) and one length per tap (weight_g)
        add(name + ".conv.bias", {config_.hidden}, TensorRole::positional);
        add(name + ".conv.weight_g", {1, 1, config_.pos_kernel}, TensorRole::positional);
        add(name + ".conv.weight_v", kernel, TensorRole::positional);
        return;
      case PositionalForm::batch_norm:
        add_norm(name + ".batch_norm", config_.hidden, TensorRole::positional);
        for (const char* statistic : {".batch_norm.running_mean", ".batch_norm.running_var"})
          specs_.push_back({name + statistic, {config_.hidden}, TensorRole::positional, false});
        add(name + ".conv.bias", {config_.hidden}, TensorRole::positional);
        add(name + ".conv.weight", kernel, TensorRole::positional);
        return;
      case PositionalForm::stacked:
        for (int i = 0; i < config_.pos_depth; ++i) {
          const std::string conv = fmt::format("{}.layers.{}.conv", name, i);
          add(conv + ".bias", {config_.hidden}, TensorRole::positional);
          add(conv + ".weight", kernel, TensorRole::positional);
        }
        return;
    }
  }

  void add_time_reduction() {
    add("encoder.time_reduction.weight", {config_.hidden, config_.hidden, config_.time_reduction},
        TensorRole::encoder);
    add("encoder.time_reduction.bias", {config_.hidden}, TensorRole::encoder);
  }

  // WavLM's blocks have a gate each, and one table of distances, which is the first one's.
  void add_relative_positions(const std::string& attention, bool first) {
    if (config_.relative_buckets == 0) return;
    add(attention + ".gru_rel_pos_const", {1, config_.heads, 1, 1}, TensorRole::encoder);
    add_linear(attention + ".gru_rel_pos_linear", config_.hidden / config_.heads, 8, TensorRole::encoder);
    if (first)
      add(attention + ".rel_attn_embed.weight", {config_.relative_buckets, config_.heads},
          TensorRole::encoder);
  }

  void add_block(int index) {
    const std::string name = fmt::format("encoder.layers.{}", index);
    for (const char* part : {"q", "k", "v", "out"}) {
      const bool of_map = *part == 'q' || *part == 'k';
      if (of_map && !config_.has_attention_map(index)) continue;
      add_linear(fmt::format("{}.attention.{}_proj", name, part), config_.hidden, config_.hidden,
                 TensorRole::encoder);
    }
    add_relative_positions(name + ".attention", index == 0);
    add_norm(name + ".layer_norm", config_.hidden, TensorRole::encoder);
    add_linear(name + ".feed_forward.intermediate_dense", config_.hidden, config_.ffn, TensorRole::encoder);
    add_linear(name + ".feed_forward.output_dense", config_.ffn, config_.hidden, TensorRole::encoder);
    add_norm(name + ".final_layer_norm", config_.hidden, TensorRole::encoder);
  }

  void add_class_head() {
    if (config_.classes == 0) return;
    if (config_.class_head == ClassHead::linear) {
      add_linear("class_head", config_.hidden, config_.classes, TensorRole::head);
      return;
    }
    add_linear("final_proj", config_.hidden, config_.final_dim, TensorRole::head);
    add("label_embeddings", {config_.classes, config_.final_dim}, TensorRole::head);
  }

  void add_prediction_heads() {
    const PredictionHeads& heads = config_.prediction;
    const auto count = static_cast<int64_t>(heads.layers.size());
    if (heads.kind == PredictionHeads::Kind::split) {
      add_linear("heads.inner", config_.hidden, heads.inner * count, TensorRole::head);
      add("heads.split.weight", {count, heads.inner, heads.dim}, TensorRole::head);  // x times weight
      add("heads.split.bias", {count, heads.dim}, TensorRole::head);
    } else if (heads.kind == PredictionHeads::Kind::upsampled) {
      for (const int layer : heads.layers) {
        const std::string name = fmt::format("heads.{}", layer);
        if (config_.time_reduction > 1) {
          add(name + ".upsampler.weight", {config_.hidden, config_.hidden, config_.time_reduction},
              TensorRole::head);
          add(name + ".upsampler.bias", {config_.hidden}, TensorRole::head);
        }
        if (config_.hidden != heads.dim || config_.time_reduction == 1)
          add_linear(name + ".projection", config_.hidden, heads.dim, TensorRole::head);
      }
    }
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

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({})", fmt::join(shape, ","));
}

void MacCount::add(const std::string& component, int64_t count) {
  by_component[component] += count;
  total += count;
}

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
    if (!spec.trained) continue;
    count.by_role[role_name(spec.role)] += spec.count();
    count.total += spec.count();
    if (spec.role != TensorRole::head) count.backbone += spec.count();
  }
  return count;
}

namespace {

void add_transformer_macs(const ModelConfig& config, int64_t frames, MacCount& macs) {
  const int64_t width = config.hidden;
  const int64_t layers = config.layers;
  // An even kernel computes one frame more than it keeps.
  const int64_t positions = frames == 0 ? 0 : frames + (config.pos_kernel % 2 == 0 ? 1 : 0);
  macs.add("positional",
           config.pos_depth * positions * width * (width / config.pos_groups) * config.pos_kernel);
  const int64_t attended = config.block_frames(frames);
  if (config.time_reduction > 1) macs.add("time-reduction", attended * width * width * config.time_reduction);
  const int64_t maps = (layers + config.attention_period - 1) / config.attention_period;
  macs.add("attention-linear", (layers + maps) * attended * 2 * width * width);
  macs.add("attention-product", (layers + maps) * attended * attended * width);
  if (config.relative_buckets > 0) macs.add("attention-gate", layers * attended * 8 * width);
  macs.add("feed-forward", layers * attended * 2 * width * config.ffn);
}

// Four gates a unit, each of the layer's input and of the units' last outputs.
void add_lstm_macs(const ModelConfig& config, int64_t frames, MacCount& macs) {
  const int64_t units = config.lstm_hidden;
  const int64_t inputs = config.block_input() + int64_t{config.layers - 1} * config.hidden;  // of all layers
  const int64_t directions = config.bidirectional ? 2 : 1;
  macs.add("lstm", frames * directions * 4 * units * (inputs + config.layers * units));
}

}  // namespace

MacCount count_macs(const ModelConfig& config, int64_t samples) {
  MacCount macs;
  int64_t frames = samples;
  int64_t in = 1;
  for (const ConvLayerShape& layer : config.conv) {
    frames = frames < layer.kernel ? 0 : (frames - layer.kernel) / layer.stride + 1;
    macs.add("conv", frames * layer.kernel * in * layer.channels);
    in = layer.channels;
  }
  if (config.projection) macs.add("projection", frames * in * config.hidden);
  config.blocks == BlockKind::lstm ? add_lstm_macs(config, frames, macs)
                                   : add_transformer_macs(config, frames, macs);
  return macs;
}

}  // namespace retort
