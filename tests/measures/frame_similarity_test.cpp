#include "measures/frame_similarity.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/random.h"

using namespace retort;

namespace {

using Rows = std::vector<std::vector<float>>;

FrameSimilarity compare(const std::vector<Rows>& ours, const std::vector<Rows>& theirs, int threads = 1) {
  const auto widths = [](const std::vector<Rows>& layers) {
    std::vector<int64_t> list;
    for (const Rows& layer : layers) list.push_back(static_cast<int64_t>(layer.front().size()));
    return list;
  };
  FrameSimilaritySums sums(widths(ours), widths(theirs), threads);
  const auto frame_of = [](const std::vector<Rows>& layers, std::size_t frame) {
    std::vector<const float*> values;
    for (const Rows& layer : layers) values.push_back(layer[frame].data());
    return values;
  };
  for (std::size_t frame = 0; frame < ours.front().size(); ++frame)
    sums.add(frame_of(ours, frame), frame_of(theirs, frame));
  return sums.finish();
}

Rows random_rows(Random& random, std::size_t frames, std::size_t width, double mean) {
  Rows rows(frames, std::vector<float>(width));
  for (auto& row : rows)
    for (float& value : row) value = static_cast<float>(mean + random.uniform() - 0.5);
  return rows;
}

}  // namespace

TEST_CASE("CKA and cosine are those of numpy") {
  const Json golden = read_json(RETORT_FIXTURES "/evaluate/intrinsic.json").at("similarity");
  for (const int threads : {1, 3}) {
    const FrameSimilarity similarity = compare(golden.at("ours").get<std::vector<Rows>>(),
                                               golden.at("theirs").get<std::vector<Rows>>(), threads);
    CHECK(similarity.frames == 300);
    for (std::size_t our = 0; our < 2; ++our)
      for (std::size_t their = 0; their < 2; ++their) {
        REQUIRE(similarity.cka[our][their].has_value());
        CHECK(*similarity.cka[our][their] ==
              Approx(golden.at("cka")[our][their].get<double>()).epsilon(0).margin(1e-6));
        const Json& cosine = golden.at("cosine")[our][their];
        REQUIRE(similarity.cosine[our][their].has_value() == !cosine.is_null());
        if (!cosine.is_null())
          CHECK(*similarity.cosine[our][their] == Approx(cosine.get<double>()).epsilon(0).margin(1e-6));
      }
  }
}

TEST_CASE("CKA does not see rotation, scale and shift, even of frames far from zero") {
  Random random(5);
  const Rows x = random_rows(random, 700, 2, 100);
  Rows y = x;
  for (auto& row : y) row = {3 * row[1] - 50, -3 * row[0]};
  const FrameSimilarity similarity = compare({x}, {y});
  CHECK(*similarity.cka[0][0] == Approx(1).epsilon(1e-6));
  CHECK(*similarity.cosine[0][0] < 0.9);
}

TEST_CASE("a layer that never changes has no CKA, and a frame of zeros no direction") {
  Random random(6);
  const FrameSimilarity similarity =
      compare({Rows(20, {0.0f, 0.0f})}, {random_rows(random, 20, 2, 0), Rows(20, {1.0f, 1.0f})});
  CHECK_FALSE(similarity.cka[0][0].has_value());
  CHECK_FALSE(similarity.cka[0][1].has_value());
  CHECK(*similarity.cosine[0][1] == 0);
  CHECK_THROWS_WITH(compare({Rows(1, {1.0f})}, {Rows(1, {1.0f})}), Catch::Contains("too few"));
}
