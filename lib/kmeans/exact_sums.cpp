// Compiled without floating-point contraction (CMakeLists.txt), as exact_distance.cpp is.
#include "kmeans/exact_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/error.h"
#include "kernels/simd.h"

namespace retort {
namespace {

// Finite floats without their sign are in the order of their bits.
RETORT_CLONES float largest_magnitude(const float* row, int64_t dim) {
  int32_t largest = 0;
  for (int64_t j = 0; j < dim; ++j) {
    int32_t bits;
    std::memcpy(&bits, row + j, sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float magnitude;
  std::memcpy(&magnitude, &largest, sizeof magnitude);
  return magnitude;
}

// Adding and taking away 1.5 * 2^52 times a power of two rounds to a multiple of that power.
double rounder_of(int bin) {
  return std::ldexp(1.5, 52 + sum_bin_exponent(bin));
}

// Splits each value into the nearest multiples of two powers of two, added to `high` and `low` with their
// sign, and what is left. Says whether anything is.
RETORT_CLONES bool split(const float* row, int64_t dim, double high_rounder, double low_rounder, double sign,
                         double* high, double* low) {
  int64_t left = 0;
  for (int64_t j = 0; j < dim; ++j) {
    const auto value = static_cast<double>(row[j]);
    const double high_part = (value + high_rounder) - high_rounder;
    const double rest = value - high_part;
    const double low_part = (rest + low_rounder) - low_rounder;
    high[j] += sign * high_part;
    low[j] += sign * low_part;
    left |= rest != low_part ? 1 : 0;
  }
  return left != 0;
}

// What split() left, as it is: a float less multiples of powers of two has no more digits than it had.
void leave_rest(const float* row, int64_t dim, double high_rounder, double low_rounder, float* rest) {
  for (int64_t j = 0; j < dim; ++j) {
    const auto value = static_cast<double>(row[j]);
    const double high_rest = value - ((value + high_rounder) - high_rounder);
    rest[j] = static_cast<float>(high_rest - ((high_rest + low_rounder) - low_rounder));
  }
}

}  // namespace

void ExactVectorSum::append_to(std::string& bytes) const {
  for (const std::vector<double>& bin : bins_) {
    bytes.push_back(bin.empty() ? 0 : 1);
    append_values(bin, bytes);
  }
}

void ExactVectorSum::read(std::string_view& bytes, const std::string& where) {
  for (std::vector<double>& bin : bins_) {
    if (bytes.empty()) fail("{}: holds fewer values than expected", where);
    bin.resize(bytes.front() != 0 ? static_cast<size_t>(dim_) : 0);
    bytes.remove_prefix(1);
    take_values(bytes, where, bin);
  }
}

void ExactVectorSum::append_bin(size_t index, std::vector<double>& values) const {
  if (uses_bin(index))
    values.insert(values.end(), bins_[index].begin(), bins_[index].end());
  else
    values.resize(values.size() + static_cast<size_t>(dim_));
}

std::vector<double> ExactSum::carried_digits() const {
  std::vector<int64_t> digits = digits_;
  carry(digits);
  return {digits.begin(), digits.end()};
}

void ExactSum::set_digits(const double* digits) {
  for (int64_t& digit : digits_) digit = static_cast<int64_t>(*digits++);
}

void ExactSum::append_to(std::string& bytes) const {
  append_values(digits_, bytes);
}

void ExactSum::read(std::string_view& bytes, const std::string& where) {
  take_values(bytes, where, digits_);
}

void ExactVectorSum::add_signed(const float* row, double sign) {
  const float largest = largest_magnitude(row, dim_);
  if (largest == 0) return;
  const int high = std::max(sum_bin_of(largest), lowest_sum_bin + 1);
  const double high_rounder = rounder_of(high);
  const double low_rounder = rounder_of(high - 1);
  if (!split(row, dim_, high_rounder, low_rounder, sign, bin(high).data(), bin(high - 1).data())) return;
  std::vector<float> rest(static_cast<size_t>(dim_));
  leave_rest(row, dim_, high_rounder, low_rounder, rest.data());
  add_signed(rest.data(), sign);
}

std::vector<double>& ExactVectorSum::bin(int index) {
  std::vector<double>& sums = bins_[static_cast<size_t>(index - lowest_sum_bin)];
  if (sums.empty()) sums.resize(static_cast<size_t>(dim_));
  return sums;
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
  for (size_t b = bins_.size(); b-- > 0;)
    for (size_t j = 0; j < bins_[b].size(); ++j) out[j] += bins_[b][j];
}

void ExactSum::add_signed(double value, int64_t sign) {
  if (value == 0) return;
  int exponent = 0;
  const auto mantissa = static_cast<int64_t>(std::ldexp(std::frexp(std::fabs(value), &exponent), 53));
  // |value| = mantissa * 2^(exponent - 53); what lies below the smallest double is zeros.
  const int shift = exponent - 53 - lowest_sum_exponent;
  const int64_t kept = shift < 0 ? mantissa >> -shift : mantissa;
  const int place = std::max(shift, 0);
  const auto first = static_cast<size_t>(place / sum_digit_bits);
  const auto wide = static_cast<unsigned __int128>(kept) << (place % sum_digit_bits);
  const int64_t one = value < 0 ? -sign : sign;
  for (size_t i = 0; i < 3; ++i)
    digits_[first + i] += one * static_cast<int64_t>(static_cast<uint32_t>(wide >> (sum_digit_bits * i)));
}

void ExactSum::merge(const ExactSum& other) {
  for (size_t i = 0; i < digits_.size(); ++i) digits_[i] += other.digits_[i];
}

// Carries first, so that equal sums have equal digits, however they came about. All are positive then but, in
// a negative sum, the highest.
double ExactSum::rounded() const {
  std::vector<int64_t> digits = digits_;
  carry(digits);
  const bool negative = digits.back() < 0;
  if (negative) {
    for (int64_t& digit : digits) digit = -digit;
    carry(digits);
  }
  double sum = 0;
  for (size_t i = digits.size(); i-- > 0;)
    sum += std::ldexp(static_cast<double>(digits[i]),
                      sum_digit_bits * static_cast<int>(i) + lowest_sum_exponent);
  return negative ? -sum : sum;
}

void ExactSum::carry(std::vector<int64_t>& digits) {
  for (size_t i = 0; i + 1 < digits.size(); ++i) {
    const int64_t above = digits[i] >> sum_digit_bits;
    digits[i + 1] += above;
    digits[i] -= above * (int64_t{1} << sum_digit_bits);
  }
}

}  // namespace retort
