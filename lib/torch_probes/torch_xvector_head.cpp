// Speaker embeddings: convolutions over time, mean and deviation over the utterance, a linear layer (Snyder
// et al. 2018), trained with an additive margin (AM-softmax: Wang et al. 2018).
#include <array>

#include "torch_probes/torch_head.h"

namespace retort {
namespace {

struct Context {
  int64_t kernel, dilation;
};
constexpr std::array<Context, 5> contexts = {{{5, 1}, {3, 2}, {3, 3}, {1, 1}, {1, 1}}};
constexpr double least_variance = 1e-5;

class XvectorHead : public Head {
 public:
  XvectorHead(const HeadShape& shape, int64_t dim) : scale_(shape.scale), margin_(shape.margin) {
    projection_ = register_module("projection", torch::nn::Linear(dim, shape.projection));
    int64_t width = shape.projection;
    for (const Context& context : contexts) {
      const int64_t out = convolutions_->size() + 1 == contexts.size() ? shape.pooled : shape.hidden;
      convolutions_->push_back(torch::nn::Conv1d(torch::nn::Conv1dOptions(width, out, context.kernel)
                                                     .dilation(context.dilation)
                                                     .padding(context.dilation * (context.kernel - 1) / 2)));
      width = out;
    }
    register_module("convolutions", convolutions_);
    embedding_ = register_module("embedding", torch::nn::Linear(2 * width, shape.embedding));
    speakers_ = register_parameter("speakers", torch::randn({shape.outputs, shape.embedding}));
  }

  at::Tensor forward(const HeadBatch& batch) override {
    // (batch, 1, frames): 1 in the utterance, 0 behind its end, where a longer neighbour must not be felt.
    const at::Tensor inside = at::arange(batch.features.size(1), at::kLong)
                                  .unsqueeze(0)
                                  .lt(batch.frames.unsqueeze(1))
                                  .to(at::kFloat)
                                  .unsqueeze(1);
    at::Tensor x = projection_(batch.features).transpose(1, 2);
    for (const auto& convolution : *convolutions_)
      x = at::relu(convolution->as<torch::nn::Conv1d>()->forward(x * inside));
    const at::Tensor count = inside.sum(2);
    const at::Tensor mean = (x * inside).sum(2) / count;
    const at::Tensor variance = ((x - mean.unsqueeze(2)).square() * inside).sum(2) / count;
    return embedding_(at::cat({mean, (variance + least_variance).sqrt()}, 1)).unsqueeze(1);
  }

  at::Tensor loss(const at::Tensor& outputs, const HeadBatch& batch) override {
    namespace F = torch::nn::functional;
    std::vector<int64_t> classes;
    for (const HeadItem* item : batch.items) classes.push_back(item->targets.front());
    const at::Tensor right = torch::tensor(classes, torch::kLong);
    const at::Tensor cosines = F::linear(F::normalize(outputs.squeeze(1), F::NormalizeFuncOptions().dim(1)),
                                         F::normalize(speakers_, F::NormalizeFuncOptions().dim(1)));
    const at::Tensor margin = at::one_hot(right, speakers_.size(0)) * margin_;
    return at::cross_entropy_loss(scale_ * (cosines - margin), right);
  }

  int64_t rows_of(const HeadItem&) const override { return 1; }

 private:
  double scale_, margin_;
  torch::nn::Linear projection_{nullptr}, embedding_{nullptr};
  torch::nn::ModuleList convolutions_;
  at::Tensor speakers_;
};

}  // namespace

std::shared_ptr<Head> make_xvector_head(const HeadShape& shape, int64_t dim) {
  return std::make_shared<XvectorHead>(shape, dim);
}

}  // namespace retort
