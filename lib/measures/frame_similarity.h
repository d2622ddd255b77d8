// How alike two networks' layers are, frame by frame.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace retort {

struct FrameSimilarity {
  // [our layer][their layer]; none where a layer has the same value in all frames, or the widths differ.
  std::vector<std::vector<std::optional<double>>> cka;
  std::vector<std::vector<std::optional<double>>> cosine;
  int64_t frames = 0;
};

// Gathers, in one pass over frames, what follows from them:
// - linear CKA, |X'Y|^2 / (|X'X| |Y'Y|) with Frobenius norms, X and Y being the frames of two layers with
// each
//   dimension's mean taken off (Kornblith et al., "Similarity of Neural Network Representations Revisited",
//   2019). It is 1 for frames that differ by rotation and scale, whatever their widths.
// - the mean over frames of the cosine of two layers' frames; 0 for a frame of zeros.
// Keeps sums of (our width, their width) f64 values per pair of layers, and of (width, width) per layer.
class FrameSimilaritySums {
 public:
  // Widths of our layers and of theirs.
  FrameSimilaritySums(const std::vector<int64_t>& ours, const std::vector<int64_t>& theirs, int threads);
  ~FrameSimilaritySums();

  // One frame: a pointer to each layer's values.
  void add(const std::vector<const float*>& ours, const std::vector<const float*>& theirs);
  // Of the frames added so far; an Error where there are fewer than two.
  FrameSimilarity finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace retort
