#include "measures/unit_quality.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"

using namespace retort;

using Table = std::vector<std::vector<int64_t>>;

TEST_CASE("scores are those of scikit-learn") {
  const Json golden = read_json(RETORT_FIXTURES "/evaluate/unit_quality.json");
  const UnitQuality quality = unit_quality(golden.at("counts").get<Table>());
  const auto expected = [&](const char* key) { return Approx(golden.at(key).get<double>()).epsilon(1e-10); };
  CHECK(quality.pnmi == expected("pnmi"));
  CHECK(quality.mutual_information == expected("mutual_information"));
  CHECK(quality.phone_entropy == expected("phone_entropy"));
  CHECK(quality.unit_entropy == expected("unit_entropy"));
  CHECK(quality.phone_purity == expected("phone_purity"));
  CHECK(quality.cluster_purity == expected("cluster_purity"));
  CHECK(quality.units_used == golden.at("units_used").get<int64_t>());
  CHECK(quality.phones_seen == 9);
  CHECK(quality.frames == 4000);
  CHECK(quality.phone_hits == std::llround(4000 * quality.phone_purity));
  CHECK(quality.cluster_hits == std::llround(4000 * quality.cluster_purity));
}

TEST_CASE("units that name the phone take all uncertainty away") {
  const UnitQuality quality = unit_quality({{0, 7, 0, 0}, {3, 0, 0, 0}, {0, 0, 0, 5}});
  CHECK(quality.pnmi == Approx(1));
  CHECK(quality.phone_purity == 1);
  CHECK(quality.cluster_purity == 1);
  CHECK(quality.units_used == 3);
}

TEST_CASE("more units than phones keep PNMI and phone purity, and cost cluster purity") {
  const UnitQuality quality = unit_quality({{4, 6, 0, 0}, {0, 0, 5, 5}});
  CHECK(quality.pnmi == Approx(1));
  CHECK(quality.phone_purity == 1);
  CHECK(quality.cluster_purity == Approx(0.55));
}

TEST_CASE("units that do not depend on the phone say nothing") {
  const UnitQuality quality = unit_quality({{2, 4, 6}, {4, 8, 12}});
  CHECK(quality.pnmi == Approx(0).margin(1e-12));
  CHECK(quality.phone_purity == Approx(2.0 / 3));
  CHECK(quality.cluster_purity == Approx(0.5));
}

TEST_CASE("scores stay within their bounds and do not depend on the order of phones and units") {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    Table table(2 + random.below(6), std::vector<int64_t>(1 + random.below(8)));
    for (auto& row : table)
      for (int64_t& count : row) count = static_cast<int64_t>(random.below(4));
    table.front().front() = table.back().back() = 1;
    const UnitQuality quality = unit_quality(table);
    CHECK(quality.pnmi >= 0);
    CHECK(quality.pnmi <= 1 + 1e-12);
    CHECK(quality.mutual_information <= quality.unit_entropy + 1e-12);
    CHECK(quality.phone_hits * quality.phones_seen >= quality.frames);
    CHECK(quality.cluster_hits * quality.units_used >= quality.frames);
    CHECK(quality.unit_perplexity <= static_cast<double>(quality.units_used) + 1e-9);

    random.shuffle(table);
    for (auto& row : table) std::reverse(row.begin(), row.end());
    const UnitQuality turned = unit_quality(table);
    CHECK(turned.pnmi == Approx(quality.pnmi).margin(1e-12));
    CHECK(turned.phone_hits == quality.phone_hits);
    CHECK(turned.cluster_hits == quality.cluster_hits);
  }
}

TEST_CASE("without frames or with one phone alone there is no score") {
  CHECK_THROWS_WITH(unit_quality({}), Catch::Contains("no frame"));
  CHECK_THROWS_WITH(unit_quality({{0, 0}, {0, 0}}), Catch::Contains("no frame"));
  CHECK_THROWS_WITH(unit_quality({{3, 1}, {0, 0}}), Catch::Contains("all 4 frames lie in the same phone"));
}
