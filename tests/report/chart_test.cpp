#include "report/chart.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <random>

using namespace retort;

namespace {

std::vector<Pixel> noisy_line(std::size_t vertices, double width) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> noise;
  std::vector<Pixel> line;
  for (std::size_t i = 0; i < vertices; ++i)
    line.push_back({width * static_cast<double>(i) / static_cast<double>(vertices), noise(random)});
  return line;
}

// Lowest and highest y of each column.
std::map<int, std::pair<double, double>> extremes(const std::vector<Pixel>& line) {
  std::map<int, std::pair<double, double>> columns;
  for (const Pixel& pixel : line) {
    auto [found, is_new] = columns.try_emplace(static_cast<int>(std::floor(pixel.x)), pixel.y, pixel.y);
    found->second.first = std::min(found->second.first, pixel.y);
    found->second.second = std::max(found->second.second, pixel.y);
  }
  return columns;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("a long line keeps the extremes of every column, its ends and its order") {
  const std::vector<Pixel> line = noisy_line(100000, 360);
  const std::vector<Pixel> thinned = thin_to_columns(line);
  CHECK(thinned.size() <= 2 * 360 + 2);
  CHECK(extremes(thinned) == extremes(line));
  CHECK(thinned.front() == line.front());
  CHECK(thinned.back() == line.back());
  auto next = line.begin();
  for (const Pixel& pixel : thinned) {
    next = std::find(next, line.end(), pixel);
    REQUIRE(next != line.end());
    ++next;
  }
}

TEST_CASE("a line of a vertex per column stays as it is") {
  const std::vector<Pixel> line = noisy_line(200, 400);
  CHECK(thin_to_columns(line) == line);
  CHECK(thin_to_columns({}).empty());
  CHECK(thin_to_columns({{5, 7}}).size() == 1);
}

TEST_CASE("a chart of a long curve is small and says its values") {
  Curve curve{"loss", {}};
  for (int64_t step = 1; step <= 100000; ++step)
    curve.points.push_back({step, 2 + std::sin(static_cast<double>(step))});
  const std::string svg =
      line_chart({{"a<b", "c0", "a<b", &curve}}, Axis::linear(0, 100000, false), Axis::linear(0, 3, true));
  CHECK(svg.size() < 30000);
  CHECK(occurrences(svg, "<circle") == 40);
  CHECK(svg.find("a<b") == std::string::npos);
  CHECK(occurrences(svg, "<title>a&lt;b, step 1: 2.8415</title>") == 1);
  CHECK(occurrences(svg, "<title>a&lt;b, step 100000: 2.0357</title>") == 1);
  CHECK(occurrences(svg, "<text class=\"label\"") == 1);
}

TEST_CASE("a curve of one point is drawn as a dot") {
  const Curve curve{"loss", {{5, 1.0}}};
  const std::string svg =
      line_chart({{"run", "c0", "", &curve}}, Axis::linear(0, 5, false), Axis::linear(1, 1, true));
  CHECK(occurrences(svg, "<circle") == 1);
  const std::size_t path = svg.find("<path class=\"line c0\" d=\"M");
  REQUIRE(path != std::string::npos);
  const std::string drawn = svg.substr(path, svg.find("\">", path) - path);
  const std::string first = drawn.substr(drawn.find('M') + 1, drawn.find('L') - drawn.find('M') - 1);
  CHECK(drawn.substr(drawn.find('L') + 1) == first);
}

TEST_CASE("labels of lines that end together stand below each other") {
  const Curve curve{"loss", {{0, 2.0}, {5, 1.0}}};
  const std::string svg =
      line_chart({{"one", "reference", "one", &curve}, {"two", "reference", "two", &curve}},
                 Axis::linear(0, 5, false), Axis::linear(0, 2, true));
  std::vector<double> heights;
  for (std::size_t at = svg.find("class=\"label\""); at != std::string::npos;
       at = svg.find("class=\"label\"", at + 1))
    heights.push_back(std::stod(svg.substr(svg.find("y=\"", at) + 3)));
  REQUIRE(heights.size() == 2);
  CHECK(heights[1] - heights[0] >= 10);
}

TEST_CASE("a band goes along its highest values and back along its lowest") {
  const Curve low{"loss", {{0, 1.0}, {10, 0.0}}}, mean{"loss", {{0, 2.0}, {10, 1.0}}},
      high{"loss", {{0, 3.0}, {10, 2.0}}};
  const Axis steps = Axis::linear(0, 10, false), values = Axis::linear(0, 3, true);
  const std::string svg = line_chart({{"seeds", "reference", "", &mean, &low, &high}}, steps, values);
  const std::size_t band = svg.find("<path class=\"band reference\" d=\"M");
  REQUIRE(band != std::string::npos);
  CHECK(band < svg.find("<path class=\"line"));
  const std::string drawn = svg.substr(band, svg.find("\"><title>", band) - band);
  CHECK(occurrences(drawn, "L") == 3);
  CHECK(drawn.back() == 'Z');
  const std::string alone = line_chart({{"one", "reference", "", &mean}}, steps, values);
  CHECK(occurrences(alone, "class=\"band") == 0);
}

TEST_CASE("bars are as long as their values, to both sides of zero") {
  const std::string svg = bar_chart({{"half", 0.5}, {"whole", 1.0}, {"below", -1.0}});
  std::vector<double> begins;
  std::vector<double> lengths;
  for (std::size_t at = svg.find("<rect"); at != std::string::npos; at = svg.find("<rect", at + 1)) {
    begins.push_back(std::stod(svg.substr(svg.find("x=\"", at) + 3)));
    lengths.push_back(std::stod(svg.substr(svg.find("width=\"", at) + 7)));
  }
  REQUIRE(lengths.size() == 3);
  CHECK(lengths[1] == Approx(2 * lengths[0]).margin(0.2));
  CHECK(lengths[2] == Approx(lengths[1]).margin(0.2));
  CHECK(begins[0] == begins[1]);
  CHECK(begins[2] + lengths[2] == Approx(begins[0]).margin(0.2));
}

TEST_CASE("dots are named beside them, within the plane and apart") {
  const std::vector<Dot> dots = {
      {"one", 1, 1}, {"a name too long to stand in a chart", 100, 2}, {"<three>", 1, 1}};
  const std::string svg = scatter_chart(dots, Axis::logarithmic(1, 100), Axis::linear(1, 2, true));
  CHECK(std::count(svg.begin(), svg.end(), '\n') == 0);
  CHECK(svg.find("<title>one: 1 at 1</title>") != std::string::npos);
  CHECK(svg.find("&lt;three&gt;") != std::string::npos);
  CHECK(svg.find(">...") != std::string::npos);
  // Two dots at the same place have their names below each other.
  const auto height_of = [&](const std::string& name) {
    const std::size_t end = svg.find("\">" + name + "</text>");
    return svg.substr(svg.rfind("y=\"", end) + 3, end - svg.rfind("y=\"", end) - 3);
  };
  CHECK(height_of("one") != height_of("&lt;three&gt;"));
}
