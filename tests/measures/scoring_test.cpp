// The task metrics against other tools' (tests/fixtures/scoring), and what must hold of any input.
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/random.h"
#include "measures/ctc_decoding.h"
#include "measures/detection.h"
#include "measures/diarisation.h"
#include "measures/dtw.h"
#include "measures/slots.h"
#include "measures/transcripts.h"

using namespace retort;

namespace {

const Json& golden(const char* part) {
  static const Json all = read_json(RETORT_FIXTURES "/scoring/scoring.json");
  return all.at(part);
}

Approx near(const Json& value) {
  return Approx(value.get<double>()).epsilon(1e-6).margin(1e-9);
}

Matrix matrix_of(const Json& rows) {
  Matrix matrix(static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows.at(0).size()));
  for (int64_t row = 0; row < matrix.rows(); ++row)
    for (int64_t column = 0; column < matrix.columns(); ++column)
      matrix(row, column) =
          rows.at(static_cast<std::size_t>(row)).at(static_cast<std::size_t>(column)).get<float>();
  return matrix;
}

std::vector<Trial> trials_of(const Json& scores, const Json& targets) {
  std::vector<Trial> trials;
  for (std::size_t i = 0; i < scores.size(); ++i)
    trials.push_back({scores.at(i).get<double>(), targets.at(i).get<int>() == 1});
  return trials;
}

std::vector<SpeakerTurn> turns_of(const Json& rows) {
  std::vector<SpeakerTurn> turns;
  for (const Json& row : rows)
    turns.push_back({row.at(0).get<int64_t>(), row.at(1).get<int64_t>(), row.at(2).get<std::string>()});
  return turns;
}

}  // namespace

TEST_CASE("edits are as many as jiwer counts") {
  Transcripts references, hypotheses;
  for (const Json& pair : golden("transcripts").at("pairs")) {
    const auto reference = pair.at("reference").get<std::string>();
    const auto hypothesis = pair.at("hypothesis").get<std::string>();
    CAPTURE(reference, hypothesis);
    CHECK(count_edits(words_of(reference), words_of(hypothesis)).total() == pair.at("word_edits"));
    CHECK(count_edits(characters_of(reference), characters_of(hypothesis)).total() ==
          pair.at("character_edits"));
    const std::string id = fmt::format("u{}", references.size());
    references[id] = reference;
    hypotheses[id] = hypothesis;
  }
  const std::vector<std::string> ids = keys_of(references);
  CHECK(score_transcripts(references, hypotheses, ids, words_of).edits.rate() ==
        near(golden("transcripts").at("wer")));
  CHECK(score_transcripts(references, hypotheses, ids, characters_of).edits.rate() ==
        near(golden("transcripts").at("cer")));
}

TEST_CASE("deletions and insertions make up the difference in length, and few are counted") {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> reference(random.below(7)), hypothesis(random.below(7));
    for (auto* side : {&reference, &hypothesis})
      for (std::string& token : *side) token = std::string(1, static_cast<char>('a' + random.below(3)));
    const Edits edits = count_edits(reference, hypothesis);
    CHECK(edits.insertions - edits.deletions ==
          static_cast<int64_t>(hypothesis.size()) - static_cast<int64_t>(reference.size()));
    CHECK(edits.total() <= static_cast<int64_t>(std::max(reference.size(), hypothesis.size())));
    CHECK((edits.total() == 0) == (reference == hypothesis));
    CHECK(edits.total() == count_edits(hypothesis, reference).total());
  }
}

TEST_CASE("hypotheses must have the references' ids, unless a partial score will do") {
  CHECK_THROWS_WITH(match_keys({"a", "b", "c"}, {"b", "d"}, "hyp", false),
                    Catch::Contains("2 references without hypothesis (first: a), 1 hypotheses without") &&
                        Catch::Contains("first: d"));
  const KeyMatch match = match_keys({"a", "b", "c"}, {"b", "d"}, "hyp", true);
  CHECK(match.common == std::vector<std::string>{"b"});
  CHECK(match.missing == std::vector<std::string>{"a", "c"});
  CHECK(match.extra == std::vector<std::string>{"d"});
  CHECK_THROWS_WITH(match_keys({"a"}, {"b"}, "hyp", true), Catch::Contains("none of the 1 references"));
}

