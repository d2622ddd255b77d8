// ABX discriminability of phones: how often is X, another instance of A's phone, nearer to B than to A?
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace retort {

// Items of the same context are compared with each other.
struct AbxLabels {
  int phone = 0;
  int context = 0;
  int speaker = 0;
};

enum class AbxSpeakers {
  within,  // A, B and X are of one speaker
  across   // A and B are of one speaker, X of another
};

struct AbxScore {
  double error = 0;  // 0.5 for frames drawn at random
  int64_t triples = 0;
  int64_t cells = 0;        // of a phone, another, a context and a speaker (across: two)
  int64_t phone_pairs = 0;  // in order: (a, b) and (b, a) are two
};

// The items of an ABX test and their frames.
class AbxItems {
 public:
  explicit AbxItems(int64_t dim) : dim_(dim) {}

  // `rows` holds the item's frames, at least one, each of dim values; they are kept with length 1.
  void add(const AbxLabels& labels, std::span<const float> rows);
  std::size_t size() const { return labels_.size(); }
  const AbxLabels& labels(std::size_t item) const { return labels_[item]; }
  int64_t frames(std::size_t item) const { return static_cast<int64_t>(rows_[item].size()) / dim_; }
  int64_t dim() const { return dim_; }
  const float* rows(std::size_t item) const { return rows_[item].data(); }

 private:
  int64_t dim_;
  std::vector<AbxLabels> labels_;
  std::vector<std::vector<float>> rows_;  // by item: together they may be gigabytes, too much to be moved
};

// The distance of items is that of dynamic time warping (steps right, down and diagonal, each of weight 1)
// divided by the number of frames on its path; the distance of frames is the angle between them over pi. X is
// held against all A and B that it may be, equal distances counting half. Errors are averaged over the
// triples of a cell, then over the contexts (across: and X's speakers) of a pair of phones and a speaker,
// then over speakers, then over ordered pairs of phones, each time all alike. That is what fastabx and
// Libri-Light report (Schatz et al., "Evaluating speech features with the Minimal-Pair ABX task", 2013; for
// DTW's path, where it may go several ways, see abx.cpp). Without a
// cell there is no error to tell.
AbxScore abx_score(const AbxItems& items, AbxSpeakers speakers, int threads);

}  // namespace retort
