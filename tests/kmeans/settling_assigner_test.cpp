// Engines on devices are held to the definition through this, which a search that is good at nothing shows
// best.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "kernels/exact_distance.h"
#include "kmeans/kmeans.h"
#include "kmeans/nearest_search.h"
#include "made_frames.h"

using namespace retort;

namespace {

constexpr double error = 1e-3;

// Scores that are wrong by as much as they may be, up or down.
class CrudeSearch : public NearestSearch {
 public:
  explicit CrudeSearch(const Matrix& centroids) : centroids_(centroids) {}

  void search(const float* rows, int64_t count, Nearest* nearest) override {
    for (int64_t i = 0; i < count; ++i) nearest[i] = search_row(rows + i * centroids_.centred.columns());
  }

  double error_factor() const override { return error; }

 private:
  Nearest search_row(const float* row) {
    std::vector<float> centred(row, row + centroids_.centred.columns());
    double norm = 0;
    for (size_t j = 0; j < centred.size(); ++j) {
      centred[j] -= centroids_.mean[j];
      norm += std::pow(static_cast<double>(centred[j]), 2);
    }
    const double largest = centroids_.largest_norm;
    const double wrong = 0.99 * error * largest * (largest + 2 * std::sqrt(norm));
    double least = std::numeric_limits<double>::infinity(), second = least;
    Nearest found;
    for (int32_t k = 0; k < centroids_.centred.rows(); ++k) {
      const double exact =
          squared_distance(centred.data(), centroids_.centred.row(k).data(), centroids_.centred.columns());
      const double score = exact - norm + (random_.below(2) == 0 ? wrong : -wrong);
      if (score < least) {
        second = least;
        least = score;
        found.label = k;
      } else {
        second = std::min(second, score);
      }
    }
    found.lead = static_cast<float>(second - least);
    return found;
  }

  CentredCentroids centroids_;
  Random random_{1};
};

}  // namespace

TEST_CASE("labels of a search with errors are those of the definition", "[kmeans]") {
  const Matrix frames = random_matrix(2000, 7, 2);
  Matrix centroids = random_matrix(60, 7, 3);
  std::copy_n(centroids.row(3).data(), 7, centroids.row(50).data());  // a tie
  std::vector<Nearest> raw(2000);
  CrudeSearch(centroids).search(frames.data(), 2000, raw.data());
  std::vector<int32_t> labels(2000);
  std::vector<double> distances(2000);
  make_settling_assigner(centroids, std::make_unique<CrudeSearch>(centroids), 1)
      ->assign(frames.data(), 2000, labels.data(), distances.data());
  int mistaken = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    const auto index = static_cast<size_t>(i);
    int32_t best = 0;
    for (int32_t k = 1; k < 60; ++k)
      if (squared_distance(frames.row(i).data(), centroids.row(k).data(), 7) <
          squared_distance(frames.row(i).data(), centroids.row(best).data(), 7))
        best = k;
    CHECK(labels[index] == best);
    CHECK(distances[index] == squared_distance(frames.row(i).data(), centroids.row(best).data(), 7));
    mistaken += raw[index].label != best ? 1 : 0;
  }
  CHECK(mistaken > 0);
}
