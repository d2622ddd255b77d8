#include "nn/torch_transformer.h"

#include <cmath>

#include "nn/torch_precision.h"

namespace retort {

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
  gate_ = pair("attention.gru_rel_pos_linear");
  gate_const_ = parameters[fmt::format("encoder.layers.{}.attention.gru_rel_pos_const", index)];
}

at::Tensor TransformerBlock::norm(const at::Tensor& x, const Linear& scale) const {
  return at::layer_norm(to_be_normed(x, scale.weight), scale.weight.sizes(), scale.weight, scale.bias,
                        config_.norm_eps);
}

// WavLM (Chen et al. 2022, section 3.1): the bias of a query and a key is scaled by 2 + r (u c - 1), with
// gates r and u of the query's own input and a constant c per head.
std::optional<at::Tensor> TransformerBlock::attention_mask(const at::Tensor& x, const at::Tensor& attend,
                                                           const at::Tensor& positions) const {
  if (!positions.defined()) return attend.defined() ? std::optional(attend) : std::nullopt;
  const at::Tensor by_head = x.view({x.size(0), x.size(1), config_.heads, -1}).transpose(1, 2);
  const at::Tensor projected = at::linear(by_head, gate_.weight, gate_.bias);
  const at::Tensor gates =
      at::sigmoid(projected.view({x.size(0), config_.heads, x.size(1), 2, 4}).sum(at::IntArrayRef{-1}));
  const at::Tensor scale =
      gates.narrow(3, 0, 1) * (gates.narrow(3, 1, 1) * gate_const_ - 1) + 2;  // (batch, heads, frames, 1)
  at::Tensor bias = scale * positions;
  if (attend.defined()) bias = bias.masked_fill(attend.logical_not(), -INFINITY);
  return bias;
}

at::Tensor TransformerBlock::by_head(const at::Tensor& x, const Linear& linear) const {
  const at::Tensor projected = at::linear(x, linear.weight, linear.bias);
  return projected.view({x.size(0), x.size(1), config_.heads, -1}).transpose(1, 2);
}

at::Tensor TransformerBlock::attention_map(const at::Tensor& x, const at::Tensor& attend) const {
  const at::Tensor query = by_head(x, query_);
  at::Tensor logits = at::matmul(query, by_head(x, key_).transpose(2, 3)) / std::sqrt(query.size(3));
  if (attend.defined()) logits = logits.masked_fill(attend.logical_not(), -INFINITY);
  return at::softmax(in_full_precision(logits), -1);
}

at::Tensor TransformerBlock::attention(const at::Tensor& x, const at::Tensor& attend,
                                       const at::Tensor& positions, bool training, at::Tensor& map) const {
  const double dropout = training ? config_.attention_dropout : 0;
  at::Tensor mixed;
  if (config_.attention_period > 1) {
    if (query_.weight.defined()) map = attention_map(x, attend);
    mixed =
        at::matmul(to_be_multiplied(at::dropout(map, dropout, training), value_.weight), by_head(x, value_));
  } else {
    mixed = at::scaled_dot_product_attention(by_head(x, query_), by_head(x, key_), by_head(x, value_),
                                             attention_mask(x, attend, positions), dropout);
  }
  const at::Tensor joined = mixed.transpose(1, 2).reshape(x.sizes());
  return at::dropout(at::linear(joined, out_.weight, out_.bias), config_.hidden_dropout, training);
}

at::Tensor TransformerBlock::feed_forward(const at::Tensor& x, bool training) const {
  const at::Tensor inner = at::gelu(at::linear(x, up_.weight, up_.bias));
  const at::Tensor outer =
      at::linear(at::dropout(inner, config_.activation_dropout, training), down_.weight, down_.bias);
  return at::dropout(outer, config_.hidden_dropout, training);
}

at::Tensor TransformerBlock::forward(const at::Tensor& x, const at::Tensor& attend,
                                     const at::Tensor& positions, bool training, at::Tensor& map) const {
  if (config_.pre_norm) {
    const at::Tensor y = x + attention(norm(x, attention_norm_), attend, positions, training, map);
    return y + feed_forward(norm(y, final_norm_), training);
  }
  const at::Tensor y = norm(x + attention(x, attend, positions, training, map), attention_norm_);
  return norm(y + feed_forward(y, training), final_norm_);
}

}  // namespace retort
