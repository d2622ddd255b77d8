#include "evaluate/sd.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "audio/waveform.h"
#include "measures/phone_tally.h"

namespace retort {
namespace {

struct SdSettings {
  HeadShape shape;
  TurnRule turns;
  DiarisationRule scoring;
};

SdSettings settings_of(const Protocol& protocol) {
  const std::string where = "protocol " + protocol.label();
  refuse_unknown_keys(protocol.data, {"voices"}, where + " data");
  refuse_unknown_keys(protocol.probe, {"kind", "lstm_layers", "hidden"}, where + " probe");
  refuse_unknown_keys(protocol.metric, {"name", "threshold", "median", "collar", "skip_overlap"},
                      where + " metric");
  SdSettings settings;
  settings.shape.outputs = json_get<int64_t>(protocol.data, "voices", where);
  settings.shape.kind = json_get<std::string>(protocol.probe, "kind", where);
  settings.shape.lstm_layers = json_get<int64_t>(protocol.probe, "lstm_layers", where);
  settings.shape.hidden = json_get<int64_t>(protocol.probe, "hidden", where);
  settings.turns = {json_get<double>(protocol.metric, "threshold", where),
                    json_get<int64_t>(protocol.metric, "median", where)};
  settings.scoring = {std::llround(json_get<double>(protocol.metric, "collar", where) * model_rate),
                      json_get<bool>(protocol.metric, "skip_overlap", where)};
  if (settings.shape.kind != "turns" || json_get<std::string>(protocol.metric, "name", where) != "der")
    fail("{}: probe.kind should be turns, and metric.name der", where);
  if (settings.shape.outputs < 1 || settings.shape.outputs > 4)
    fail("{}: data.voices should be 1 to 4, since every order of them is tried", where);
  if (settings.turns.median < 1 || settings.turns.median % 2 == 0)
    fail("{}: metric.median should be an odd number of frames", where);
  return settings;
}

// Names of a recording's speakers, sorted; an Error where there are more than voices.
std::vector<std::string> speakers_of(const std::string& id, const std::vector<SpeakerTurn>& turns,
                                     int64_t voices) {
  std::set<std::string> names;
  for (const SpeakerTurn& turn : turns) names.insert(turn.speaker);
  if (static_cast<int64_t>(names.size()) > voices)
    fail("{}: {} speakers, but the protocol's data.voices is {}", id, names.size(), voices);
  return {names.begin(), names.end()};
}

Targets targets_of(const Task& task, const SpeakerTurns& turns, int64_t voices) {
  Targets targets;
  for (const Utterance& utterance : task.corpus().utterances()) {
    const auto found = turns.find(utterance.id);
    if (found == turns.end()) continue;
    speakers_of(utterance.id, found->second, voices);
    targets.utterances.push_back(utterance);
    targets.texts.push_back(rttm_of(utterance.id, found->second));
  }
  targets.without = static_cast<int64_t>(task.corpus().size() - targets.utterances.size());
  if (targets.utterances.empty())
    fail("{}: none of its {} utterances is in {}", task.options().corpus, task.corpus().size(),
         task.file("rttm"));
  return targets;
}

// (frames, voices) of 0 and 1: who speaks in the middle of each frame.
std::vector<int64_t> activity(const std::string& id, const std::vector<SpeakerTurn>& turns, int64_t frames,
                              int64_t voices, int hop) {
  const std::vector<std::string> names = speakers_of(id, turns, voices);
  std::vector<int64_t> active(static_cast<std::size_t>(frames * voices), 0);
  for (const SpeakerTurn& turn : turns) {
    const int64_t voice = std::find(names.begin(), names.end(), turn.speaker) - names.begin();
    for (int64_t frame = 0; frame < frames; ++frame) {
      const int64_t sample = frame * hop + frame_centre;
      if (turn.begin <= sample && sample < turn.end)
        active[static_cast<std::size_t>(frame * voices + voice)] = 1;
    }
  }
  return active;
}

void set_activity(std::vector<HeadItem>& items, const std::vector<std::size_t>& utterances,
                  const Targets& targets, const SpeakerTurns& turns, int64_t voices, int hop) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string& id = targets.utterances[utterances[i]].id;
    items[i].targets = activity(id, turns.at(id), items[i].frames, voices, hop);
  }
}

DiarisationErrors errors_of(const std::vector<Matrix>& outputs, const std::vector<std::size_t>& utterances,
                            const Targets& targets, const SpeakerTurns& turns, const SdSettings& settings,
                            int hop) {
  DiarisationErrors errors;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    errors += count_diarisation_errors(turns.at(targets.utterances[utterances[i]].id),
                                       turns_of(outputs[i], settings.turns, hop), settings.scoring);
  return errors;
}

}  // namespace

std::vector<SpeakerTurn> turns_of(const Matrix& probabilities, const TurnRule& rule, int hop) {
  std::vector<SpeakerTurn> turns;
  const int64_t reach = rule.median / 2;
  for (int64_t voice = 0; voice < probabilities.columns(); ++voice) {
    // The median of 0s and 1s is their majority; beyond the ends there is silence.
    const auto speaks = [&](int64_t frame) {
      int64_t votes = 0;
      for (int64_t t = std::max<int64_t>(frame - reach, 0);
           t <= std::min(frame + reach, probabilities.rows() - 1); ++t)
        if (static_cast<double>(probabilities(t, voice)) >= rule.threshold) ++votes;
      return votes > reach;
    };
    for (int64_t frame = 0; frame < probabilities.rows(); ++frame) {
      if (!speaks(frame)) continue;
      const int64_t begin = frame * hop + frame_centre - hop / 2;
      if (turns.empty() || turns.back().end != begin || turns.back().speaker != std::to_string(voice))
        turns.push_back({begin, begin, std::to_string(voice)});
      turns.back().end = begin + hop;
    }
  }
  return turns;
}

std::string run_sd(const TaskOptions& options) {
  Task task(options, "sd");
  const SdSettings settings = settings_of(task.protocol());
  require_probe_training();
  if (task.file("rttm").empty()) fail_usage("--rttm is required: who speaks when in the corpus");
  const SpeakerTurns turns = read_rttm(task.file("rttm"));
  const Targets targets = targets_of(task, turns, settings.shape.outputs);
  if (const auto done = task.begin()) return line_of(*done, {"der"});

  SplitItems items = take_splits(task, targets);
  const int hop = items.features.hop;
  const int64_t voices = settings.shape.outputs;
  set_activity(items.heads.train, items.train, targets, turns, voices, hop);
  set_activity(items.heads.dev, items.dev, targets, turns, voices, hop);
  const Sweep best = sweep(task, items.heads, settings.shape, [&](const std::vector<Matrix>& outputs) {
    return errors_of(outputs, items.dev, targets, turns, settings, hop).rate();
  });
  std::vector<Json> metrics;
  Json counts = Json::array();
  for (const TrainedHead& head : best.heads) {
    const DiarisationErrors errors = errors_of(head.test_outputs, items.test, targets, turns, settings, hop);
    const auto speech = static_cast<double>(errors.speech);
    metrics.push_back({{"der", errors.rate()},
                       {"missed", static_cast<double>(errors.missed) / speech},
                       {"false_alarm", static_cast<double>(errors.false_alarm) / speech},
                       {"confusion", static_cast<double>(errors.confusion) / speech}});
    counts.push_back(counts_of(errors));
  }
  Json rest = {{"metrics", over_seeds(metrics)}};
  rest.update(training_report(items, targets, best));
  rest["counts"]["by_seed"] = counts;
  return line_of(task.write(rest), {"der"});
}

}  // namespace retort
