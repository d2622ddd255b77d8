#include "store/product_codebook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "kernels/exact_distance.h"
#include "kernels/simd.h"
#include "store/codebook.h"
#include "store/npy.h"

namespace retort {
namespace {

constexpr const char* format_name = "retort-product-codebook-1";

// Squared lengths outside of this may overflow, or lose what is too small for a float: scores say nothing.
constexpr double largest_square = 1e37;
constexpr double smallest_square = 1e-25;

// scores[k] = norms[k] + sum over j of piece[j] * weights[j, k]; (dim, K) weights.
RETORT_CLONES void score(const float* __restrict piece, int64_t dim, const float* __restrict weights,
                         const float* norms, int64_t clusters, float* __restrict scores) {
  std::copy_n(norms, clusters, scores);
  for (int64_t j = 0; j < dim; ++j)
    for (int64_t k = 0; k < clusters; ++k) scores[k] += piece[j] * weights[j * clusters + k];
}

double square_of(const float* values, int64_t count) {
  double sum = 0;
  for (int64_t j = 0; j < count; ++j) sum += static_cast<double>(values[j]) * values[j];
  return sum;
}

}  // namespace

ProductCodebook::ProductCodebook(Matrix centroids, int64_t subspaces)
    : centroids_(std::move(centroids)), subspaces_(subspaces) {
  if (subspaces_ < 1 || centroids_.rows() < 1 || centroids_.columns() < 1 ||
      centroids_.rows() % subspaces_ != 0 || clusters() > most_clusters)
    fail("{} x {} values are no product codebook of {} subspaces with up to {} centroids each",
         centroids_.rows(), centroids_.columns(), subspaces_, most_clusters);
  if (!all_finite(centroids_.data(), centroids_.rows() * centroids_.columns()))
    fail("a centroid of the product codebook is not finite");
  const int64_t width = centroids_.columns();
  weights_.resize(centroids_.values().size());
  for (int64_t row = 0; row < centroids_.rows(); ++row) {
    const int64_t m = row / clusters(), k = row % clusters();
    for (int64_t j = 0; j < width; ++j)
      weights_[static_cast<std::size_t>((m * width + j) * clusters() + k)] = -2 * centroids_(row, j);
    const double square = square_of(centroids_.row(row).data(), width);
    norms_.push_back(static_cast<float>(square));
    if (k == 0) largest_norms_.push_back(0);
    largest_norms_.back() = std::max(largest_norms_.back(), std::sqrt(square));
  }
}

std::string ProductCodebook::hash() const {
  Hasher hasher;
  hasher.add(fmt::format("product {} {} {}\n", subspaces(), clusters(), dim()));
  hasher.add(centroids_.data(), centroids_.values().size_bytes());
  return hasher.hex();
}

void ProductCodebook::encode(const float* frame, std::byte* codes) const {
  for (int64_t m = 0; m < subspaces_; ++m) codes[m] = nearest(frame + m * centroids_.columns(), m);
}

// Scores in f32 leave few centroids that may be the nearest, and their distances in f64 decide.
std::byte ProductCodebook::nearest(const float* piece, int64_t subspace) const {
  const int64_t width = centroids_.columns();
  std::array<float, most_clusters> scores;
  score(piece, width, weights_.data() + subspace * width * clusters(), norms_.data() + subspace * clusters(),
        clusters(), scores.data());
  const double norm = largest_norms_[static_cast<std::size_t>(subspace)];
  const double magnitude = norm * (norm + 2 * std::sqrt(square_of(piece, width)));
  const bool sound = magnitude < largest_square && magnitude > smallest_square;
  const double doubt = 2 * f32_error_factor(width) * magnitude;
  const float least = *std::min_element(scores.begin(), scores.begin() + clusters());
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const auto limit = static_cast<float>(static_cast<double>(least) + doubt);
  return nearest_exactly(piece, subspace, scores.data(), sound ? std::nextafter(limit, infinity) : infinity);
}

// Among those that do not score above `limit`.
std::byte ProductCodebook::nearest_exactly(const float* piece, int64_t subspace, const float* scores,
                                           float limit) const {
  int64_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (int64_t k = 0; k < clusters(); ++k) {
    if (scores[k] > limit) continue;  // false where a score is not a number
    const double distance =
        squared_distance(piece, centroids_.row(subspace * clusters() + k).data(), centroids_.columns());
    if (distance >= least) continue;
    least = distance;
    best = k;
  }
  return static_cast<std::byte>(best);
}

bool ProductCodebook::decode(const std::byte* codes, float* frame) const {
  for (int64_t m = 0; m < subspaces_; ++m) {
    const auto code = static_cast<int64_t>(codes[m]);
    if (code >= clusters()) return false;
    std::copy_n(centroids_.row(m * clusters() + code).data(), centroids_.columns(),
                frame + m * centroids_.columns());
  }
  return true;
}

bool is_product_codebook(const std::filesystem::path& folder) {
  if (!is_codebook(folder)) return false;
  const Json json = read_json(folder / "codebook.json");
  return json.is_object() && json.value("format", "") == format_name;
}

StoredProductCodebook read_product_codebook(const std::filesystem::path& folder) {
  const std::string where = (folder / "codebook.json").string();
  if (!is_codebook(folder)) fail("{}: is no codebook (it holds no codebook.json)", folder.string());
  const Json report = read_json(where);
  if (const auto format = json_get<std::string>(report, "format", where); format != format_name)
    fail("{}: has format {}, not {}; make one with retort-cluster --subspaces", where, format, format_name);
  auto codebook = std::make_shared<const ProductCodebook>(read_npy_matrix(folder / "centroids.npy"),
                                                          json_get<int64_t>(report, "subspaces", where));
  const auto stated = json_get<std::string>(report, "hash", where);
  if (codebook->hash() != stated)
    fail("{}: centroids.npy is not the one that codebook.json describes (hash {}, {} stated)",
         folder.string(), codebook->hash(), stated);
  return {codebook, FrameOrigin::from_json(json_get<Json>(report, "origin", where), where), report};
}

void write_product_codebook(const std::filesystem::path& folder, const StoredProductCodebook& stored) {
  const ProductCodebook& codebook = *stored.codebook;
  Json json = {{"format", format_name},
               {"version", RETORT_VERSION},
               {"subspaces", codebook.subspaces()},
               {"clusters", codebook.clusters()},
               {"dim", codebook.dim()},
               {"hash", codebook.hash()},
               {"origin", stored.origin.to_json()}};
  for (const auto& [key, value] : stored.report.items())
    if (!json.contains(key)) json[key] = value;
  write_npy_matrix(folder / "centroids.npy", codebook.centroids());
  write_json(folder / "codebook.json", json);
}

void set_value_type(StoreInfo& info, const std::string& dtype, const std::string& product) {
  if ((dtype == "pq") != !product.empty())
    fail_usage("dtype {}: {}", dtype,
               dtype == "pq" ? "needs a product codebook (--codebook)" : "has no use for a codebook; pq has");
  if (info.dtype == "pq") info.codebook.clear();
  info.dtype = dtype;
  info.product = nullptr;
  info.clusters = info.subspaces = 0;
  if (dtype != "pq") return;
  const StoredProductCodebook stored = read_product_codebook(product);
  require_same_features(stored.origin, stored.codebook->dim(), info.origin, info.dim);
  info.product = stored.codebook;
  info.codebook = stored.codebook->hash();
  info.clusters = stored.codebook->clusters();
  info.subspaces = stored.codebook->subspaces();
}

}  // namespace retort
