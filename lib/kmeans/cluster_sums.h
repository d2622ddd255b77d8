// The sums over each cluster's frames that centroids and objective are made of, kept up to date as frames
// change their clusters.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/matrix.h"
#include "kmeans/clusters.h"
#include "kmeans/exact_sums.h"
#include "kmeans/kmeans.h"
#include "processes/processes.h"

namespace retort {

// A frame that another cluster takes over.
struct Move {
  int64_t row;
  int32_t from;  // -1: it had none
  int32_t to;
};

// Throws an Error if exact sums cannot hold as many frames of one cluster.
void check_cluster_size(int64_t size);

// Fills in spread and inertia of `clusters`, whose sums and sizes are known, from the sums of squared
// distances from `reference` (K).
void measure_spread(const Matrix& centroids, std::span<const float> reference,
                    std::span<const double> squares, Clusters& clusters);

// The same for one sum.
void sum_over(const Processes& processes, ExactSum& sum);

class ClusterSums {
 public:
  // Squared distances are summed up from `reference` (dim), which should be amid the frames and the same
  // wherever sums are to be merged.
  ClusterSums(int64_t clusters, std::vector<float> reference);

  // Reads the frames that move; clusters are spread over threads, and no thread changes a sum.
  void take(const FrameSource& source, std::span<const Move> moves, int threads);
  // Adds the sums over other frames.
  void merge(const ClusterSums& other);

  // Adds the sums that the other processes have over their frames; all call it at the same point.
  void sum_over(const Processes& processes);

  // As those of ExactVectorSum; the reference is not among the bytes.
  void append_to(std::string& bytes) const;
  void read(std::string_view& bytes, const std::string& where);

  // What these sums say of `centroids`: sizes, sums, spreads and their total.
  Clusters about(const Matrix& centroids) const;

 private:
  struct OfCluster {
    explicit OfCluster(int64_t dim) : values(dim) {}
    ExactVectorSum values;
    ExactSum squares;  // of the distances from the reference
    int64_t size = 0;
  };

  void sum_sizes(const Processes& processes);
  void sum_squares(const Processes& processes);
  void sum_values(const Processes& processes);

  std::vector<float> reference_;
  std::vector<OfCluster> clusters_;
};

}  // namespace retort
