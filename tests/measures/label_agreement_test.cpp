#include "measures/label_agreement.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/random.h"

using namespace retort;

TEST_CASE("agreement is that of scikit-learn") {
  const Json golden = read_json(RETORT_FIXTURES "/evaluate/intrinsic.json").at("agreement");
  const LabelAgreement agreement = label_agreement(golden.at("counts").get<ContingencyTable>());
  const auto expected = [&](const char* key) { return Approx(golden.at(key).get<double>()).epsilon(1e-10); };
  CHECK(agreement.normalised_information == expected("normalised_information"));
  CHECK(agreement.adjusted_rand == expected("adjusted_rand"));
  CHECK(agreement.mutual_information == expected("mutual_information"));
  CHECK(agreement.frames == 1500);
  CHECK(agreement.reference_used == 7);
  CHECK(agreement.labels_used == 11);
}

TEST_CASE("the same partition under other names agrees, labels drawn apart do not") {
  const LabelAgreement same = label_agreement({{0, 7, 0}, {3, 0, 0}, {0, 0, 5}});
  CHECK(same.normalised_information == Approx(1));
  CHECK(same.adjusted_rand == Approx(1));
  const LabelAgreement apart = label_agreement({{10, 20, 30}, {10, 20, 30}});
  CHECK(apart.normalised_information == Approx(0).margin(1e-12));
  CHECK(apart.adjusted_rand < 0.01);
  CHECK(label_agreement({{1, 0}, {0, 1}}).adjusted_rand == 1);  // every frame apart on both sides
}

TEST_CASE("what cannot agree is refused") {
  CHECK_THROWS_WITH(label_agreement({}), Catch::Contains("nothing to compare"));
  CHECK_THROWS_WITH(label_agreement({{3, 4}}), Catch::Contains("the same reference label"));
  CHECK_THROWS_WITH(label_agreement({{3}, {4}}), Catch::Contains("the same label"));
}
