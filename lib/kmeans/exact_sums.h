// Sums without rounding: whatever the order in which values are added and taken away again, and however they
// are spread over threads, shards and machines, the sum is the same to the last bit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/exact_parts.h"

namespace retort {

// A sum of vectors of f32. Every value is split at fixed powers of two, 24 apart, and what falls between two
// of these is added in a double of its own, where up to 2^29 such parts add up without rounding (Demmel and
// Nguyen, "Parallel Reproducible Summation", 2015, with bins for the whole range of f32).
class ExactVectorSum {
 public:
  static constexpr int64_t most_rows = int64_t{1} << 29;

  explicit ExactVectorSum(int64_t dim) : dim_(dim) {}

  // `row` holds finite values.
  void add(const float* row) { add_signed(row, 1); }
  void subtract(const float* row) { add_signed(row, -1); }
  void merge(const ExactVectorSum& other);

  // For sums that are put together elsewhere. read() takes what append_to() wrote from the front of `bytes`;
  // an Error naming `where` if that cannot be.
  void append_to(std::string& bytes) const;
  void read(std::string_view& bytes, const std::string& where);

  // For sums that several processes add up: the bins, whether one is in use, and its (dim) values, zeros
  // where it is not.
  size_t bins() const { return bins_.size(); }
  bool uses_bin(size_t index) const { return !bins_[index].empty(); }
  void append_bin(size_t index, std::vector<double>& values) const;
  void set_bin(size_t index, const double* values) { bins_[index].assign(values, values + dim_); }

  // The sum, rounded once per bin from the largest down; `out` gets dim values.
  void round_to(double* out) const;

 private:
  void add_signed(const float* row, double sign);
  std::vector<double>& bin(int index);

  int64_t dim_;
  std::array<std::vector<double>, sum_bins> bins_;  // (dim) each, empty until needed
};

// A sum of finite doubles, in fixed point over their whole range (Kulisch).
class ExactSum {
 public:
  ExactSum() : digits_(sum_digits) {}

  void add(double value) { add_signed(value, 1); }
  void subtract(double value) { add_signed(value, -1); }
  void merge(const ExactSum& other);
  void append_to(std::string& bytes) const;
  void read(std::string_view& bytes, const std::string& where);
  double rounded() const;

  // Digits as doubles, which hold them exactly, and the sums of those of many sums.
  std::vector<double> carried_digits() const;
  void set_digits(const double* digits);

 private:
  void add_signed(double value, int64_t sign);
  static void carry(std::vector<int64_t>& digits);

  std::vector<int64_t>
      digits_;  // of 2^32 each, from the lowest; each may be negative or too large for a while
};

}  // namespace retort
