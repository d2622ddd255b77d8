#include "nn/torch_transformer.h"

namespace retort {

PositionalConv::PositionalConv(const ModelConfig& config, const ParameterTable& parameters)
    : kernel_(config.pos_kernel),
      groups_(config.pos_groups),
      weight_v_(parameters["encoder.pos_conv_embed.conv.weight_v"]),
      weight_g_(parameters["encoder.pos_conv_embed.conv.weight_g"]),
      bias_(parameters["encoder.pos_conv_embed.conv.bias"]) {}

// Weight normalisation with one length per tap (dim 2): g[k] v[:,:,k] / ||v[:,:,k]||.
at::Tensor PositionalConv::weight() const {
  const auto normalised = [this] {
    return weight_v_ * (weight_g_ / at::linalg_vector_norm(weight_v_, 2, at::IntArrayRef{0, 1}, true));
  };
  const bool with_gradient = at::GradMode::is_enabled() && weight_v_.requires_grad();
  return with_gradient ? normalised() : kept_weight_.get({weight_v_, weight_g_}, normalised);
}

at::Tensor PositionalConv::add_to(const at::Tensor& x) const {
  at::Tensor positions = at::conv1d(x.transpose(1, 2), weight(), bias_, 1, kernel_ / 2, 1, groups_);
  positions = at::gelu(positions.narrow(2, 0, x.size(1)));  // an even kernel makes one frame too many
  return x + positions.transpose(1, 2);
}

TransformerBlock::TransformerBlock(const ModelConfig& config, const ParameterTable& parameters, int index)
    : config_(config) {
  const auto pair = [&](const std::string& name) {
    const std::string full = fmt::format("encoder.layers.{}.{}", index, name);
    return Linear{parameters[full + ".weight"], parameters[full + ".bias"]};
  };
  query_ = pair("attention.q_proj");
  key_ = pair("attention.k_proj");
  value_ = pair("attention.v_proj");
  out_ = pair("attention.out_proj");
  attention_norm_ = pair("layer_norm");
  up_ = pair("feed_forward.intermediate_dense");
  down_ = pair("feed_forward.output_dense");
  final_norm_ = pair("final_layer_norm");
}

at::Tensor TransformerBlock::norm(const at::Tensor& x, const Linear& scale) const {
  return at::layer_norm(x, scale.weight.sizes(), scale.weight, scale.bias, config_.norm_eps);
}

at::Tensor TransformerBlock::attention(const at::Tensor& x, const at::Tensor& attend, bool training) const {
  const auto by_head = [&](const Linear& linear) {
    const at::Tensor projected = at::linear(x, linear.weight, linear.bias);
    return projected.view({x.size(0), x.size(1), config_.heads, -1}).transpose(1, 2);
  };
  const std::optional<at::Tensor> mask = attend.defined() ? std::optional(attend) : std::nullopt;
  const at::Tensor mixed = at::scaled_dot_product_attention(by_head(query_), by_head(key_), by_head(value_),
                                                            mask, training ? config_.attention_dropout : 0);
  const at::Tensor joined = mixed.transpose(1, 2).reshape(x.sizes());
  return at::dropout(at::linear(joined, out_.weight, out_.bias), config_.hidden_dropout, training);
}

at::Tensor TransformerBlock::feed_forward(const at::Tensor& x, bool training) const {
  const at::Tensor inner = at::gelu(at::linear(x, up_.weight, up_.bias));
  const at::Tensor outer =
      at::linear(at::dropout(inner, config_.activation_dropout, training), down_.weight, down_.bias);
  return at::dropout(outer, config_.hidden_dropout, training);
}

at::Tensor TransformerBlock::forward(const at::Tensor& x, const at::Tensor& attend, bool training) const {
  if (config_.pre_norm) {
    const at::Tensor y = x + attention(norm(x, attention_norm_), attend, training);
    return y + feed_forward(norm(y, final_norm_), training);
  }
  const at::Tensor y = norm(x + attention(x, attend, training), attention_norm_);
  return norm(y + feed_forward(y, training), final_norm_);
}

}  // namespace retort
