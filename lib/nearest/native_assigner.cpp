#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "base/threads.h"
#include "kernels/exact_distance.h"
#include "nearest/assigner.h"
#include "nearest/centroid_groups.h"
#include "nearest/native_search.h"

namespace retort {
namespace {

class NativeAssigner : public Assigner {
 public:
  NativeAssigner(const Matrix& centroids, int threads)
      : centroids_(centroids, group_centroids(centroids, panel_width), score_kernels(cpu_path())),
        threads_(threads),
        searches_([this] { return std::make_unique<NativeSearch>(centroids_); }) {}

  void assign(const float* rows, int64_t count, int32_t* labels, double* distances) override {
    constexpr int64_t task = NativeSearch::block_rows;
    parallel_for(static_cast<size_t>((count + task - 1) / task), threads_, [&](size_t index) {
      const int64_t first = static_cast<int64_t>(index) * task;
      searches_.use([&](NativeSearch& search) {
        assign_block(search, rows + first * centroids_.dim(), std::min(task, count - first), labels + first,
                     distances ? distances + first : nullptr);
      });
    });
  }

 private:
  void assign_block(NativeSearch& search, const float* rows, int64_t count, int32_t* labels,
                    double* distances) const {
    std::vector<FrameBounds> bounds(static_cast<size_t>(count));
    std::array<const float*, NativeSearch::block_rows> pointers{};
    for (int64_t i = 0; i < count; ++i) pointers[static_cast<size_t>(i)] = rows + i * centroids_.dim();
    search.search(pointers.data(), count, bounds.data());
    for (int64_t i = 0; i < count; ++i) {
      labels[i] = bounds[static_cast<size_t>(i)].label;
      if (distances)
        distances[i] = squared_distance(rows + i * centroids_.dim(),
                                        centroids_.centroids().row(labels[i]).data(), centroids_.dim());
    }
  }

  const PanelledCentroids centroids_;
  const int threads_;
  Pool<NativeSearch> searches_;
};

}  // namespace

AssignerMaker make_device_assigner = nullptr;

std::unique_ptr<Assigner> make_native_assigner(const Matrix& centroids, int threads) {
  if (centroids.rows() < 1 || centroids.columns() < 1) fail("a codebook needs at least one centroid");
  return std::make_unique<NativeAssigner>(centroids, threads);
}

}  // namespace retort
