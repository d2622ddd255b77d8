// Axes of charts: where a value lies, and which values get a tick.
#pragma once

#include <string>
#include <vector>

namespace retort {

struct Tick {
  double value = 0;
  std::string label;
};

// A range of values, linear or logarithmic, with ticks at 1, 2 or 5 times a power of ten.
class Axis {
 public:
  // About five ticks, all within [low, high], whose order does not matter. `to_ticks` widens the range so
  // that it begins and ends at a tick. A single value gets a range around it.
  static Axis linear(double low, double high, bool to_ticks);
  // low and high above 0. Begins and ends at a tick.
  static Axis logarithmic(double low, double high);
  // Of the two the one on which the values can be told apart: logarithmic where all are above 0 and the
  // largest is 20 times the median or more, so that half the curve would lie in the lowest 5 %.
  static Axis fitting(std::vector<double> values);

  bool is_logarithmic() const { return logarithmic_; }
  double low() const { return low_; }
  double high() const { return high_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

  // 0 at low, 1 at high, and those for what lies beyond them.
  double place(double value) const;

 private:
  double low_ = 0;
  double high_ = 1;
  bool logarithmic_ = false;
  std::vector<Tick> ticks_;
};

}  // namespace retort
