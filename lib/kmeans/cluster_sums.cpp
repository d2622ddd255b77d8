#include "kmeans/cluster_sums.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "kernels/exact_distance.h"

namespace retort {
namespace {

// The rows that enter and leave each cluster, ascending.
struct Changes {
  Changes(std::span<const Move> moves, size_t clusters) : entering(clusters), leaving(clusters) {
    for (const Move& move : moves) {
      entering[static_cast<size_t>(move.to)].push_back(move.row);
      if (move.from >= 0) leaving[static_cast<size_t>(move.from)].push_back(move.row);
    }
  }

  std::vector<std::vector<int64_t>> entering;
  std::vector<std::vector<int64_t>> leaving;
};

// sum |x - c|^2 = sum |x - r|^2 - 2 (sum x - n r).(c - r) + n |c - r|^2 for any reference r; one amid the
// frames leaves little to cancel out.
double spread_of(double squares, int64_t frames, const double* sums, std::span<const float> reference,
                 const float* centroid) {
  const auto size = static_cast<double>(frames);
  double change = 0;
  for (size_t j = 0; j < reference.size(); ++j) {
    const auto origin = static_cast<double>(reference[j]);
    const double offset = static_cast<double>(centroid[j]) - origin;
    change += offset * (size * offset - 2 * (sums[j] - size * origin));
  }
  return std::max(squares + change, 0.0);
}

}  // namespace

void check_cluster_size(int64_t size) {
  if (size > ExactVectorSum::most_rows)
    fail("more than {} frames in one cluster; sample fewer (points per centroid)", ExactVectorSum::most_rows);
}

void measure_spread(const Matrix& centroids, std::span<const float> reference,
                    std::span<const double> squares, Clusters& clusters) {
  for (size_t k = 0; k < squares.size(); ++k) {
    clusters.spread[k] = spread_of(squares[k], clusters.sizes[k], clusters.sums.data() + k * reference.size(),
                                   reference, centroids.row(static_cast<int64_t>(k)).data());
    clusters.inertia += clusters.spread[k];
  }
}

ClusterSums::ClusterSums(int64_t clusters, std::vector<float> reference)
    : reference_(std::move(reference)),
      clusters_(static_cast<size_t>(clusters), OfCluster(static_cast<int64_t>(reference_.size()))) {}

void ClusterSums::take(const FrameSource& source, std::span<const Move> moves, int threads) {
  const Changes changes(moves, clusters_.size());
  const auto dim = static_cast<int64_t>(reference_.size());
  parallel_for(clusters_.size(), threads, [&](size_t k) {
    OfCluster& cluster = clusters_[k];
    std::vector<float> row(reference_.size());
    for (const int64_t index : changes.entering[k]) {
      source.read_rows(index, 1, row.data());
      cluster.values.add(row.data());
      cluster.squares.add(squared_distance(row.data(), reference_.data(), dim));
    }
    for (const int64_t index : changes.leaving[k]) {
      source.read_rows(index, 1, row.data());
      cluster.values.subtract(row.data());
      cluster.squares.subtract(squared_distance(row.data(), reference_.data(), dim));
    }
    cluster.size +=
        static_cast<int64_t>(changes.entering[k].size()) - static_cast<int64_t>(changes.leaving[k].size());
    check_cluster_size(cluster.size);
  });
}

void ClusterSums::merge(const ClusterSums& other) {
  for (size_t k = 0; k < clusters_.size(); ++k) {
    clusters_[k].values.merge(other.clusters_[k].values);
    clusters_[k].squares.merge(other.clusters_[k].squares);
    clusters_[k].size += other.clusters_[k].size;
  }
}

void sum_over(const Processes& processes, ExactSum& sum) {
  std::vector<double> digits = sum.carried_digits();
  processes.sum(digits);
  sum.set_digits(digits.data());
}

void ClusterSums::sum_over(const Processes& processes) {
  if (processes.alone()) return;
  sum_sizes(processes);
  sum_squares(processes);
  sum_values(processes);
}

// First, since it sees whether exact sums can hold all of these frames.
void ClusterSums::sum_sizes(const Processes& processes) {
  std::vector<double> sizes;
  for (const OfCluster& cluster : clusters_) sizes.push_back(static_cast<double>(cluster.size));
  processes.sum(sizes);
  for (size_t k = 0; k < clusters_.size(); ++k) {
    clusters_[k].size = static_cast<int64_t>(sizes[k]);
    check_cluster_size(clusters_[k].size);
  }
}

void ClusterSums::sum_squares(const Processes& processes) {
  std::vector<double> digits;
  for (const OfCluster& cluster : clusters_) {
    const std::vector<double> own = cluster.squares.carried_digits();
    digits.insert(digits.end(), own.begin(), own.end());
  }
  processes.sum(digits);
  const size_t each = digits.size() / clusters_.size();
  for (size_t k = 0; k < clusters_.size(); ++k) clusters_[k].squares.set_digits(digits.data() + k * each);
}

// Bin by bin, those that any process uses, some clusters at a time. Doubles add up exactly here, in whichever
// order a backend adds them.
void ClusterSums::sum_values(const Processes& processes) {
  constexpr size_t most_values = size_t{1} << 22;
  std::vector<double> used(clusters_.front().values.bins());
  for (size_t bin = 0; bin < used.size(); ++bin)
    for (const OfCluster& cluster : clusters_) used[bin] += cluster.values.uses_bin(bin) ? 1 : 0;
  processes.sum(used);
  const size_t at_once = std::max<size_t>(most_values / reference_.size(), 1);
  for (size_t bin = 0; bin < used.size(); ++bin) {
    if (used[bin] == 0) continue;
    for (size_t first = 0; first < clusters_.size(); first += at_once) {
      const size_t last = std::min(first + at_once, clusters_.size());
      std::vector<double> values;
      for (size_t k = first; k < last; ++k) clusters_[k].values.append_bin(bin, values);
      processes.sum(values);
      for (size_t k = first; k < last; ++k)
        clusters_[k].values.set_bin(bin, values.data() + (k - first) * reference_.size());
    }
  }
}

void ClusterSums::append_to(std::string& bytes) const {
  for (const OfCluster& cluster : clusters_) {
    cluster.values.append_to(bytes);
    cluster.squares.append_to(bytes);
    bytes.append(reinterpret_cast<const char*>(&cluster.size), sizeof cluster.size);
  }
}

void ClusterSums::read(std::string_view& bytes, const std::string& where) {
  for (OfCluster& cluster : clusters_) {
    cluster.values.read(bytes, where);
    cluster.squares.read(bytes, where);
    if (bytes.size() < sizeof cluster.size) fail("{}: holds fewer values than expected", where);
    std::memcpy(&cluster.size, bytes.data(), sizeof cluster.size);
    bytes.remove_prefix(sizeof cluster.size);
  }
}

Clusters ClusterSums::about(const Matrix& centroids) const {
  Clusters found(centroids.rows(), centroids.columns());
  std::vector<double> squares;
  for (size_t k = 0; k < clusters_.size(); ++k) {
    clusters_[k].values.round_to(found.sums.data() + k * reference_.size());
    found.sizes[k] = clusters_[k].size;
    squares.push_back(clusters_[k].squares.rounded());
  }
  measure_spread(centroids, reference_, squares, found);
  return found;
}

}  // namespace retort
