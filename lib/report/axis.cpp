#include "report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace retort {
namespace {

constexpr double largest = 1e100;  // differences and squares of what lies below stay finite

// The smallest of 1, 2 and 5 times a power of ten that is not below `least`.
double nice_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0})
    if (digit * power >= least * (1 - 1e-9)) return digit * power;
  return 10 * power;
}

// Decimals that tell multiples of `step` apart.
int decimals(double step) {
  return std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
}

// Labels of an axis whose ticks lie `step` apart and reach up to `size`: 0.05, 4.5, 20k, 1.5M, 2e-06.
std::string tick_label(double value, double step, double size) {
  if (size < 1e-3 || size >= 1e12) {
    const int digits =
        1 + static_cast<int>(std::floor(std::log10(size)) - std::floor(std::log10(step) + 1e-9));
    return fmt::format("{:.{}g}", value, digits);
  }
  constexpr std::pair<double, const char*> units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [unit, suffix] : units)
    if (size >= 10 * unit)
      return fmt::format("{:.{}f}{}", value / unit, decimals(step / unit), value == 0 ? "" : suffix);
  return fmt::format("{:.{}f}", value, decimals(step));
}

// Values that may get a tick, from the decade below `low` to beyond `high`: 1, 2 and 5 in each of a few
// decades, else about eight powers of ten.
std::vector<double> log_tick_values(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9)) + 1;
  const int stride = std::max(1, (last - first) / 8);
  std::vector<double> values;
  for (int decade = first; decade < last + stride; decade += stride) {
    const double power = std::pow(10.0, decade);
    if (high / low > 100)
      values.push_back(power);
    else
      values.insert(values.end(), {power, 2 * power, 5 * power});
  }
  return values;
}

double size_of(const Axis& axis) {
  return std::max(std::abs(axis.low()), std::abs(axis.high()));
}

}  // namespace

Axis Axis::linear(double low, double high, bool to_ticks) {
  constexpr int intervals = 5;
  Axis axis;
  axis.low_ = std::clamp(std::min(low, high), -largest, largest);
  axis.high_ = std::clamp(std::max(low, high), -largest, largest);
  if (axis.high_ - axis.low_ <= size_of(axis) * 1e-6) {  // beyond the digits of a log
    const double margin = size_of(axis) > 0 ? size_of(axis) / 10 : 1;
    axis.low_ -= margin;
    axis.high_ += margin;
  }
  const double step = nice_step((axis.high_ - axis.low_) / intervals);
  double first = std::ceil(axis.low_ / step - 1e-6);
  double last = std::floor(axis.high_ / step + 1e-6);
  if (to_ticks) {
    first = std::floor(axis.low_ / step + 1e-6);
    last = std::ceil(axis.high_ / step - 1e-6);
    axis.low_ = first * step;
    axis.high_ = last * step;
  }
  for (double k = first; k <= last; ++k) {
    const double value = k * step + 0.0;  // no -0
    axis.ticks_.push_back({value, tick_label(value, step, size_of(axis))});
  }
  return axis;
}

Axis Axis::logarithmic(double low, double high) {
  Axis axis;
  axis.logarithmic_ = true;
  low = std::clamp(low, 1 / largest, largest);
  high = std::clamp(high, low, largest);
  const std::vector<double> values = log_tick_values(low, high);
  // The last one not above low, the first one not below high, and what lies between.
  const auto above = std::upper_bound(values.begin(), values.end(), low * (1 + 1e-9));
  const auto end = std::lower_bound(above, values.end() - 1, high * (1 - 1e-9));
  for (auto value = above - 1; value <= end; ++value)
    axis.ticks_.push_back({*value, fmt::format("{:.4g}", *value)});
  axis.low_ = axis.ticks_.front().value;
  axis.high_ = axis.ticks_.back().value;
  return axis;
}

Axis Axis::fitting(std::vector<double> values) {
  if (values.empty()) return linear(0, 1, true);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  const double median = *middle;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  if (*least > 0 && *most >= 20 * median) return logarithmic(*least, *most);
  return linear(*least, *most, true);
}

double Axis::place(double value) const {
  value = std::clamp(value, low_, high_);
  if (logarithmic_) return std::log(value / low_) / std::log(high_ / low_);
  return (value - low_) / (high_ - low_);
}

}  // namespace retort
