// A codebook: centroids.npy (K, dim) and codebook.json beside it.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "base/matrix.h"
#include "store/frame_store.h"

namespace retort {

struct Codebook {
  Matrix centroids;    // (K, dim)
  FrameOrigin origin;  // the frames it was made from
  Json report;         // inertia, cluster sizes, curve, seed, engine, ...: what codebook.json says besides

  int64_t clusters() const { return centroids.rows(); }
  int64_t dim() const { return centroids.columns(); }
  // Over the centroids' shape and bytes.
  std::string hash() const;
};

Codebook read_codebook(const std::filesystem::path& folder);
void write_codebook(const std::filesystem::path& folder, const Codebook& codebook);

// Throws if frames of `frames` may not be labelled with this codebook: another layer, model, normalisation or
// dim. Names both values.
void require_same_features(const Codebook& codebook, const FrameOrigin& frames, int64_t dim);

}  // namespace retort
