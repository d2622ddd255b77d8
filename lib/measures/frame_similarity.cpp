#include "measures/frame_similarity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/pages.h"
#include "base/pool.h"
#include "base/thread_team.h"
#include "base/threads.h"
#include "kernels/product.h"
#include "measures/cosine.h"

namespace retort {
namespace {

// Frames whose products are summed in f32 before they go to sums in f64.
constexpr int64_t block_frames = 256;

// The frames of one layer that wait to be summed, and its sums. Means are taken of what is left after a first
// guess of them is taken off, so that little is lost where they are large.
struct LayerFrames {
  explicit LayerFrames(int64_t dim)
      : width(dim),
        rows(static_cast<std::size_t>(block_frames * dim)),
        columns(rows.size()),
        packed(static_cast<std::size_t>(panel_bytes(block_frames, dim, Precision::f32))),
        guess(static_cast<std::size_t>(dim)),
        sums(static_cast<std::size_t>(dim)) {}

  void guess_means(int64_t count) {
    for (int64_t i = 0; i < width; ++i) {
      double sum = 0;
      for (int64_t frame = 0; frame < count; ++frame)
        sum += static_cast<double>(rows[static_cast<std::size_t>(frame * width + i)]);
      guess[static_cast<std::size_t>(i)] = static_cast<float>(sum / static_cast<double>(count));
    }
  }

  // Takes the guess off, sums, and lays the block out for products.
  void prepare(int64_t count) {
    for (int64_t frame = 0; frame < count; ++frame) {
      float* row = rows.data() + frame * width;
      for (int64_t i = 0; i < width; ++i) {
        const auto column = static_cast<std::size_t>(i);
        row[i] -= guess[column];
        sums[column] += static_cast<double>(row[i]);
        columns[static_cast<std::size_t>(i * count + frame)] = row[i];
      }
    }
    panels = pack_panels(rows.data(), 1, width, count, width, Precision::f32, packed.data());
  }

  int64_t width;
  std::vector<float> rows;     // (frames, width)
  std::vector<float> columns;  // (width, frames)
  Pages packed;
  Panels panels;
  std::vector<float> guess;
  std::vector<double> sums;
};

// X'Y of two layers.
struct CrossProduct {
  CrossProduct(const LayerFrames& x, const LayerFrames& y)
      : left(&x), right(&y), sums(static_cast<std::size_t>(x.width * y.width)) {}

  void add_block(CpuPath path, int64_t count, std::vector<float>& scratch) {
    scratch.resize(sums.size());
    Product product;
    product.rows = left->columns.data();
    product.row_stride = count;
    product.count = left->width;
    product.out = scratch.data();
    product.out_stride = right->width;
    multiply(path, right->panels, product);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(scratch[i]);
  }

  // |X'Y|^2 with the means taken off.
  double squared_norm(int64_t frames) const {
    double norm = 0;
    for (int64_t row = 0; row < left->width; ++row)
      for (int64_t column = 0; column < right->width; ++column) {
        const double of_means = left->sums[static_cast<std::size_t>(row)] *
                                right->sums[static_cast<std::size_t>(column)] / static_cast<double>(frames);
        const double centred = sums[static_cast<std::size_t>(row * right->width + column)] - of_means;
        norm += centred * centred;
      }
    return norm;
  }

  const LayerFrames* left;
  const LayerFrames* right;
  std::vector<double> sums;
};

}  // namespace

struct FrameSimilaritySums::State {
  State(const std::vector<int64_t>& our_widths, const std::vector<int64_t>& their_widths, int threads)
      : path(cpu_path()),
        team(threads > 0 ? threads : available_threads()),
        scratch([] { return std::make_unique<std::vector<float>>(); }) {
    for (const int64_t width : our_widths) ours.emplace_back(width);
    for (const int64_t width : their_widths) theirs.emplace_back(width);
    for (const LayerFrames& layer : ours) products.emplace_back(layer, layer);
    for (const LayerFrames& layer : theirs) products.emplace_back(layer, layer);
    for (const LayerFrames& our : ours)
      for (const LayerFrames& their : theirs) products.emplace_back(our, their);
    cosines.assign(ours.size() * theirs.size(), 0);
  }

