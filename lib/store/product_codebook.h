// Product quantisation (Jegou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011):
// a frame is cut into equal pieces, and each is replaced by the nearest of up to 256 centroids of its own, so
// that a frame takes one byte a piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/matrix.h"
#include "store/frame_store.h"

namespace retort {

class ProductCodebook {
 public:
  static constexpr int64_t most_clusters = 256;

  // `centroids`: (M K, dim / M), subspace m's in rows m K to (m + 1) K - 1. An Error where the rows are no
  // multiple of M, K is not 1 to 256, or a value is not finite.
  ProductCodebook(Matrix centroids, int64_t subspaces);

  int64_t subspaces() const { return subspaces_; }
  int64_t clusters() const { return centroids_.rows() / subspaces_; }
  int64_t dim() const { return centroids_.columns() * subspaces_; }
  const Matrix& centroids() const { return centroids_; }
  // Over shape and values.
  std::string hash() const;

  // `frame` holds dim() finite values, `codes` get one byte per subspace: of the centroid at the least
  // squared distance, as labels are defined (nearest/assigner.h). Thread-safe.
  void encode(const float* frame, std::byte* codes) const;
  // False where a code is not below K.
  [[nodiscard]] bool decode(const std::byte* codes, float* frame) const;

 private:
  std::byte nearest(const float* piece, int64_t subspace) const;
  std::byte nearest_exactly(const float* piece, int64_t subspace, const float* scores, float limit) const;

  Matrix centroids_;
  int64_t subspaces_;
  std::vector<float> weights_;         // (M, dim / M, K): -2 c
  std::vector<float> norms_;           // (M, K): |c|^2
  std::vector<double> largest_norms_;  // (M), not squared
};

// A product codebook and what it was made from, in a folder: centroids.npy and codebook.json.
struct StoredProductCodebook {
  std::shared_ptr<const ProductCodebook> codebook;
  FrameOrigin origin;
  Json report;  // what codebook.json says besides
};

bool is_product_codebook(const std::filesystem::path& folder);
StoredProductCodebook read_product_codebook(const std::filesystem::path& folder);
void write_product_codebook(const std::filesystem::path& folder, const StoredProductCodebook& stored);

// Has `info`, of features, hold values of this type: f32, f16, bf16 and i8, or pq with the codebook in folder
// `product`. A usage Error where only one of the last two is given, an Error for frames that are not of the
// codebook's kind.
void set_value_type(StoreInfo& info, const std::string& dtype, const std::string& product);

}  // namespace retort
