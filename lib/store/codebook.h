// A codebook: centroids.npy (K, dim) and codebook.json beside it.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "base/matrix.h"
#include "store/feature_norm.h"
#include "store/frame_store.h"

namespace retort {

struct Codebook {
  Matrix centroids;    // (K, dim)
  FrameOrigin origin;  // the frames it was made from
  FeatureNorm norm;    // what was done to them before; so must it be to frames that are to be labelled
  Json report;         // inertia, cluster sizes, curve, seed, engine, ...: what codebook.json says besides

  int64_t clusters() const { return centroids.rows(); }
  int64_t dim() const { return centroids.columns(); }
  // Over the centroids' shape and bytes, and the normalisation where there is one.
  std::string hash() const;
};

// True where `folder` is one (holds codebook.json).
bool is_codebook(const std::filesystem::path& folder);
Codebook read_codebook(const std::filesystem::path& folder);
void write_codebook(const std::filesystem::path& folder, const Codebook& codebook);

// Throws if frames of `frames` may not be labelled with this codebook: another layer, model, normalisation or
// dim. Names both values.
void require_same_features(const Codebook& codebook, const FrameOrigin& frames, int64_t dim);
// The same of a codebook made from frames of `codebook_dim` values with origin `ours`.
void require_same_features(const FrameOrigin& ours, int64_t codebook_dim, const FrameOrigin& frames,
                           int64_t dim);

}  // namespace retort