TEST_CASE("what is said where nothing should be counts as inserted; nothing at all has no rate") {
  const Transcripts references = {{"a", ""}, {"b", "x y"}}, hypotheses = {{"a", "z"}, {"b", "x"}};
  const TranscriptScore score = score_transcripts(references, hypotheses, {"a", "b"}, words_of);
  CHECK(score.edits.rate() == 1);
  CHECK(score.empty_references == 1);
  CHECK(score.wrong_utterances == 2);
  CHECK_THROWS_WITH(score_transcripts(references, hypotheses, {"a"}, words_of), Catch::Contains("are empty"));
}

TEST_CASE("transcripts are read with their file's lines in errors") {
  TemporaryFolder folder;
  const auto path = folder.path() / "text";
  const auto write = [&](std::string_view text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
  };
  write("a one  two\n\nb\n");
  CHECK(read_transcripts(path) == Transcripts{{"a", "one two"}, {"b", ""}});
  write("a one\na two\n");
  CHECK_THROWS_WITH(read_transcripts(path), Catch::Contains("text:2: a second line for a"));
  write("\n");
  CHECK_THROWS_WITH(read_transcripts(path), Catch::Contains("holds no transcripts"));
}

TEST_CASE("slots are found by their marks") {
  const Slots slots =
      slots_of("play B-artist nina simone E-artist and B-artist abba E-artist in B-city E-city B-x");
  CHECK(slots == Slots{{"artist", {"nina simone", "abba"}}});
  CHECK(slots_of("B-a one B-b two E-b E-a") == Slots{{"a", {"one two"}}});
  CHECK(slots_of("nothing E-a here").empty());
}

TEST_CASE("slot scores, by hand") {
  const Transcripts references = {{"1", "B-a cat E-a B-b dog E-b"}, {"2", "nothing"}, {"3", "B-a ox E-a"}};
  const Transcripts hypotheses = {{"1", "B-a cut E-a B-a cart E-a"}, {"2", "no"}, {"3", "B-b ox E-b"}};
  const SlotScore score = score_slots(references, hypotheses, {"1", "2", "3"});
  // Kinds of utterance 1: {a, b} against {a}; F1 2/3. Utterance 2: none, 1. Utterance 3: 0.
  CHECK(score.type_f1() == Approx((2.0 / 3 + 1 + 0) / 3));
  // cat against cut: 1 of 3. dog against nothing: 3 of 3. ox against nothing: 2 of 2.
  CHECK(score.value_edits.total() == 6);
  CHECK(score.value_edits.reference == 8);
  CHECK_THROWS_WITH(score_slots(references, hypotheses, {"2"}), Catch::Contains("has a slot"));
}

TEST_CASE("DET curve, equal error rate and least cost are those of scikit-learn") {
  for (const Json& one : golden("detection")) {
    const std::vector<DetPoint> curve = det_curve(trials_of(one.at("scores"), one.at("targets")));
    CHECK(equal_error_rate(curve) == near(one.at("eer")));
    CHECK(min_detection_cost(curve, 0.01) == near(one.at("min_dcf").at("0.01")));
    CHECK(min_detection_cost(curve, 0.05) == near(one.at("min_dcf").at("0.05")));
    if (one.at("det").is_null()) continue;
    // scikit-learn leaves out points at the ends where one of the rates no longer changes.
    const Json& det = one.at("det");
    for (std::size_t i = 0; i < det.at("miss").size(); ++i) {
      const auto threshold = det.at("threshold").at(i).get<double>();
      const auto found = std::find_if(curve.begin(), curve.end(),
                                      [&](const DetPoint& point) { return point.threshold == threshold; });
      REQUIRE(found != curve.end());
      CHECK(found->miss == near(det.at("miss").at(i)));
      CHECK(found->false_alarm == near(det.at("false_alarm").at(i)));
    }
  }
}

TEST_CASE("detection at its extremes") {
  const auto eer = [](const std::vector<Trial>& trials) { return equal_error_rate(det_curve(trials)); };
  CHECK(eer({{1, true}, {0, false}}) == Approx(0).margin(1e-12));
  CHECK(eer({{0, true}, {1, false}}) == Approx(1));
  CHECK(eer({{1, true}, {1, false}}) == Approx(0.5));
  CHECK_THROWS_WITH(det_curve({{1, true}}), Catch::Contains("needs both"));
  CHECK_THROWS_WITH(det_curve({{1, true}, {std::nan(""), false}}), Catch::Contains("not a number"));
}

