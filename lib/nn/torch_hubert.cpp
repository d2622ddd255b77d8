#include <ATen/Context.h>
#include <ATen/ThreadLocalState.h>

#include <algorithm>

#include "base/error.h"
#include "base/threads.h"
#include "nn/hubert.h"
#include "nn/torch_conv_stack.h"
#include "nn/torch_device.h"
#include "nn/torch_heads.h"
#include "nn/torch_lstm.h"
#include "nn/torch_parameters.h"
#include "nn/torch_positions.h"
#include "nn/torch_precision.h"
#include "nn/torch_transformer.h"

namespace retort {
namespace {

constexpr double logit_temperature = 0.1;  // fairseq's logit_temp
constexpr double cosine_eps = 1e-8;        // least length a vector is divided by

std::vector<int64_t> frames_of(const ModelConfig& config, const std::vector<int64_t>& samples) {
  std::vector<int64_t> frames;
  for (const int64_t count : samples) {
    frames.push_back(config.frames(count));
    if (frames.back() == 0) fail("a waveform of {} samples has no frame", count);
  }
  return frames;
}

at::Tensor mean_square(const at::Tensor& features, const at::Tensor& padding, const FrameLengths& lengths) {
  if (!padding.defined()) return features.square().mean();
  int64_t frames = 0;
  for (const int64_t count : lengths.valid) frames += count;
  return features.square().masked_fill(padding.unsqueeze(2), 0).sum() /
         static_cast<double>(frames * features.size(2));
}

// Frames of the blocks where those of the conv stack are known.
FrameLengths block_lengths(const ModelConfig& config, const FrameLengths& conv) {
  FrameLengths lengths{{}, config.block_frames(conv.longest)};
  for (const int64_t frames : conv.valid) lengths.valid.push_back(config.block_frames(frames));
  return lengths;
}

// Rows (1, frames, dim) of different lengths as one batch, zeros after the ends.
at::Tensor joined(const std::vector<HubertStates>& rows,
                  const std::function<at::Tensor(const HubertStates&)>& part) {
  if (!part(rows.front()).defined()) return {};
  std::vector<at::Tensor> each;
  for (const HubertStates& row : rows) each.push_back(part(row).squeeze(0));
  return torch::nn::utils::rnn::pad_sequence(each, /*batch_first=*/true);
}

HubertStates joined(const std::vector<HubertStates>& rows) {
  HubertStates states;
  states.conv = joined(rows, [](const HubertStates& row) { return row.conv; });
  states.proj = joined(rows, [](const HubertStates& row) { return row.proj; });
  states.final = joined(rows, [](const HubertStates& row) { return row.final; });
  for (size_t i = 0; i < rows.front().enc.size(); ++i)
    states.enc.push_back(joined(rows, [i](const HubertStates& row) { return row.enc[i]; }));
  for (size_t i = 0; i < rows.front().heads.size(); ++i)
    states.heads.push_back(joined(rows, [i](const HubertStates& row) { return row.heads[i]; }));
  for (const HubertStates& row : rows) {
    states.frames.push_back(row.frames.front());
    states.block_frames.push_back(row.block_frames.front());
  }
  return states;
}

at::Tensor unit_length(const at::Tensor& vectors) {
  return vectors / at::linalg_vector_norm(vectors, 2, at::IntArrayRef{-1}, true).clamp_min(cosine_eps);
}

}  // namespace

struct HubertModelImpl::Network {
  Network(HubertModelImpl& module, const ModelConfig& config)
      : parameters(module, config),
        conv(config, parameters),
        positions(config, parameters),
        relative(config, parameters),
        lstm(config, parameters),
        heads(config, parameters) {
    if (config.blocks == BlockKind::lstm) return;
    for (int i = 0; i < config.layers; ++i) blocks.emplace_back(config, parameters, i);
  }

