#include "kmeans/labeller.h"

#include <algorithm>
#include <vector>

#include "kmeans/kmeans_init.h"
#include "kmeans/native_labeller.h"

namespace retort {
namespace {

// Labels by an engine that remembers nothing.
class AssigningLabeller : public Labeller {
 public:
  AssigningLabeller(const FrameSource& source, const KmeansOptions& options)
      : source_(source), options_(options), rows_(std::min(chunk_rows, source.frames()), source.dim()) {}

  void start(const Matrix& centroids) override {
    assigner_ = make_assigner(centroids, options_.engine, options_.device, options_.threads);
  }

  void label(int64_t first, int64_t count, int32_t* labels) override {
    for (int64_t begin = 0; begin < count; begin += chunk_rows) {
      const int64_t here = std::min(chunk_rows, count - begin);
      read_finite_rows(source_, first + begin, here, rows_.data(), options_.threads);
      assigner_->assign(rows_.data(), here, labels + begin, nullptr);
    }
  }

 private:
  static constexpr int64_t chunk_rows = 8192;

  const FrameSource& source_;
  const KmeansOptions& options_;
  std::unique_ptr<Assigner> assigner_;
  Matrix rows_;
};

}  // namespace

std::unique_ptr<Labeller> make_labeller(const FrameSource& source, const KmeansOptions& options) {
  if (options.engine == "native") return std::make_unique<NativeLabeller>(source, options);
  return std::make_unique<AssigningLabeller>(source, options);
}

}  // namespace retort