TEST_CASE("the greatest term-weighted value is found") {
  for (const Json& one : golden("term_detection")) {
    std::vector<QueryTrials> queries;
    for (std::size_t q = 0; q < one.at("scores").size(); ++q)
      queries.push_back(trials_of(one.at("scores").at(q), one.at("targets").at(q)));
    const TermWeightedValue best = max_term_weighted_value(queries, quesst_beta);
    CHECK(best.value == near(one.at("mtwv")));
    CHECK(best.queries_without == 1);
    CHECK(best.queries == static_cast<int64_t>(queries.size()) - 1);
  }
  CHECK(quesst_beta == Approx(12.49));
  CHECK(max_term_weighted_value({{{1, true}, {0, false}}}, 1).value == 1);
  CHECK(max_term_weighted_value({{{0, true}, {1, false}}}, 1).value == 0);
  CHECK_THROWS_WITH(max_term_weighted_value({{{0, false}}}, 1), Catch::Contains("none of 1 queries"));
}

TEST_CASE("diarisation errors are pyannote's, to the sample") {
  for (const Json& one : golden("diarisation")) {
    for (const Json& rule : one.at("rules")) {
      const DiarisationErrors errors =
          count_diarisation_errors(turns_of(one.at("reference")), turns_of(one.at("hypothesis")),
                                   {rule.at("collar").get<int64_t>(), rule.at("skip_overlap").get<bool>()});
      CAPTURE(rule.dump());
      CHECK(errors.speech == rule.at("total"));
      CHECK(errors.missed == rule.at("missed detection"));
      CHECK(errors.false_alarm == rule.at("false alarm"));
      CHECK(errors.confusion == rule.at("confusion"));
    }
  }
}

TEST_CASE("speakers' names do not matter, and a perfect hypothesis has no errors") {
  const std::vector<SpeakerTurn> reference = {{0, 100, "a"}, {50, 150, "b"}, {200, 300, "a"}};
  const std::vector<SpeakerTurn> renamed = {{0, 100, "y"}, {50, 150, "x"}, {200, 300, "y"}};
  CHECK(count_diarisation_errors(reference, renamed, {}).total() == 0);
  CHECK(count_diarisation_errors(reference, {}, {}).rate() == 1);
  CHECK_THROWS_WITH(count_diarisation_errors({}, renamed, {}).rate(), Catch::Contains("nothing is spoken"));
}

TEST_CASE("the best pairing is the best of all") {
  Random random(9);
  for (int round = 0; round < 200; ++round) {
    const std::size_t rows = 1 + random.below(4), columns = 1 + random.below(5);
    std::vector<std::vector<int64_t>> weights(rows, std::vector<int64_t>(columns));
    for (auto& row : weights)
      for (int64_t& weight : row) weight = static_cast<int64_t>(random.below(20));
    // Every way to give rows different columns; numbers from `columns` on stand for none.
    std::vector<int> order(rows + columns);
    std::iota(order.begin(), order.end(), 0);
    int64_t most = 0;
    do {
      int64_t sum = 0;
      for (std::size_t row = 0; row < rows; ++row)
        if (order[row] < static_cast<int>(columns)) sum += weights[row][static_cast<std::size_t>(order[row])];
      most = std::max(most, sum);
      std::reverse(order.begin() + static_cast<std::ptrdiff_t>(rows), order.end());
    } while (std::next_permutation(order.begin(), order.end()));
    int64_t found = 0;
    std::vector<bool> taken(columns, false);
    const std::vector<int> pairing = best_pairing(weights);
    for (std::size_t row = 0; row < rows; ++row) {
      if (pairing[row] < 0) continue;
      const auto column = static_cast<std::size_t>(pairing[row]);
      CHECK_FALSE(taken[column]);
      taken[column] = true;
      found += weights[row][column];
    }
    CHECK(found == most);
  }
}

