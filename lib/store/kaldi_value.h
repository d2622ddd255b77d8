// The values of Kaldi's tables: matrices and vectors of floats, compressed matrices, vectors of int32; binary
// and text. Layouts: Kaldi's src/matrix/{kaldi-matrix,kaldi-vector,compressed-matrix}.cc and
// BasicVectorHolder of src/util/kaldi-holder-inl.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <streambuf>
#include <string>
#include <vector>

#include "base/matrix.h"

namespace retort {

struct KaldiValue {
  enum class Kind { matrix, vector, integers };
  Kind kind = Kind::matrix;
  Matrix
      matrix;  // a matrix, or a vector as its one row; doubles are rounded to floats, as Kaldi's readers do
  std::vector<int32_t> integers;
};

// One value. Errors say what is wrong, but neither in which table nor under which key. Memory grows with the
// bytes that are there, not with the sizes that they state.
KaldiValue read_kaldi_value(std::streambuf& bytes);

// An entry of an archive: "key value".
struct KaldiEntry {
  std::string key;
  KaldiValue value;
};

// Reads an archive entry by entry. Errors are named by the key.
class KaldiArchive {
 public:
  // Keeps a reference.
  explicit KaldiArchive(std::streambuf& bytes) : bytes_(bytes) {}
  // Nothing at a clean end.
  std::optional<KaldiEntry> next();

 private:
  std::string read_key();

  std::streambuf& bytes_;
  int64_t entries_ = 0;
};

// The bytes of a value as they follow its key: a float matrix (FM) or a vector of int32, binary or as text
// that gives the same floats when it is read.
std::string kaldi_bytes(const Matrix& matrix, bool binary);
std::string kaldi_bytes(std::span<const int32_t> integers, bool binary);

}  // namespace retort
