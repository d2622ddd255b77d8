#include "measures/abx.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "base/json.h"
#include "base/random.h"

using namespace retort;

namespace {

AbxItems golden_items(const Json& golden) {
  AbxItems items(4);
  for (const Json& item : golden.at("items")) {
    std::vector<float> rows;
    for (const Json& row : item.at("rows"))
      for (const Json& value : row) rows.push_back(value.get<float>());
    items.add({item.at("phone").get<int>(), item.at("context").get<int>(), item.at("speaker").get<int>()},
              rows);
  }
  return items;
}

}  // namespace

TEST_CASE("ABX is that of a loop over all triples") {
  const Json golden = read_json(RETORT_FIXTURES "/evaluate/intrinsic.json").at("abx");
  const AbxItems items = golden_items(golden);
  for (const auto& [name, speakers] :
       {std::pair("within", AbxSpeakers::within), std::pair("across", AbxSpeakers::across)}) {
    for (const int threads : {1, 3}) {
      const AbxScore score = abx_score(items, speakers, threads);
      const Json& expected = golden.at(name);
      CHECK(score.error == Approx(expected.at("error").get<double>()).epsilon(0).margin(1e-9));
      CHECK(score.triples == expected.at("triples").get<int64_t>());
      CHECK(score.cells == expected.at("cells").get<int64_t>());
      CHECK(score.phone_pairs == expected.at("phone_pairs").get<int64_t>());
    }
  }
}

TEST_CASE("equal distances count half, phones apart none") {
  AbxItems same(2), apart(2);
  for (int item = 0; item < 6; ++item) {
    const std::vector<float> one{1, 2}, other{item < 3 ? 1.0f : 0.0f, item < 3 ? 0.0f : 5.0f};
    same.add({item / 3, 0, 0}, one);
    apart.add({item / 3, 0, 0}, other);
  }
  CHECK(abx_score(same, AbxSpeakers::within, 1).error == 0.5);
  CHECK(abx_score(apart, AbxSpeakers::within, 1).error == 0);
  CHECK(abx_score(apart, AbxSpeakers::within, 1).triples == 2 * 3 * 2 * 3);
}

TEST_CASE("angles decide, near and far") {
  // Frames at these angles, in degrees: X at 0; whichever of A and B is nearer is known.
  for (const double nearer : {0.0, 0.5, 30.0, 89.0, 91.0, 150.0, 179.0})
    for (const double farther : {nearer + 0.2, 180.0}) {
      AbxItems items(2);
      const auto add = [&](int phone, double degrees) {
        const double angle = degrees * 3.14159265358979 / 180;
        const std::vector<float> row{static_cast<float>(std::cos(angle)),
                                     static_cast<float>(std::sin(angle))};
        items.add({phone, 0, 0}, row);
      };
      add(0, 0);
      add(0, nearer);
      add(1, -farther);
      const AbxScore score = abx_score(items, AbxSpeakers::within, 1);
      // Of the two X, the one at 0 is nearer to its A, and so is the other, to which B is farther still or
      // beyond the half circle.
      const double from_other = std::min(nearer + farther, 360 - nearer - farther);
      CHECK(score.error == (from_other < nearer ? 0.5 : 0));
    }
}

TEST_CASE("length and scale of an item do not matter where its frames point one way") {
  AbxItems items(2);
  const auto add = [&](int phone, std::vector<float> rows) { items.add({phone, 0, 0}, rows); };
  add(0, {1, 0});
  add(0, {3, 0, 7, 0, 2, 0});
  add(1, {0, 1, 0, 2});
  add(1, {0, 9});
  CHECK(abx_score(items, AbxSpeakers::within, 1).error == 0);
}

TEST_CASE("large groups are measured in pieces") {
  Random random(8);
  AbxItems items(3);
  for (int item = 0; item < 300; ++item) {
    std::vector<float> rows(3 * (20 + random.below(10)));
    for (float& value : rows) value = static_cast<float>(random.uniform() - 0.5);
    items.add({item % 2, 0, 0}, rows);
  }
  const AbxScore score = abx_score(items, AbxSpeakers::within, 2);
  CHECK(score.triples == 2 * 150 * 149 * 150);
  CHECK(score.error == Approx(0.5).margin(0.1));
}

TEST_CASE("items without a pair to compare make no cell") {
  AbxItems items(1);
  const std::vector<float> row{1};
  const auto cells = [&](AbxSpeakers speakers) { return abx_score(items, speakers, 1).cells; };
  CHECK(cells(AbxSpeakers::within) == 0);
  items.add({0, 0, 0}, row);
  items.add({1, 0, 0}, row);
  items.add({0, 1, 0}, row);  // the same phone in another context
  CHECK(cells(AbxSpeakers::within) == 0);
  items.add({0, 0, 0}, row);
  CHECK(cells(AbxSpeakers::within) == 1);
  CHECK(cells(AbxSpeakers::across) == 0);
  items.add({0, 0, 1}, row);
  CHECK(cells(AbxSpeakers::across) == 1);
}