TEST_CASE("RTTM files are read and written") {
  TemporaryFolder folder;
  const auto path = folder.path() / "turns.rttm";
  const auto write = [&](const std::string& text) {
    AtomicFile file(path);
    file.write(text);
    file.commit();
  };
  const std::vector<SpeakerTurn> turns = {{0, 8000, "a"}, {4000, 16001, "b"}};
  write("SPKR-INFO r 1 <NA> <NA> <NA> unknown a <NA>\n" + rttm_of("r", turns));
  const SpeakerTurns read = read_rttm(path);
  REQUIRE(read.size() == 1);
  CHECK(count_diarisation_errors(turns, read.at("r"), {}).total() == 0);
  CHECK(read.at("r")[1].end == 16001);
  write("SPEAKER r 1 0 -1 <NA> <NA> a <NA> <NA>\n");
  CHECK_THROWS_WITH(read_rttm(path), Catch::Contains("turns.rttm:1: 0 -1 is no start and duration"));
  write("SPEAKER r 1 0\n");
  CHECK_THROWS_WITH(read_rttm(path), Catch::Contains("turns.rttm:1: 4 fields"));
  write("\n");
  CHECK_THROWS_WITH(read_rttm(path), Catch::Contains("holds no SPEAKER lines"));
}

TEST_CASE("subsequence costs are dtw-python's") {
  for (const Json& one : golden("warping")) {
    const Matrix distances = query_distances(matrix_of(one.at("query")), matrix_of(one.at("document")),
                                             one.at("spread").get<bool>());
    const Matrix expected = matrix_of(one.at("distances"));
    for (int64_t row = 0; row < expected.rows(); ++row)
      for (int64_t column = 0; column < expected.columns(); ++column)
        CHECK(distances(row, column) == Approx(expected(row, column)).epsilon(1e-5).margin(1e-6));
    CHECK(subsequence_cost(distances) == near(one.at("cost")));
  }
  CHECK_THROWS_WITH(subsequence_cost(Matrix(3, 0)), Catch::Contains("a query of 3 frames"));
}

TEST_CASE("a query is found where it lies, at any speed between half and double") {
  Random random(4);
  Matrix document(30, 5);
  for (int64_t i = 0; i < 150; ++i) document.data()[i] = static_cast<float>(random.uniform() - 0.5);
  const auto part = [&](const std::vector<int64_t>& rows) {
    Matrix query(static_cast<int64_t>(rows.size()), 5);
    for (int64_t i = 0; i < query.rows(); ++i)
      std::copy_n(document.row(rows[static_cast<std::size_t>(i)]).begin(), 5, query.row(i).begin());
    return query;
  };
  const auto cost = [&](const std::vector<int64_t>& rows) {
    return subsequence_cost(query_distances(part(rows), document, true));
  };
  CHECK(cost({11, 12, 13, 14}) == Approx(0).margin(1e-6));
  CHECK(cost({11, 13, 15, 17}) == Approx(0).margin(1e-6));
  CHECK(cost({11, 11, 12, 12}) == Approx(0).margin(1e-6));
  CHECK(cost({14, 13, 12, 11}) > 0.01);
}

TEST_CASE("a beam that keeps all finds the labels with the least CTC loss") {
  for (const Json& one : golden("ctc")) {
    const Matrix scores = matrix_of(one.at("scores"));
    const CtcHypothesis found = decode_by_beam(scores, 1 << 20);
    CHECK(found.labels == one.at("best").get<std::vector<int>>());
    CHECK(found.log_probability == near(one.at("log_probability")));
    CHECK(decode_greedily(scores) == one.at("greedy").get<std::vector<int>>());
  }
  CHECK(decode_by_beam(Matrix(0, 3), 4).labels.empty());
  CHECK(decode_greedily(Matrix(0, 3)).empty());
}

TEST_CASE("a wider beam finds labels at least as probable, and all beams merge repetitions alone") {
  Random random(2);
  for (int round = 0; round < 20; ++round) {
    Matrix scores(12, 5);
    for (int64_t frame = 0; frame < scores.rows(); ++frame) {
      double sum = 0;
      for (float& value : scores.row(frame)) sum += value = static_cast<float>(random.uniform() + 0.01);
      for (float& value : scores.row(frame)) value = static_cast<float>(std::log(value / sum));
    }
    const double all = decode_by_beam(scores, 1 << 16).log_probability;
    for (const int width : {1, 3, 30}) CHECK(decode_by_beam(scores, width).log_probability <= all + 1e-9);
  }
  // a, a, blank, a: two labels.
  Matrix clear(4, 2, {-9, 0, -9, 0, 0, -9, -9, 0});
  CHECK(decode_by_beam(clear, 4).labels == std::vector<int>{1, 1});
  CHECK(decode_greedily(clear) == std::vector<int>{1, 1});
}
