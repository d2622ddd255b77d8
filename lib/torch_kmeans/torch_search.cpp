// Nearest centroids by LibTorch's GEMM, on a GPU.
#include <torch/torch.h>

#include <algorithm>

#include "nn/torch_device.h"
#include "torch_kmeans/torch_kmeans.h"

namespace retort {
namespace {

constexpr int64_t cuda_block_scores = int64_t{1} << 28;  // 1 GiB of scores on the GPU

at::Tensor view(const float* values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<float*>(values), shape, at::TensorOptions(at::kFloat));
}

int64_t rows_per_block(int64_t scores, int64_t clusters, int64_t most) {
  return std::clamp(scores / std::max<int64_t>(clusters, 1), int64_t{32}, most);
}

class TorchCudaSearch : public NearestSearch {
 public:
  TorchCudaSearch(const CentredCentroids& centroids, const at::Device& device)
      : device_(device),
        mean_(view(centroids.mean.data(), {centroids.centred.columns()}).to(device)),
        transposed_(view(centroids.centred.data(), {centroids.centred.rows(), centroids.centred.columns()})
                        .to(device)
                        .t()),
        norms_(view(centroids.norms.data(), {centroids.centred.rows()}).to(device)) {}

  void search(const float* rows, int64_t count, Nearest* nearest) override {
    const int64_t block = rows_per_block(cuda_block_scores, norms_.size(0), int64_t{1} << 17);
    for (int64_t first = 0; first < count; first += block)
      search_block(rows + first * mean_.size(0), std::min(block, count - first), nearest + first);
  }

  double error_factor() const override { return f32_error_factor(mean_.size(0)); }

 private:
  void search_block(const float* rows, int64_t count, Nearest* nearest) const {
    const at::Tensor centred = view(rows, {count, mean_.size(0)}).to(device_) - mean_;
    at::Tensor scores = at::addmm(norms_, centred, transposed_, 1, -2);
    const auto [lowest, labels] = scores.min(1, true);
    scores.scatter_(1, labels, std::numeric_limits<float>::infinity());
    const at::Tensor leads = (scores.amin(1, true) - lowest).cpu();
    const at::Tensor labels_here = labels.cpu();
    for (int64_t i = 0; i < count; ++i)
      nearest[i] = {static_cast<int32_t>(labels_here.const_data_ptr<int64_t>()[i]),
                    leads.const_data_ptr<float>()[i]};
  }

  at::Device device_;
  at::Tensor mean_;
  at::Tensor transposed_;
  at::Tensor norms_;
};

}  // namespace

std::unique_ptr<NearestSearch> make_torch_search(const CentredCentroids& centroids,
                                                 const std::string& device) {
  return std::make_unique<TorchCudaSearch>(centroids, parse_device(device));
}

}  // namespace retort
