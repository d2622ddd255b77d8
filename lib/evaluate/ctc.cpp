#include "evaluate/ctc.h"

#include <algorithm>

#include "evaluate/text_targets.h"
#include "measures/alignments.h"
#include "measures/ctc_decoding.h"
#include "measures/slots.h"
#include "measures/transcripts.h"

namespace retort {
namespace {

// The protocol's sections of this task.
struct CtcSettings {
  std::string target;  // key of the corpus lines with the text; "alignments": phones of --alignments
  std::string units;   // phones, words, characters, slots
  std::vector<std::string> inventory;  // tokens; empty: those of the training split
  HeadShape shape;
  std::string metric;
  int64_t beam = 0;  // prefixes kept by beam search; 0: greedy alone
};

CtcSettings settings_of(const Protocol& protocol) {
  const std::string where = "protocol " + protocol.label();
  refuse_unknown_keys(protocol.data, {"target", "units", "inventory"}, where + " data");
  refuse_unknown_keys(protocol.probe,
                      {"kind", "projection", "lstm_layers", "hidden", "dropout", "time_masks", "time_width",
                       "value_masks", "value_width"},
                      where + " probe");
  refuse_unknown_keys(protocol.metric, {"name", "beam"}, where + " metric");
  const auto number = [&](const char* key) { return json_get<int64_t>(protocol.probe, key, where); };
  CtcSettings settings;
  settings.target = json_get<std::string>(protocol.data, "target", where);
  settings.units = json_get<std::string>(protocol.data, "units", where);
  settings.inventory = json_get<std::vector<std::string>>(protocol.data, "inventory", where);
  settings.shape.kind = json_get<std::string>(protocol.probe, "kind", where);
  settings.shape.projection = number("projection");
  settings.shape.lstm_layers = number("lstm_layers");
  settings.shape.hidden = number("hidden");
  settings.shape.dropout = json_get<double>(protocol.probe, "dropout", where);
  settings.shape.time_masks = number("time_masks");
  settings.shape.time_width = number("time_width");
  settings.shape.value_masks = number("value_masks");
  settings.shape.value_width = number("value_width");
  settings.metric = json_get<std::string>(protocol.metric, "name", where);
  settings.beam = json_get<int64_t>(protocol.metric, "beam", where);
  const std::string expected = settings.units == "phones"  ? "per"
                               : settings.units == "slots" ? "slots"
                                                           : "wer";
  if (settings.shape.kind != "ctc" || settings.metric != expected)
    fail("{}: probe.kind should be ctc, and metric.name {} for {}", where, expected, settings.units);
  return settings;
}

std::string aligned_phones(const Alignments& alignments, const std::vector<AlignedPhone>& phones) {
  std::vector<std::string> names;
  for (const AlignedPhone& phone : phones) {
    const std::string& name = alignments.phones()[static_cast<std::size_t>(phone.phone)];
    if (!is_silence(name)) names.push_back(name);
  }
  return fmt::format("{}", fmt::join(names, " "));
}

Targets targets_by_alignments(const Task& task) {
  const std::string path = task.file("alignments");
  if (path.empty()) fail_usage("--alignments: protocol {} takes phones from there", task.protocol().label());
  const Alignments alignments = Alignments::read(path);
  Targets targets;
  for (const Utterance& utterance : task.corpus().utterances()) {
    const std::vector<AlignedPhone>* phones = alignments.find(utterance.id);
    const std::string text = phones == nullptr ? "" : aligned_phones(alignments, *phones);
    if (text.empty()) continue;
    targets.utterances.push_back(utterance);
    targets.texts.push_back(text);
  }
  return targets;
}

// The texts of the corpus, which a lexicon makes phones of.
Targets targets_by_key(const Task& task, const CtcSettings& settings) {
  const std::string path = task.file("lexicon");
  const bool by_lexicon = settings.units == "phones" && !path.empty();
  std::optional<Lexicon> lexicon;
  if (by_lexicon) lexicon.emplace(path);
  Targets targets;
  std::vector<std::string> unknown;
  for (const Utterance& utterance : task.corpus().utterances()) {
    if (!utterance.extra.contains(settings.target)) continue;
    std::string text = value_of(utterance, settings.target);
    if (by_lexicon) text = fmt::format("{}", fmt::join(lexicon->phones(text, unknown), " "));
    targets.utterances.push_back(utterance);
    targets.texts.push_back(text_of_tokens(text_tokens(text, settings.units), settings.units));
  }
  std::sort(unknown.begin(), unknown.end());
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  if (!unknown.empty())
    fail("{}: lacks {} words of the corpus, the first of them {}; add their phones", path, unknown.size(),
         unknown.front());
  return targets;
}

Targets targets_of(const Task& task, const CtcSettings& settings) {
  Targets targets =
      settings.target == "alignments" ? targets_by_alignments(task) : targets_by_key(task, settings);
  targets.without = static_cast<int64_t>(task.corpus().size() - targets.utterances.size());
  if (targets.utterances.empty())
    fail("{}: none of its {} utterances has a text ({})", task.options().corpus, task.corpus().size(),
         settings.target == "alignments" ? "in the alignments" : "key \"" + settings.target + "\"");
  return targets;
}

// Gives the items their labels; returns how many have more than their frames can hold, and no path.
int64_t set_labels(std::vector<HeadItem>& items, const std::vector<std::size_t>& utterances,
                   const Targets& targets, const CtcSettings& settings, const Vocabulary& vocabulary) {
  int64_t too_long = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::size_t at = utterances[i];
    HeadItem& item = items[i];
    item.targets =
        vocabulary.encode(text_tokens(targets.texts[at], settings.units), targets.utterances[at].id);
    int64_t needed = static_cast<int64_t>(item.targets.size());
    for (std::size_t t = 1; t < item.targets.size(); ++t)
      if (item.targets[t] == item.targets[t - 1]) ++needed;  // a blank must come between
    if (needed > item.frames) ++too_long;
  }
  return too_long;
}

// References and what a decoder makes of outputs, by utterance.
using Decoder = std::function<std::vector<int>(const Matrix& log_probabilities)>;
Transcripts decoded(const std::vector<Matrix>& outputs, const std::vector<std::size_t>& utterances,
                    const Targets& targets, const Vocabulary& vocabulary, const std::string& units,
                    const Decoder& decode) {
  Transcripts transcripts;
  for (std::size_t i = 0; i < outputs.size(); ++i)
    transcripts[targets.utterances[utterances[i]].id] =
        text_of_tokens(vocabulary.decode(decode(outputs[i])), units);
  return transcripts;
}

Transcripts references_of(const std::vector<std::size_t>& utterances, const Targets& targets) {
  Transcripts transcripts;
  for (const std::size_t one : utterances) transcripts[targets.utterances[one].id] = targets.texts[one];
  return transcripts;
}

// Scores of one seed's test split; names end in `suffix`.
void add_metrics(const Transcripts& references, const Transcripts& hypotheses, const CtcSettings& settings,
                 const std::string& suffix, Json& metrics, Json& counts) {
  const std::vector<std::string> ids = keys_of(references);
  const TranscriptScore words = score_transcripts(references, hypotheses, ids, words_of);
  metrics[(settings.units == "phones" ? "per" : "wer") + suffix] = words.edits.rate();
  Json count = {{"decoder", suffix.empty() ? "greedy" : "beam"}};
  count.update(counts_of(words));
  counts.push_back(count);
  if (settings.units == "phones" || settings.units == "words") return;
  metrics["cer" + suffix] = score_transcripts(references, hypotheses, ids, characters_of).edits.rate();
  if (settings.units != "slots") return;
  const SlotScore slots = score_slots(references, hypotheses, ids);
  metrics["slot_type_f1" + suffix] = slots.type_f1();
  metrics["slot_value_cer" + suffix] = slots.value_edits.rate();
}

// Token error rate of greedy decoding: what the learning rate is picked by.
double token_error_rate(const std::vector<Matrix>& outputs, const std::vector<HeadItem>& items) {
  Edits edits;
  const auto as_text = [](const auto& labels) {
    std::vector<std::string> tokens;
    for (const auto label : labels) tokens.push_back(std::to_string(label));
    return tokens;
  };
  for (std::size_t i = 0; i < outputs.size(); ++i)
    edits += count_edits(as_text(items[i].targets), as_text(decode_greedily(outputs[i])));
  return edits.rate();
}

std::vector<std::string> shown_metrics(const CtcSettings& settings) {
  std::vector<std::string> names;
  for (const char* suffix : {"", "_beam"}) {
    if (*suffix != 0 && settings.beam == 0) continue;
    if (settings.units == "slots")
      names.insert(names.end(),
                   {fmt::format("slot_type_f1{}", suffix), fmt::format("slot_value_cer{}", suffix)});
    else
      names.push_back(settings.metric + suffix);
  }
  return names;
}

}  // namespace

