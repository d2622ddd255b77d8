// fairseq's pair of files: FILE.npy has the frames of all utterances one after the other, FILE.len beside it
// how many frames each utterance has, a line each.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/files.h"
#include "base/matrix.h"

namespace retort {

class NpyPairWriter {
 public:
  // Features (frames, dim) <f4, or for `dim` 0 labels (frames) <i4. Refuses files that exist, unless they may
  // be overwritten.
  NpyPairWriter(const std::filesystem::path& npy, int64_t dim, bool overwrite);

  void add(const Matrix& frames);
  void add(std::span<const int32_t> labels);
  void commit();

 private:
  std::string header() const;
  void add(const void* values, std::size_t bytes, int64_t frames);

  int64_t dim_;
  int64_t frames_ = 0;
  AtomicFile array_, lengths_;
};

}  // namespace retort
