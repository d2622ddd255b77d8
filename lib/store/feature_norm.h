// What is done to frames before they are held against a codebook's centroids.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/matrix.h"

namespace retort {

// none, l2 or meanvar.
bool is_feature_norm(const std::string& kind);

struct FeatureNorm {
  // none; l2: each frame is divided by its Euclidean length (a frame of zeros stays); meanvar: x becomes
  // (x - mean) * scale in each dimension, mean and scale being those of the frames that were clustered.
  std::string kind = "none";
  std::vector<float> mean, scale;  // (dim), meanvar only

  bool none() const { return kind == "none"; }
  // `rows` holds count * dim values.
  void apply(float* rows, int64_t count, int64_t dim) const;
  Matrix applied(Matrix frames) const;

  Json to_json() const;
  static FeatureNorm from_json(const Json& json, const std::string& where);
  bool operator==(const FeatureNorm&) const = default;
};

}  // namespace retort
