#include "report/panels.h"

#include <catch2/catch.hpp>

using namespace retort;

namespace {

Run run_of(const std::vector<std::string>& keys) {
  Run run;
  for (const std::string& key : keys) run.log.curves.push_back({key, {{1, 1.0}}});
  return run;
}

std::string group_of(const std::string& key) {
  const auto groups = arrange_panels({run_of({key})});
  REQUIRE(groups.size() == 1);
  return groups[0].title;
}

}  // namespace

TEST_CASE("keys are grouped by their words") {
  CHECK(group_of("masked.loss") == "Losses");
  CHECK(group_of("validation.unmasked.loss") == "Losses");
  CHECK(group_of("feature_penalty") == "Losses");
  CHECK(group_of("terms.head12") == "Losses");
  CHECK(group_of("unmasked.accuracy") == "Accuracies");
  CHECK(group_of("target_perplexity") == "Perplexities");
  CHECK(group_of("lr") == "Learning rate");
  CHECK(group_of("gradient_norm") == "Gradients");
  CHECK(group_of("audio_per_second") == "Throughput");
  CHECK(group_of("data_wait_share") == "Waiting and padding");
  CHECK(group_of("pad_share") == "Waiting and padding");
  CHECK(group_of("masked.frames") == "Counts and times");
  CHECK(group_of("student_variance") == "Other quantities");
  CHECK(group_of("glossary") == "Other quantities");
  CHECK(group_of("") == "Other quantities");
}

TEST_CASE("a panel has the curves of all runs that know its quantity") {
  const std::vector<Run> runs = {run_of({"lr", "masked.loss", "odd"}), run_of({"masked.loss", "l1.loss"})};
  const auto groups = arrange_panels(runs);
  REQUIRE(groups.size() == 3);
  CHECK(groups[0].title == "Losses");
  REQUIRE(groups[0].panels.size() == 2);
  CHECK(groups[0].panels[0].key == "masked.loss");
  REQUIRE(groups[0].panels[0].curves.size() == 2);
  CHECK(groups[0].panels[0].curves[1].run == 1);
  CHECK(groups[0].panels[0].curves[1].curve == &runs[1].log.curves[0]);
  CHECK(groups[0].panels[1].curves.size() == 1);
  CHECK(groups[2].title == "Other quantities");
}
