#include "measures/ctc_decoding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace retort {
namespace {

constexpr double never = -std::numeric_limits<double>::infinity();

double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return b == never ? a : a + std::log1p(std::exp(b - a));
}

// Beginnings of label sequences, each as its parent and one more label. Node 0 is the empty one.
class Prefixes {
 public:
  int child(int node, int label) {
    const auto [found, added] = children_.emplace(std::pair(node, label), static_cast<int>(nodes_.size()));
    if (added) nodes_.push_back({node, label});
    return found->second;
  }
  int last_label(int node) const { return nodes_[static_cast<std::size_t>(node)].label; }
  std::vector<int> labels(int node) const {
    std::vector<int> labels;
    for (; node != 0; node = nodes_[static_cast<std::size_t>(node)].parent)
      labels.push_back(last_label(node));
    std::reverse(labels.begin(), labels.end());
    return labels;
  }

 private:
  struct Node {
    int parent = 0;
    int label = ctc_blank;
  };
  std::vector<Node> nodes_ = {{}};
  std::map<std::pair<int, int>, int> children_;
};

// Log probability of the paths to a prefix, by whether they end in a blank: only after one does the last
// label, seen again, begin a new label.
struct PathSums {
  double blank = never;
  double label = never;

  double all() const { return log_add(blank, label); }
};

using Beam = std::map<int, PathSums>;  // by prefix

Beam extend(const Beam& beam, std::span<const float> frame, Prefixes& prefixes) {
  Beam next;
  for (const auto& [prefix, sums] : beam) {
    const double all = sums.all();
    for (int label = 0; label < static_cast<int>(frame.size()); ++label) {
      const auto probability = static_cast<double>(frame[static_cast<std::size_t>(label)]);
      if (label == ctc_blank) {
        PathSums& same = next[prefix];
        same.blank = log_add(same.blank, all + probability);
        continue;
      }
      const bool repeats = prefix != 0 && label == prefixes.last_label(prefix);
      if (repeats) {
        PathSums& same = next[prefix];
        same.label = log_add(same.label, sums.label + probability);
      }
      PathSums& longer = next[prefixes.child(prefix, label)];
      longer.label = log_add(longer.label, (repeats ? sums.blank : all) + probability);
    }
  }
  return next;
}

// Keeps the `width` most probable prefixes; of equals those that were met first.
void prune(Beam& beam, std::size_t width) {
  if (beam.size() <= width) return;
  std::vector<std::pair<double, int>> order;
  for (const auto& [prefix, sums] : beam) order.emplace_back(-sums.all(), prefix);
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(width), order.end());
  for (std::size_t i = width; i < order.size(); ++i) beam.erase(order[i].second);
}

}  // namespace

std::vector<int> decode_greedily(const Matrix& log_probabilities) {
  std::vector<int> labels;
  int before = ctc_blank;
  for (int64_t frame = 0; frame < log_probabilities.rows(); ++frame) {
    const std::span<const float> row = log_probabilities.row(frame);
    const int best = static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin());
    if (best != before && best != ctc_blank) labels.push_back(best);
    before = best;
  }
  return labels;
}

CtcHypothesis decode_by_beam(const Matrix& log_probabilities, int width) {
  Prefixes prefixes;
  Beam beam = {{0, {0, never}}};
  for (int64_t frame = 0; frame < log_probabilities.rows(); ++frame) {
    beam = extend(beam, log_probabilities.row(frame), prefixes);
    prune(beam, static_cast<std::size_t>(width));
  }
  const auto best = std::max_element(
      beam.begin(), beam.end(), [](const auto& a, const auto& b) { return a.second.all() < b.second.all(); });
  return {prefixes.labels(best->first), best->second.all()};
}

}  // namespace retort
