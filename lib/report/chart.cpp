#include "report/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "report/text.h"

namespace retort {
namespace {

// The plane of a chart, in units of its viewBox; the page scales it.
constexpr double width = 420;
constexpr double height = 220;
constexpr double left = 46;
constexpr double margin = 16;  // at the right
constexpr double top = 10;
constexpr double bottom = height - 24;

using Svg = std::back_insert_iterator<std::string>;

struct Plane {
  Axis x;
  Axis y;
  double right = width - margin;

  Pixel place(double x_value, double y_value) const {
    return {left + x.place(x_value) * (right - left), bottom - y.place(y_value) * (bottom - top)};
  }
  Pixel place(const Point& point) const { return place(static_cast<double>(point.step), point.value); }
};

void draw_grid(const Plane& plane, Svg svg) {
  for (const Tick& tick : plane.y.ticks()) {
    const double y = bottom - plane.y.place(tick.value) * (bottom - top);
    fmt::format_to(svg, R"(<path class="grid" d="M{:.1f} {:.1f}H{:.1f}"/>)", left, y, plane.right);
    fmt::format_to(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", left - 5, y + 4,
                   tick.label);
  }
  for (const Tick& tick : plane.x.ticks()) {
    const double x = left + plane.x.place(tick.value) * (plane.right - left);
    fmt::format_to(svg, R"(<path class="grid" d="M{:.1f} {:.1f}v4"/>)", x, bottom);
    fmt::format_to(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", x, bottom + 17,
                   tick.label);
  }
  fmt::format_to(svg, R"(<path class="axis" d="M{:.1f} {:.1f}H{:.1f}"/>)", left, bottom, plane.right);
}

std::vector<Pixel> pixels_of(const Curve& curve, const Plane& plane) {
  std::vector<Pixel> pixels;
  for (const Point& point : curve.points) pixels.push_back(plane.place(point));
  return thin_to_columns(pixels);
}

void draw_vertices(const std::vector<Pixel>& pixels, Svg svg) {
  char command = 'M';
  for (const Pixel& pixel : pixels) {
    fmt::format_to(svg, "{}{:.1f} {:.1f}", command, pixel.x, pixel.y);
    command = 'L';
  }
}

// From the lowest to the highest, along the one and back along the other.
void draw_band(const ChartLine& line, const Plane& plane, Svg svg) {
  if (line.low == nullptr || line.high == nullptr) return;
  std::vector<Pixel> outline = pixels_of(*line.high, plane);
  const std::vector<Pixel> low = pixels_of(*line.low, plane);
  outline.insert(outline.end(), low.rbegin(), low.rend());
  fmt::format_to(svg, R"(<path class="band {}" d=")", line.classes);
  draw_vertices(outline, svg);
  fmt::format_to(svg, R"(Z"><title>{}, lowest to highest</title></path>)", escape_html(line.name));
}

void draw_line(const ChartLine& line, const Plane& plane, Svg svg) {
  std::vector<Pixel> pixels = pixels_of(*line.curve, plane);
  if (pixels.size() == 1) pixels.push_back(pixels.front());  // drawn as a dot by its round ends
  fmt::format_to(svg, R"(<path class="line {}" d=")", line.classes);
  draw_vertices(pixels, svg);
  fmt::format_to(svg, R"("><title>{}</title></path>)", escape_html(line.name));
}

// Spots that are invisible until the pointer is over them.
void draw_hover_titles(const ChartLine& line, const Plane& plane, Svg svg) {
  constexpr std::size_t most = 40;
  const std::vector<Point>& points = line.curve->points;
  const std::size_t spots = std::min(points.size(), most);
  for (std::size_t i = 0; i < spots; ++i) {
    const Point& point = points[spots == 1 ? 0 : i * (points.size() - 1) / (spots - 1)];
    const Pixel at = plane.place(point);
    fmt::format_to(
        svg,
        R"(<circle class="spot {}" cx="{:.1f}" cy="{:.1f}" r="5"><title>{}, step {}: {}</title></circle>)",
        line.classes, at.x, at.y, escape_html(line.name), point.step, format_value(point.value));
  }
}

// The end of a name where it is too long to stand in a chart, from the beginning of a UTF-8 character on.
std::string shortened(const std::string& name) {
  constexpr std::size_t longest = 18;
  if (name.size() <= longest) return name;
  std::size_t begin = name.size() - longest + 3;
  while (begin < name.size() && (name[begin] & 0xc0) == 0x80) ++begin;
  return "..." + name.substr(begin);
}

double width_of(const std::string& label) {
  constexpr double letter = 6.2;
  return letter * static_cast<double>(label.size());
}

// What labels take behind the plane where lines reach its end.
double width_of_labels(const std::vector<ChartLine>& lines) {
  double widest = 0;
  for (const ChartLine& line : lines) widest = std::max(widest, width_of(shortened(line.label)));
  return widest;
}

struct Label {
  Pixel at;
  std::string text;