  const CrossProduct& cross(std::size_t our, std::size_t their) const {
    return products[ours.size() + theirs.size() + our * theirs.size() + their];
  }

  LayerFrames& layer(std::size_t index) {
    return index < ours.size() ? ours[index] : theirs[index - ours.size()];
  }

  void add_cosines() {
    team.run(cosines.size(), [&](std::size_t pair) {
      const LayerFrames& x = ours[pair / theirs.size()];
      const LayerFrames& y = theirs[pair % theirs.size()];
      if (x.width != y.width) return;
      for (int64_t frame = 0; frame < waiting; ++frame)
        cosines[pair] += cosine({x.rows.data() + frame * x.width, static_cast<std::size_t>(x.width)},
                                {y.rows.data() + frame * x.width, static_cast<std::size_t>(x.width)});
    });
  }

  void flush() {
    if (waiting == 0) return;
    add_cosines();
    team.run(ours.size() + theirs.size(), [&](std::size_t index) {
      if (frames == 0) layer(index).guess_means(waiting);
      layer(index).prepare(waiting);
    });
    team.run(products.size(), [&](std::size_t index) {
      scratch.use([&](std::vector<float>& memory) { products[index].add_block(path, waiting, memory); });
    });
    frames += waiting;
    waiting = 0;
  }

  CpuPath path;
  ThreadTeam team;
  Pool<std::vector<float>> scratch;
  std::vector<LayerFrames> ours, theirs;
  std::vector<CrossProduct> products;  // of each layer with itself, then of all pairs
  std::vector<double> cosines;         // sums, of all pairs
  int64_t waiting = 0;
  int64_t frames = 0;  // summed
};

FrameSimilaritySums::FrameSimilaritySums(const std::vector<int64_t>& ours, const std::vector<int64_t>& theirs,
                                         int threads)
    : state_(std::make_unique<State>(ours, theirs, threads)) {}
FrameSimilaritySums::~FrameSimilaritySums() = default;

void FrameSimilaritySums::add(const std::vector<const float*>& ours,
                              const std::vector<const float*>& theirs) {
  const auto copy = [this](const float* values, LayerFrames& layer) {
    std::copy_n(values, layer.width, layer.rows.data() + state_->waiting * layer.width);
  };
  for (std::size_t i = 0; i < ours.size(); ++i) copy(ours[i], state_->ours[i]);
  for (std::size_t i = 0; i < theirs.size(); ++i) copy(theirs[i], state_->theirs[i]);
  if (++state_->waiting == block_frames) state_->flush();
}

FrameSimilarity FrameSimilaritySums::finish() {
  State& state = *state_;
  state.flush();
  if (state.frames < 2) fail("{} frames are too few to compare layers by", state.frames);
  FrameSimilarity similarity;
  similarity.frames = state.frames;
  std::vector<double> norms;
  for (std::size_t i = 0; i < state.ours.size() + state.theirs.size(); ++i)
    norms.push_back(std::sqrt(state.products[i].squared_norm(state.frames)));
  for (std::size_t our = 0; our < state.ours.size(); ++our) {
    auto& cka = similarity.cka.emplace_back();
    auto& cosines = similarity.cosine.emplace_back();
    for (std::size_t their = 0; their < state.theirs.size(); ++their) {
      const double norm = norms[our] * norms[state.ours.size() + their];
      cka.push_back(norm > 0 ? std::optional(state.cross(our, their).squared_norm(state.frames) / norm)
                             : std::nullopt);
      const double sum = state.cosines[our * state.theirs.size() + their];
      cosines.push_back(state.ours[our].width == state.theirs[their].width
                            ? std::optional(sum / static_cast<double>(state.frames))
                            : std::nullopt);
    }
  }
  return similarity;
}

}  // namespace retort
