// Charts as inline SVG, drawn with the classes of the page's style sheet (page.cpp).
#pragma once

#include <string>
#include <vector>

#include "report/axis.h"
#include "report/training_log.h"

namespace retort {

struct Pixel {
  double x = 0;
  double y = 0;

  bool operator==(const Pixel&) const = default;
};

// A polyline that looks the same with at most two vertices per column of pixels: the lowest and the highest,
// in their order, and the line's own ends. Vertices must not go back by a column.
std::vector<Pixel> thin_to_columns(const std::vector<Pixel>& line);

// One run's curve as it is drawn.
struct ChartLine {
  std::string name;
  std::string classes;  // of the style sheet
  std::string label;    // stands at its end; may be empty
  const Curve* curve = nullptr;
  const Curve* low = nullptr;  // with high: the edges of a band behind it
  const Curve* high = nullptr;
};

// Lines over steps, with hover titles at some of their points.
std::string line_chart(const std::vector<ChartLine>& lines, const Axis& steps, const Axis& values);

struct Bar {
  std::string name;
  double value = 0;
};

struct Dot {
  std::string name;
  double x = 0;
  double y = 0;
};

// Named dots on a plane; the pointer over one shows its values.
std::string scatter_chart(const std::vector<Dot>& dots, const Axis& x, const Axis& y);

// Horizontal bars from zero, each with its name and value.
std::string bar_chart(const std::vector<Bar>& bars);

}  // namespace retort