  ParameterTable parameters;
  ConvStack conv;
  PositionalConv positions;
  RelativePositions relative;
  LstmLayers lstm;
  PredictionHeadOutputs heads;
  std::vector<TransformerBlock> blocks;
};

HubertModelImpl::HubertModelImpl(const ModelConfig& config)
    : config_(config), network_(std::make_unique<Network>(*this, config_)) {
  initialise_parameters(network_->parameters, config_);
}

HubertModelImpl::HubertModelImpl(const ModelWeights& weights)
    : config_(weights.config), network_(std::make_unique<Network>(*this, config_)) {
  load(weights);
}

HubertModelImpl::~HubertModelImpl() = default;

HubertStates HubertModelImpl::forward(const at::Tensor& waveforms, const std::vector<int64_t>& lengths,
                                      const HubertForwardOptions& options) {
  HubertStates states;
  states.frames = frames_of(config_, lengths);
  {
    const at::AutoGradMode with_gradient(at::GradMode::is_enabled() && options.feature_grad_mult > 0);
    states.conv = network_->conv.forward(waveforms, lengths);
  }
  if (states.conv.requires_grad() && options.feature_grad_mult != 1) {
    const double factor = options.feature_grad_mult;
    states.conv.register_hook([factor](const at::Tensor& gradient) { return gradient * factor; });
  }
  encode(states, options);
  return states;
}

HubertStates HubertModelImpl::infer(const at::Tensor& waveforms, const std::vector<int64_t>& lengths,
                                    const HubertForwardOptions& options) {
  const at::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  const bool one_each = waveforms.device().is_cpu() && threads > 1 && waveforms.size(0) >= threads &&
                        !options.time_mask.defined() && !options.feature_penalty;
  if (!one_each) return forward(waveforms, lengths, options);

  HubertForwardOptions no_blocks;
  no_blocks.last_block = 0;
  const int64_t least = config_.receptive_field();  // makes what is kept of weights, before threads do
  forward(waveforms.narrow(0, 0, 1).narrow(1, 0, least), {least}, no_blocks);
  std::vector<HubertStates> rows(lengths.size());
  const OneThreadPerOperator one_thread;
  const at::ThreadLocalState state;  // no gradient; autocast, if any
  parallel_for(rows.size(), threads, [&](std::size_t i) {
    const at::ThreadLocalStateGuard same_state(state);
    const at::Tensor row = waveforms.narrow(0, static_cast<int64_t>(i), 1).narrow(1, 0, lengths[i]);
    rows[i] = forward(row, {lengths[i]}, options);
  });
  return joined(rows);
}

HubertStates HubertModelImpl::forward_frames(const at::Tensor& frames, const HubertForwardOptions& options) {
  HubertStates states;
  states.frames = {frames.size(1)};
  states.conv = frames;
  encode(states, options);
  return states;
}

ConvFrames HubertModelImpl::conv_frames(const at::Tensor& waveform) const {
  return {network_->conv.blocks(), network_->conv.norm(), waveform.unsqueeze(0), {waveform.size(0)}};
}

void HubertModelImpl::round_to_bf16() {
  const torch::NoGradGuard no_grad;
  for (const auto& [name, parameter] : network_->parameters.all()) {
    const bool sees_waveform = name.starts_with("feature_extractor.conv_layers.0.");
    const bool is_part_of_weight = name.ends_with(".weight_v") || name.ends_with(".weight_g");
    const bool is_of_batch_norm = name.find(".batch_norm.") != std::string::npos;
    if (!sees_waveform && !is_part_of_weight && !is_of_batch_norm)
      parameter.set_data(parameter.to(torch::kBFloat16));
  }
}

void HubertModelImpl::encode(HubertStates& states, const HubertForwardOptions& options) {
  const FrameLengths frames{states.frames, states.conv.size(1)};
  states.block_frames = block_lengths(config_, frames).valid;
  at::Tensor padding;
  if (!frames.equal()) padding = frames.padding(states.conv.device());
  if (options.feature_penalty) states.feature_penalty = mean_square(states.conv, padding, frames);

  const at::Tensor x = project(states, padding, options.time_mask);
  const int blocks = options.last_block < 0 ? config_.layers : std::min(options.last_block, config_.layers);
  config_.blocks == BlockKind::lstm ? run_lstm(states, x, blocks)
                                    : run_transformer(states, x, padding, blocks);
  if (options.prediction_heads)
    states.heads = network_->heads.forward(states.enc, config_.head_frames(states.conv.size(1)));
}

at::Tensor HubertModelImpl::project(HubertStates& states, const at::Tensor& padding,
                                    const at::Tensor& time_mask) {
  const ParameterTable& parameters = network_->parameters;
  at::Tensor x = states.conv;
  if (config_.projection_norm) x = normalise(x, "feature_projection.layer_norm");
  if (config_.projection)
    x = at::linear(x, parameters["feature_projection.projection.weight"],
                   parameters["feature_projection.projection.bias"]);
  states.proj = x;

  x = at::dropout(x, config_.projection_dropout, is_training());
  if (time_mask.defined()) {
    const at::Tensor mask_embedding = parameters["masked_spec_embed"];
    if (!mask_embedding.defined()) fail("this model has no mask embedding, so its input cannot be masked");
    x = at::where(time_mask.unsqueeze(2), mask_embedding, x);
  }
  return padding.defined() ? x.masked_fill(padding.unsqueeze(2), 0) : x;
}

void HubertModelImpl::run_transformer(HubertStates& states, at::Tensor x, const at::Tensor& padding,
                                      int blocks) {
  x = network_->positions.add_to(x, padding, is_training());
  if (!config_.pre_norm) x = normalise(x, "encoder.layer_norm");
  x = at::dropout(x, config_.hidden_dropout, is_training());
  if (config_.time_reduction > 1) x = reduce_time(x, padding);
  states.enc.push_back(x);

  const FrameLengths frames{states.block_frames, x.size(1)};
  at::Tensor attend;
  if (!frames.equal()) attend = frames.padding(x.device()).logical_not().view({-1, 1, 1, frames.longest});
  const at::Tensor relative = blocks > 0 ? network_->relative.bias(x.size(1)) : at::Tensor();
  at::Tensor map;  // that blocks share
  for (int i = 0; i < blocks; ++i) {
    const bool dropped =
        is_training() && config_.layerdrop > 0 && torch::rand({1}).item<double>() < config_.layerdrop;
    if (!dropped && x.size(1) > 0)
      x = network_->blocks[static_cast<size_t>(i)].forward(x, attend, relative, is_training(), map);
    states.enc.push_back(x);
  }
  if (blocks == config_.layers) states.final = config_.pre_norm ? normalise(x, "encoder.layer_norm") : x;
}

void HubertModelImpl::run_lstm(HubertStates& states, const at::Tensor& x, int blocks) {
  states.enc.push_back(x);
  const FrameLengths frames{states.block_frames, x.size(1)};
  for (const at::Tensor& output : network_->lstm.forward(x, frames, blocks, is_training()))
    states.enc.push_back(output);
  if (blocks == config_.layers) states.final = states.enc.back();
}

at::Tensor HubertModelImpl::normalise(const at::Tensor& x, const std::string& name) const {
  const at::Tensor weight = network_->parameters[name + ".weight"];
  return at::layer_norm(to_be_normed(x, weight), weight.sizes(), weight, network_->parameters[name + ".bias"],
                        config_.norm_eps);
}

// (batch, frames, hidden) to (batch, block frames, hidden). What does not fill a window is left out, unless
// zeros do.
at::Tensor HubertModelImpl::reduce_time(const at::Tensor& x, const at::Tensor& padding) const {
  const int64_t windows = config_.block_frames(x.size(1));
  if (windows == 0) return x.narrow(1, 0, 0);
  at::Tensor frames = x;
  if (config_.time_reduction_fills) {
    if (padding.defined()) frames = frames.masked_fill(padding.unsqueeze(2), 0);
    frames = at::constant_pad_nd(frames, {0, 0, 0, windows * config_.time_reduction - x.size(1)});
  }
  const ParameterTable& parameters = network_->parameters;
  return at::conv1d(frames.transpose(1, 2), parameters["encoder.time_reduction.weight"],
                    parameters["encoder.time_reduction.bias"], config_.time_reduction)
      .transpose(1, 2);
}

at::Tensor HubertModelImpl::label_logits(const at::Tensor& states) {
  const ParameterTable& parameters = network_->parameters;
  if (config_.classes == 0) fail("this model has no class head");
  if (config_.class_head == ClassHead::linear)
    return at::linear(states, parameters["class_head.weight"], parameters["class_head.bias"])
        .to(torch::kFloat32);
  const at::Tensor embeddings = parameters["label_embeddings"];
  const at::Tensor projected =
      at::linear(states, parameters["final_proj.weight"], parameters["final_proj.bias"]);
  const WithoutAutocast scope;
  return at::matmul(unit_length(in_full_precision(projected)),
                    unit_length(in_full_precision(embeddings)).t()) /
         logit_temperature;
}

void HubertModelImpl::load(const ModelWeights& weights) {
  copy_into_parameters(weights, network_->parameters);
}

ModelWeights HubertModelImpl::weights() const {
  ModelWeights weights;
  weights.config = config_;
  for (const auto& [name, parameter] : network_->parameters.all()) {
    const at::Tensor values = parameter.detach().to(torch::kCPU, torch::kFloat32).contiguous();
    const float* begin = values.data_ptr<float>();
    weights.tensors[name] = {values.sizes().vec(), std::vector<float>(begin, begin + values.numel())};
  }
  return weights;
}

at::Tensor pad_waveforms(const std::vector<std::vector<float>>& waveforms) {
  size_t longest = 0;
  for (const auto& waveform : waveforms) longest = std::max(longest, waveform.size());
  const at::Tensor padded =
      torch::zeros({static_cast<int64_t>(waveforms.size()), static_cast<int64_t>(longest)});
  for (size_t i = 0; i < waveforms.size(); ++i) {
    std::copy(waveforms[i].begin(), waveforms[i].end(), padded.data_ptr<float>() + i * longest);
  }
  return padded;
}

}  // namespace retort
