// What goldens of layers are compared with.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>

#include "nn/hubert.h"
#include "store/npy.h"

namespace retort {

// (frames, dim) of a .npy file.
inline at::Tensor read_golden(const std::filesystem::path& file) {
  const Matrix values = read_npy_matrix(file);
  return torch::from_blob(const_cast<float*>(values.data()), {values.rows(), values.columns()}).clone();
}

// The largest difference over the RMS of `theirs`.
inline double relative_distance(const at::Tensor& ours, const at::Tensor& theirs) {
  REQUIRE(ours.sizes() == theirs.sizes());
  return (ours - theirs).abs().max().item<double>() / theirs.square().mean().sqrt().item<double>();
}

}  // namespace retort
