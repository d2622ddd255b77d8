#include "evaluate/score.h"

#include <cmath>

#include "audio/waveform.h"
#include "base/hash.h"
#include "measures/detection.h"
#include "measures/diarisation.h"
#include "measures/slots.h"
#include "measures/transcripts.h"
#include "measures/trials.h"

namespace retort {
namespace {

constexpr const char* protocol = "score-1";

struct Scored {
  Json metrics;
  Json counts;
  KeyMatch keys;
};

// Pairs the keys of two maps as the options allow.
template <class References, class Hypotheses>
KeyMatch match(const References& references, const Hypotheses& hypotheses, const ScoreOptions& options) {
  return match_keys(keys_of(references), keys_of(hypotheses), options.hypotheses, options.partial);
}

Scored score_texts(const ScoreOptions& options) {
  const Transcripts references = read_transcripts(options.references);
  const Transcripts hypotheses = read_transcripts(options.hypotheses);
  const KeyMatch keys = match(references, hypotheses, options);
  const bool words = options.metric == "wer";
  const TranscriptScore score =
      score_transcripts(references, hypotheses, keys.common, words ? words_of : characters_of);
  return {{{options.metric, score.edits.rate()}}, counts_of(score), keys};
}

Scored score_slot_values(const ScoreOptions& options) {
  const Transcripts references = read_transcripts(options.references);
  const Transcripts hypotheses = read_transcripts(options.hypotheses);
  const KeyMatch keys = match(references, hypotheses, options);
  const SlotScore score = score_slots(references, hypotheses, keys.common);
  return {{{"slot_type_f1", score.type_f1()}, {"slot_value_cer", score.value_edits.rate()}},
          {{"utterances", score.utterances},
           {"value_characters", score.value_edits.reference},
           {"value_edits", score.value_edits.total()}},
          keys};
}

Scored score_turns(const ScoreOptions& options) {
  const SpeakerTurns references = read_rttm(options.references);
  const SpeakerTurns hypotheses = read_rttm(options.hypotheses);
  const KeyMatch keys = match(references, hypotheses, options);
  const DiarisationRule rule = {std::llround(options.collar * model_rate), options.skip_overlap};
  DiarisationErrors errors;
  for (const std::string& id : keys.common)
    errors += count_diarisation_errors(references.at(id), hypotheses.at(id), rule);
  return {{{"der", errors.rate()}}, counts_of(errors), keys};
}

Scored score_trials(const ScoreOptions& options) {
  const TrialTargets targets = read_trials(options.references);
  const TrialScores scores = read_trial_scores(options.hypotheses);
  const KeyMatch keys = match(targets, scores, options);
  std::vector<Trial> trials;
  int64_t same = 0;
  for (const std::string& pair : keys.common) {
    trials.push_back({scores.at(pair), targets.at(pair)});
    same += targets.at(pair) ? 1 : 0;
  }
  const std::vector<DetPoint> curve = det_curve(trials);
  return {{{"eer", equal_error_rate(curve)}, {"min_dcf", min_detection_cost(curve, options.target_prior)}},
          {{"targets", same}, {"nontargets", static_cast<int64_t>(trials.size()) - same}},
          keys};
}

Scored score_by(const ScoreOptions& options) {
  if (options.metric == "wer" || options.metric == "cer") return score_texts(options);
  if (options.metric == "slots") return score_slot_values(options);
  if (options.metric == "der") return score_turns(options);
  if (options.metric == "eer") return score_trials(options);
  fail_usage("--metric {}: should be one of {}", options.metric, fmt::join(score_metrics(), ", "));
}

std::string line_of(const Json& result) {
  std::string line = "score";
  for (const auto& [name, value] : result.at("metrics").items())
    line += fmt::format(" {} {:.4f}", name, value.get<double>());
  if (result.at("partial").get<bool>())
    line += fmt::format(" PARTIAL missing {} extra {}", result.at("counts").at("missing").get<int64_t>(),
                        result.at("counts").at("extra").get<int64_t>());
  return line;
}

}  // namespace

const std::vector<std::string>& score_metrics() {
  static const std::vector<std::string> names = {"wer", "cer", "slots", "der", "eer"};
  return names;
}

std::string run_score(const ScoreOptions& options) {
  ResultFile file(options.result);
  const Json job = {
      {"task", "score"},
      {"protocol", protocol},
      {"inputs",
       {{"references", hash_file(options.references)}, {"hypotheses", hash_file(options.hypotheses)}}},
      {"options",
       {{"metric", options.metric},
        {"partial", options.partial},
        {"collar", options.collar},
        {"skip_overlap", options.skip_overlap},
        {"target_prior", options.target_prior}}}};
  if (const auto done = file.begin(job)) return line_of(*done);
  Scored scored = score_by(options);
  scored.counts["missing"] = scored.keys.missing.size();
  scored.counts["extra"] = scored.keys.extra.size();
  return line_of(file.write(
      {{"partial", !scored.keys.whole()}, {"metrics", scored.metrics}, {"counts", scored.counts}}));
}

}  // namespace retort