std::string run_ctc(const TaskOptions& options) {
  Task task(options, "ctc");
  CtcSettings settings = settings_of(task.protocol());
  require_probe_training();
  const Targets targets = targets_of(task, settings);
  if (const auto done = task.begin()) return line_of(*done, shown_metrics(settings));

  SplitItems items = take_splits(task, targets);
  std::vector<std::vector<std::string>> training_texts;
  for (const std::size_t one : items.train)
    training_texts.push_back(text_tokens(targets.texts[one], settings.units));
  const Vocabulary vocabulary(settings.inventory, training_texts);
  settings.shape.outputs = vocabulary.classes();
  const int64_t too_long = set_labels(items.heads.train, items.train, targets, settings, vocabulary) +
                           set_labels(items.heads.dev, items.dev, targets, settings, vocabulary) +
                           set_labels(items.heads.test, items.test, targets, settings, vocabulary);
  const Sweep best = sweep(task, items.heads, settings.shape, [&](const std::vector<Matrix>& outputs) {
    return token_error_rate(outputs, items.heads.dev);
  });

  const Transcripts references = references_of(items.test, targets);
  const auto hypotheses_by = [&](const TrainedHead& head, const Decoder& decode) {
    return decoded(head.test_outputs, items.test, targets, vocabulary, settings.units, decode);
  };
  std::vector<Json> metrics;
  Json counts = Json::array();
  for (const TrainedHead& head : best.heads) {
    metrics.emplace_back(Json::object());
    add_metrics(references, hypotheses_by(head, decode_greedily), settings, "", metrics.back(), counts);
    if (settings.beam == 0) continue;
    const auto by_beam = [&](const Matrix& scores) {
      return decode_by_beam(scores, static_cast<int>(settings.beam)).labels;
    };
    add_metrics(references, hypotheses_by(head, by_beam), settings, "_beam", metrics.back(), counts);
  }
  Json report = training_report(items, targets, best);
  report["counts"]["classes"] = vocabulary.classes();
  report["counts"]["more_labels_than_frames"] = too_long;
  report["counts"]["by_seed"] = counts;
  Json rest = {{"metrics", over_seeds(metrics)}};
  rest.update(report);
  return line_of(task.write(rest), shown_metrics(settings));
}

}  // namespace retort