  bool covers(const Label& other) const {
    constexpr double line_height = 12;
    return at.x < other.at.x + width_of(other.text) && other.at.x < at.x + width_of(text) &&
           std::abs(at.y - other.at.y) < line_height;
  }
};

// Moves a label down until it covers none of the others.
void place_apart(Label& label, const std::vector<Label>& labels) {
  const auto covered = [&label](const Label& other) { return label.covers(other); };
  while (std::any_of(labels.begin(), labels.end(), covered)) label.at.y += 1;
}

// Labels behind the ends of lines, moved down where they would cover each other.
void draw_labels(const std::vector<ChartLine>& lines, const Plane& plane, Svg svg) {
  std::vector<Label> labels;
  for (const ChartLine& line : lines) {
    if (line.label.empty()) continue;
    const Pixel end = plane.place(line.curve->points.back());
    Label label = {{end.x + 5, end.y + 4}, shortened(line.label)};
    place_apart(label, labels);
    fmt::format_to(svg, R"(<text class="label" x="{:.1f}" y="{:.1f}">{}</text>)", label.at.x, label.at.y,
                   escape_html(label.text));
    labels.push_back(std::move(label));
  }
}

std::string begin_svg(double tall) {
  return fmt::format(R"(<svg viewBox="0 0 {} {}">)", width, tall);
}

}  // namespace

std::vector<Pixel> thin_to_columns(const std::vector<Pixel>& line) {
  std::vector<Pixel> thinned;
  const auto keep = [&thinned](const Pixel& pixel) {
    if (thinned.empty() || thinned.back() != pixel) thinned.push_back(pixel);
  };
  const auto lower = [](const Pixel& a, const Pixel& b) { return a.y < b.y; };
  if (!line.empty()) keep(line.front());
  for (auto begin = line.begin(); begin != line.end();) {
    const double column = std::floor(begin->x);
    const auto end =
        std::find_if(begin, line.end(), [column](const Pixel& p) { return std::floor(p.x) != column; });
    const auto extremes = std::minmax_element(begin, end, lower);
    keep(*std::min(extremes.first, extremes.second));
    keep(*std::max(extremes.first, extremes.second));
    begin = end;
  }
  if (!line.empty()) keep(line.back());
  return thinned;
}

std::string line_chart(const std::vector<ChartLine>& lines, const Axis& steps, const Axis& values) {
  const Plane plane = {steps, values, width - margin - width_of_labels(lines)};
  std::string text = begin_svg(height);
  const Svg svg = std::back_inserter(text);
  draw_grid(plane, svg);
  for (const ChartLine& line : lines) draw_band(line, plane, svg);
  for (const ChartLine& line : lines) draw_line(line, plane, svg);
  draw_labels(lines, plane, svg);
  for (const ChartLine& line : lines) draw_hover_titles(line, plane, svg);
  return text + "</svg>";
}

std::string scatter_chart(const std::vector<Dot>& dots, const Axis& x, const Axis& y) {
  const Plane plane = {x, y};
  std::string text = begin_svg(height);
  const Svg svg = std::back_inserter(text);
  draw_grid(plane, svg);
  std::vector<Label> labels;  // no name may cover a dot
  for (const Dot& dot : dots) {
    const Pixel at = plane.place(dot.x, dot.y);
    labels.push_back({{at.x - 4, at.y + 4}, "."});
  }
  for (const Dot& dot : dots) {
    const Pixel at = plane.place(dot.x, dot.y);
    fmt::format_to(
        svg, R"(<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}: {} at {}</title></circle>)",
        at.x, at.y, escape_html(dot.name), format_value(dot.y), format_value(dot.x));
    Label label = {{at.x + 8, at.y + 4}, shortened(dot.name)};
    // A name that would leave the plane stands before its dot.
    if (label.at.x + width_of(label.text) > width) label.at.x = at.x - 8 - width_of(label.text);
    place_apart(label, labels);
    fmt::format_to(svg, R"(<text class="value" x="{:.1f}" y="{:.1f}">{}</text>)", label.at.x, label.at.y,
                   escape_html(label.text));
    labels.push_back(std::move(label));
  }
  return text + "</svg>";
}

std::string bar_chart(const std::vector<Bar>& bars) {
  constexpr double row = 30;
  double low = 0;
  double high = 0;
  for (const Bar& bar : bars) {
    low = std::min(low, bar.value);
    high = std::max(high, bar.value);
  }
  const Axis axis = Axis::linear(low, high, false);
  const auto place = [&axis](double value) { return 1 + axis.place(value) * (width - 2); };
  std::string text = begin_svg(row * static_cast<double>(bars.size()) + 2);
  const Svg svg = std::back_inserter(text);
  double y = 0;
  for (const Bar& bar : bars) {
    const double begin = place(std::min(bar.value, 0.0));
    fmt::format_to(svg, R"(<text x="1" y="{:.1f}">{}</text>)", y + 12, escape_html(bar.name));
    fmt::format_to(svg, R"(<text class="value" x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", width - 1,
                   y + 12, format_value(bar.value));
    fmt::format_to(svg, R"(<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="9"/>)", begin,
                   y + 16, place(std::max(bar.value, 0.0)) - begin);
    y += row;
  }
  return text + "</svg>";
}

}  // namespace retort
