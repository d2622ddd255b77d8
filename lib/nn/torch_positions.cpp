#include "nn/torch_positions.h"

#include <cmath>

#include "model/norm_eps.h"
#include "nn/torch_precision.h"
#include "nn/torch_spectral_conv.h"

namespace retort {
namespace {

constexpr double batch_norm_momentum = 0.1;

at::Tensor zero_at(const at::Tensor& x, const at::Tensor& padding) {
  return padding.defined() ? x.masked_fill(padding.unsqueeze(1), 0) : x;
}

}  // namespace

PositionalConv::PositionalConv(const ModelConfig& config, const ParameterTable& parameters)
    : form_(config.positional), kernel_(config.pos_kernel), groups_(config.pos_groups) {
  const std::string name = "encoder.pos_conv_embed";
  weight_v_ = parameters[name + ".conv.weight_v"];
  weight_g_ = parameters[name + ".conv.weight_g"];
  bias_ = parameters[name + ".conv.bias"];
  batch_weight_ = parameters[name + ".batch_norm.weight"];
  batch_bias_ = parameters[name + ".batch_norm.bias"];
  running_mean_ = parameters[name + ".batch_norm.running_mean"];
  running_var_ = parameters[name + ".batch_norm.running_var"];
  if (form_ == PositionalForm::batch_norm) convs_.push_back({parameters[name + ".conv.weight"], bias_});
  if (form_ == PositionalForm::stacked) {
    for (int i = 0; i < config.pos_depth; ++i) {
      const std::string conv = fmt::format("{}.layers.{}.conv", name, i);
      convs_.push_back({parameters[conv + ".weight"], parameters[conv + ".bias"]});
    }
  }
}

// Weight normalisation with one length per tap (dim 2): g[k] v[:,:,k] / ||v[:,:,k]||.
at::Tensor PositionalConv::normalised_weight() const {
  return weight_v_ * (weight_g_ / at::linalg_vector_norm(weight_v_, 2, at::IntArrayRef{0, 1}, true));
}

at::Tensor PositionalConv::convolve_normalised(const at::Tensor& x) const {
  const bool by_spectra = spectra_are_faster(weight_v_);
  const auto make_kernel = [&] {
    return by_spectra ? kernel_spectra(normalised_weight(), groups_)
                      : to_be_multiplied(normalised_weight(), bias_);
  };
  const bool with_gradient = at::GradMode::is_enabled() && weight_v_.requires_grad();
  const at::Tensor kernel =
      with_gradient ? make_kernel() : kept_kernel_.get({weight_v_, weight_g_, bias_}, make_kernel);
  return by_spectra ? convolve_spectra(x, kernel, kernel_) + bias_.unsqueeze(1) : convolve(x, kernel, bias_);
}

at::Tensor PositionalConv::convolve(const at::Tensor& x, const at::Tensor& weight,
                                    const at::Tensor& bias) const {
  const at::Tensor y = at::conv1d(to_be_multiplied(x, weight), weight, bias, 1, kernel_ / 2, 1, groups_);
  return y.narrow(2, 0, x.size(2));  // an even kernel makes one frame too many
}

// Each layer sees zeros after an utterance's end, as it would for the utterance alone.
at::Tensor PositionalConv::stacked(at::Tensor x, const at::Tensor& padding) const {
  for (const Conv& conv : convs_) {
    const at::Tensor y = convolve(zero_at(x, padding), conv.weight, conv.bias).transpose(1, 2);
    x = at::gelu(at::layer_norm(in_full_precision(y), {y.size(2)}, {}, {}, stacked_norm_eps)).transpose(1, 2);
  }
  return x;
}

at::Tensor PositionalConv::add_to(const at::Tensor& x, const at::Tensor& padding, bool training) const {
  at::Tensor positions = x.transpose(1, 2);
  switch (form_) {
    case PositionalForm::weight_norm:
      positions = at::gelu(convolve_normalised(positions));
      break;
    case PositionalForm::batch_norm:
      positions = at::batch_norm(in_full_precision(positions), batch_weight_, batch_bias_, running_mean_,
                                 running_var_, training, batch_norm_momentum, batch_norm_eps, false);
      positions = at::gelu(convolve(zero_at(positions, padding), convs_[0].weight, convs_[0].bias));
      break;
    case PositionalForm::stacked:
      positions = stacked(positions, padding);
      break;
  }
  return x + positions.transpose(1, 2);
}

RelativePositions::RelativePositions(const ModelConfig& config, const ParameterTable& parameters)
    : buckets_(config.relative_buckets),
      distance_(config.relative_distance),
      table_(parameters["encoder.layers.0.attention.rel_attn_embed.weight"]) {}

// T5's buckets, in both directions: half of them for keys after the query. A quarter of all are single
// distances, the rest grow with the logarithm.
at::Tensor RelativePositions::buckets(int64_t frames) const {
  const int64_t half = buckets_ / 2;
  const int64_t exact = half / 2;
  const at::Tensor at = at::arange(frames, at::kLong);
  const at::Tensor offset = at.unsqueeze(0) - at.unsqueeze(1);  // key minus query
  const at::Tensor distance = offset.abs();
  // In f32 and in this order, as the reference rounds: a bucket more or less would be another bias.
  const auto first_far = static_cast<double>(exact);
  const at::Tensor share =
      (distance.to(at::kFloat) / first_far).log() / std::log(distance_ / first_far);  // 0 to 1 at distance_
  const at::Tensor far = (share * static_cast<double>(half - exact) + first_far)
                             .clamp(0, static_cast<double>(half - 1))
                             .to(at::kLong);
  return at::where(distance < exact, distance, far) + (offset > 0).to(at::kLong) * half;
}

at::Tensor RelativePositions::bias(int64_t frames) const {
  if (!table_.defined()) return {};
  return at::embedding(table_, buckets(frames).to(table_.device())).permute({2, 0, 1});
}

}  // namespace retort
