#include "nn/torch_heads.h"

namespace retort {

PredictionHeadOutputs::PredictionHeadOutputs(const ModelConfig& config, const ParameterTable& parameters)
    : config_(config) {
  const auto pair = [&](const std::string& name) {
    return Linear{parameters[name + ".weight"], parameters[name + ".bias"]};
  };
  inner_ = pair("heads.inner");
  split_ = pair("heads.split");
  for (const int layer : config.prediction.layers) {
    upsamplers_.push_back(pair(fmt::format("heads.{}.upsampler", layer)));
    projections_.push_back(pair(fmt::format("heads.{}.projection", layer)));
  }
}

// s3prl's SplitLinear: y[b,t,n,:] = gelu(inner(x))[b,t,n,:] W[n] + c[n].
std::vector<at::Tensor> PredictionHeadOutputs::split(const at::Tensor& x) const {
  const auto heads = static_cast<int64_t>(config_.prediction.layers.size());
  const at::Tensor inner = at::gelu(at::linear(x, inner_.weight, inner_.bias))
                               .view({x.size(0) * x.size(1), heads, config_.prediction.inner})
                               .transpose(0, 1);
  const at::Tensor outputs = at::baddbmm(split_.bias.unsqueeze(1), inner, split_.weight);
  return outputs.view({heads, x.size(0), x.size(1), config_.prediction.dim}).unbind(0);
}

at::Tensor PredictionHeadOutputs::upsampled(const at::Tensor& x, size_t head, int64_t frames) const {
  const Linear& up = upsamplers_[head];
  const Linear& projection = projections_[head];
  if (x.size(1) == 0) return at::empty({x.size(0), 0, config_.prediction.dim}, x.options());
  at::Tensor y = x;
  if (up.weight.defined())
    y = at::conv_transpose1d(x.transpose(1, 2), up.weight, up.bias, config_.time_reduction)
            .transpose(1, 2)
            .narrow(1, 0, frames);
  return projection.weight.defined() ? at::linear(y, projection.weight, projection.bias) : y;
}

std::vector<at::Tensor> PredictionHeadOutputs::forward(const std::vector<at::Tensor>& blocks,
                                                       int64_t frames) const {
  switch (config_.prediction.kind) {
    case PredictionHeads::Kind::none:
      return {};
    case PredictionHeads::Kind::split:
      return split(blocks.back());
    case PredictionHeads::Kind::upsampled: {
      std::vector<at::Tensor> outputs;
      for (size_t i = 0; i < config_.prediction.layers.size(); ++i)
        outputs.push_back(upsampled(blocks[static_cast<size_t>(config_.prediction.layers[i])], i, frames));
      return outputs;
    }
  }
  return {};
}

}  // namespace retort
