#include "evaluate/units.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"
#include "store/frame_store.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

using Labels = std::vector<std::pair<std::string, std::vector<int32_t>>>;

// A folder with labels, alignments and what it takes to score one by the other.
class Scene {
 public:
  explicit Scene(int hop = 320) {
    info_.kind = StoreKind::labels;
    info_.dtype = "u16";
    info_.dim = 1;
    info_.clusters = 10;
    info_.origin.model = "model-hash";
    info_.origin.corpus = "corpus-hash";
    info_.origin.hop = hop;
    options.labels = (folder_.path() / "labels").string();
    options.alignments = (folder_.path() / "phones.ctm").string();
    options.result.output = (folder_.path() / "result.json").string();
  }

  void write_labels(const Labels& labels) {
    fs::remove_all(options.labels);
    FramePartWriter writer(options.labels, info_, {});
    for (const auto& [id, values] : labels)
      writer.add_labels(id, static_cast<int64_t>(values.size()) * info_.origin.hop + 80, values);
    writer.commit();
  }
  void write_alignments(std::string_view text) {
    AtomicFile file(options.alignments);
    file.write(text);
    file.commit();
  }
  Json result() const { return read_json(options.result.output); }
  StoreInfo& info() { return info_; }

  UnitsOptions options;

 private:
  TemporaryFolder folder_;
  StoreInfo info_;
};

}  // namespace

TEST_CASE("each frame is scored by the phone at its centre") {
  Scene scene;
  // Centres lie at 12.5, 32.5, 52.5, 72.5, 92.5, 112.5 ms; the phones change at 50 and 90 ms.
  scene.write_labels({{"u", {1, 1, 2, 2, 3, 3}}});
  scene.write_alignments("u 1 0 0.05 AH\nu 1 0.05 0.04 T\nu 1 0.09 0.03 SIL\n");
  CHECK(run_units(scene.options) ==
        "units pnmi 1.0000 phone_purity 1.0000 cluster_purity 1.0000 units_used 2 units 10 perplexity 2.0 "
        "frames 4");
  const Json result = scene.result();
  CHECK(result.at("model") == "model-hash");
  CHECK(result.at("protocol") == "units-1");
  CHECK(result.at("counts").at("frames_of_silence") == 2);
  CHECK(result.at("counts").at("frames_outside_phones") == 0);

  scene.options.keep_silence = true;
  scene.options.result.overwrite = true;
  run_units(scene.options);
  CHECK(scene.result().at("counts").at("frames") == 6);
  CHECK(scene.result().at("counts").at("phones") == 3);
}

TEST_CASE("labels every 160 samples are scored at 50 Hz by --hop 320, at the instants of a model's frames") {
  Scene scene(160);
  scene.write_labels({{"u", {1, 9, 1, 9, 2, 9, 2, 9}}});
  scene.write_alignments("u 1 0 0.05 AH\nu 1 0.05 0.04 T\n");
  scene.options.hop = 320;
  run_units(scene.options);
  CHECK(scene.result().at("counts").at("frames") == 4);
  CHECK(scene.result().at("metrics").at("pnmi").get<double>() == Approx(1));
  scene.options.hop = 0;
  scene.options.result.overwrite = true;
  run_units(scene.options);
  CHECK(scene.result().at("counts").at("frames") == 8);
  CHECK(scene.result().at("metrics").at("pnmi").get<double>() < 0.9);
  for (const int wrong : {-320, 80, 240}) {
    scene.options.hop = wrong;
    CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("--hop"));
  }
}

TEST_CASE("utterances without alignment, alignments without labels and frames between phones are counted") {
  Scene scene;
  scene.write_labels({{"a", {1, 2, 3}}, {"b", {1}}, {"c", {4, 4}}});
  scene.write_alignments("a 1 0 0.02 AH\na 1 0.04 0.03 T\nx 1 0 1 AH\ny 1 0 1 AH\n");
  run_units(scene.options);
  const Json counts = scene.result().at("counts");
  CHECK(counts.at("utterances") == 1);
  CHECK(counts.at("utterances_without_alignment") == 2);
  CHECK(counts.at("alignments_without_labels") == 2);
  CHECK(counts.at("frames") == 2);
  CHECK(counts.at("frames_outside_phones") == 1);
}

TEST_CASE("a rerun has nothing to do, another job is refused by name") {
  Scene scene;
  scene.write_labels({{"u", {1, 1, 2, 2}}});
  scene.write_alignments("u 1 0 0.05 AH\nu 1 0.05 0.04 T\n");
  const std::string line = run_units(scene.options);
  const std::string written = read_file(scene.options.result.output);
  CHECK(run_units(scene.options) == line);
  CHECK(read_file(scene.options.result.output) == written);

  scene.write_labels({{"u", {1, 2, 1, 2}}});
  CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("another job (inputs labels"));
  scene.options.result.overwrite = true;
  CHECK(run_units(scene.options) != line);
}

TEST_CASE("a file that is no result is not taken for one") {
  Scene scene;
  scene.write_labels({{"u", {1, 1, 2, 2}}});
  scene.write_alignments("u 1 0 0.05 AH\nu 1 0.05 0.04 T\n");
  write_json(scene.options.result.output, {{"config", 1}});
  CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("is no result"));
}

TEST_CASE("labels and alignments that do not belong together are refused") {
  Scene scene;
  scene.write_labels({{"u", {1, 1, 2, 2}}});
  scene.write_alignments("v 1 0 0.05 AH\n");
  CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("none of its 1 utterances is aligned"));
  scene.write_alignments("u 1 0 0.05 AH\nu 1 5 0.05 T\n");
  CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("utterance u is aligned to 5.05 s"));
  CHECK_FALSE(fs::exists(scene.options.result.output));
}

TEST_CASE("stores that are no frame-wise labels are refused") {
  Scene scene;
  scene.write_alignments("u 1 0 0.05 AH\n");
  scene.info().dedup = true;
  scene.write_labels({{"u", {1, 2}}});
  CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("--dedup"));
  fs::remove_all(scene.options.labels);
  scene.info() = StoreInfo{};
  scene.info().dim = 1;
  FramePartWriter writer(scene.options.labels, scene.info(), {});
  writer.add_features("u", 400, Matrix(1, 1));
  writer.commit();
  CHECK_THROWS_WITH(run_units(scene.options), Catch::Contains("holds features"));
}
