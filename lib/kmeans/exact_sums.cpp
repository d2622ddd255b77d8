// Compiled without floating-point contraction (CMakeLists.txt), as exact_distance.cpp is.
#include "kmeans/exact_sums.h"

#include <algorithm>
#include <cmath>

#include "kernels/simd.h"

namespace retort {
namespace {

RETORT_CLONES float largest_magnitude(const float* row, int64_t dim) {
  float largest = 0;
  for (int64_t j = 0; j < dim; ++j) {
    const float magnitude = std::fabs(row[j]);
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

RETORT_CLONES void widen(const float* row, int64_t dim, double* values) {
  for (int64_t j = 0; j < dim; ++j) values[j] = static_cast<double>(row[j]);
}

// Moves the nearest multiples of a power of two from `rest` to `bin`, signed. Adding and taking away
// `rounder`, 1.5 * 2^52 times that power, rounds to such a multiple. Says whether anything is left.
RETORT_CLONES bool move_multiples(double* rest, int64_t dim, double rounder, double sign, double* bin) {
  double left = 0;
  for (int64_t j = 0; j < dim; ++j) {
    const double multiple = (rest[j] + rounder) - rounder;
    bin[j] += sign * multiple;
    rest[j] -= multiple;
  }
  for (int64_t j = 0; j < dim; ++j) left = rest[j] != 0 ? 1 : left;
  return left != 0;
}

int bin_of(float magnitude) {
  return std::ilogb(magnitude) >= 0 ? std::ilogb(magnitude) / 24 : -((23 - std::ilogb(magnitude)) / 24);
}

}  // namespace

void ExactVectorSum::add_signed(const float* row, double sign) {
  const float largest = largest_magnitude(row, dim_);
  if (largest == 0) return;
  thread_local std::vector<double> rest;
  rest.resize(static_cast<size_t>(dim_));
  widen(row, dim_, rest.data());
  bool left = true;
  for (int index = bin_of(largest); left; --index) {
    std::vector<double>& sums = bin(index);
    if (sums.empty()) sums.resize(static_cast<size_t>(dim_));
    left = move_multiples(rest.data(), dim_, std::ldexp(1.5, 52 + 24 * index), sign, sums.data());
  }
}

void ExactVectorSum::merge(const ExactVectorSum& other) {
  for (size_t b = 0; b < bins_.size(); ++b) {
    if (other.bins_[b].empty()) continue;
    bins_[b].resize(static_cast<size_t>(dim_));
    for (size_t j = 0; j < bins_[b].size(); ++j) bins_[b][j] += other.bins_[b][j];
  }
}

void ExactVectorSum::round_to(double* out) const {
  std::fill_n(out, dim_, 0.0);
  for (auto bin = bins_.rbegin(); bin != bins_.rend(); ++bin)
    for (size_t j = 0; j < bin->size(); ++j) out[j] += (*bin)[j];
}

void ExactSum::add_signed(double value, int64_t sign) {
  if (value == 0) return;
  int exponent = 0;
  const auto mantissa = static_cast<int64_t>(std::ldexp(std::frexp(std::fabs(value), &exponent), 53));
  // |value| = mantissa * 2^(exponent - 53); what lies below the smallest double is zeros.
  const int shift = exponent - 53 - lowest_exponent;
  const int64_t kept = shift < 0 ? mantissa >> -shift : mantissa;
  const int place = std::max(shift, 0);
  const auto first = static_cast<size_t>(place / digit_bits);
  const auto wide = static_cast<unsigned __int128>(kept) << (place % digit_bits);
  const int64_t one = value < 0 ? -sign : sign;
  for (size_t i = 0; i < 3; ++i)
    digits_[first + i] += one * static_cast<int64_t>(static_cast<uint32_t>(wide >> (digit_bits * i)));
}

void ExactSum::merge(const ExactSum& other) {
  for (size_t i = 0; i < digits_.size(); ++i) digits_[i] += other.digits_[i];
}

// Carries first, so that equal sums have equal digits, however they came about.
double ExactSum::rounded() const {
  std::vector<int64_t> digits = digits_;
  for (size_t i = 0; i + 1 < digits.size(); ++i) {
    const int64_t carry = digits[i] >> digit_bits;
    digits[i + 1] += carry;
    digits[i] -= carry * (int64_t{1} << digit_bits);
  }
  double sum = 0;
  for (size_t i = digits.size(); i-- > 0;)
    sum += std::ldexp(static_cast<double>(digits[i]), digit_bits * static_cast<int>(i) + lowest_exponent);
  return sum;
}

}  // namespace retort
