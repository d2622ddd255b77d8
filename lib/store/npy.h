// NumPy's .npy files (versions 1 to 3): header reading and writing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/matrix.h"

namespace retort {

struct NpyHeader {
  std::string descr;  // "<f4", "<f2", "<u2", "<i4", ...
  bool fortran_order = false;
  std::vector<int64_t> shape;
  std::size_t data_offset = 0;  // bytes before the first value

  int64_t count() const;
  std::size_t item_size() const;
};

// Parses the header at the beginning of a file; `where` names it in errors.
NpyHeader parse_npy_header(std::string_view bytes, const std::string& where);

// A version 1.0 header, padded so that its length does not depend on the number of rows (it can be rewritten
// in place).
std::string npy_header(const std::string& descr, const std::vector<int64_t>& shape);

// A mapped array. `<f4 <f8 <f2`, signed and unsigned integers of 1 to 8 bytes are read as float, in C or
// Fortran order; what is big-endian is refused.
class NpyFile {
 public:
  explicit NpyFile(const std::filesystem::path& path);
  const NpyHeader& header() const { return header_; }
  int64_t rows() const;
  int64_t columns() const;  // 1 for a vector
  const std::byte* data() const { return file_.data() + header_.data_offset; }
  void read_rows(int64_t first, int64_t count, float* out) const;
  // Gives back the memory of some bytes of the values, or of rows; they can be read again.
  void forget(std::size_t offset, std::size_t bytes) const { file_.forget(data() + offset, bytes); }
  void forget_rows(int64_t first, int64_t count) const;

 private:
  std::string name_;
  MappedFile file_;
  NpyHeader header_;
};

Matrix read_npy_matrix(const std::filesystem::path& path);
void write_npy_matrix(const std::filesystem::path& path, const Matrix& matrix);

}  // namespace retort
