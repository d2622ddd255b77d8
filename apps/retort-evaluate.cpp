// retort-evaluate: scores of labels and models. The first argument names the task, which has options of its
// own.
#include <fmt/ranges.h>

#include <functional>
#include <iostream>
#include <map>
#include <string_view>

#include "base/error.h"
#include "common/encoder_flags.h"
#include "common/tool.h"
#include "common/torch_twin.h"
#include "evaluate/agreement.h"
#include "evaluate/intrinsic.h"
#include "evaluate/profile.h"
#include "evaluate/rerun.h"
#include "evaluate/score.h"
#include "evaluate/tasks.h"
#include "evaluate/trainers.h"
#include "evaluate/units.h"

#ifdef RETORT_IS_TORCH_TWIN
#include "torch_encoder/use_torch_encoder.h"
#include "torch_probes/use_torch_probes.h"
#endif

namespace {

using retort::Tool;

constexpr const char* name = "retort-evaluate";

// Where this program has no LibTorch: becomes its twin that has, with the whole command line.
std::function<void()> get_torch = [] {};

void bind_result(Tool& tool, retort::ResultOptions& options) {
  tool.option("-o,--output", options.output, "The result, one JSON file")->required();
  tool.overwrite(options.overwrite);
}

int units(int argc, char** argv) {
  retort::UnitsOptions options;
  Tool tool(name, "units: hold labels against phone alignments (PNMI, phone purity, cluster purity).",
            "retort-evaluate units --labels labels --alignments phones.ctm -o units.json");
  tool.option("--labels", options.labels, "Label store, or rspecifier (ark:, scp:)")->required();
  tool.option("--alignments", options.alignments, "CTM file: id channel start duration phone")->required();
  tool.option("--corpus", options.corpus, "Corpus that the labels must have been made from");
  tool.option("--hop", options.hop,
              "Samples between scored frames, a multiple of the labels' own; 0: theirs");
  tool.flag("--keep-silence", options.keep_silence, "Score frames of silence too");
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&options] { std::cout << run_units(options) << "\n"; });
}

int agreement(int argc, char** argv) {
  retort::AgreementOptions options;
  Tool tool(name, "agreement: how far two labellings of the same utterances agree.",
            "retort-evaluate agreement --labels student-labels --reference teacher-labels -o agreement.json");
  tool.option("--labels", options.labels, "Label store")->required();
  tool.option("--reference", options.reference, "Label store to compare with")->required();
  tool.flag("--partial", options.partial, "Compare the utterances that both have, and mark the result");
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&options] { std::cout << run_agreement(options) << "\n"; });
}

void bind_feed(Tool& tool, retort::FeedOptions& options) {
  tool.option("--model", options.encoder.model, "Model folder or checkpoint, mfcc or fbank");
  tool.option("--corpus", options.corpus, "corpus.jsonl");
  tool.option("--features", options.features, "In place of both: feature stores, one per layer");
  bind_encoder(tool, options.encoder);
  tool.flag("--partial", options.partial, "Measure what all inputs have, and mark the result");
  tool.device(options.encoder.device);
  tool.max_bad(options.max_bad);
}

void bind_teacher(Tool& tool, retort::IntrinsicOptions& options) {
  tool.option("--teacher", options.feed.teacher, "Model to compare with");
  tool.option("--teacher-features", options.feed.teacher_features,
              "With --features: stores of the teacher's");
  tool.option("--compare", options.compare,
              "Layers to compare; by default the outputs of all blocks and heads");
  tool.option("--compare-teacher", options.compare_teacher, "The teacher's layers to compare them with");
  tool.option("--similarity-frames", options.similarity.frames,
              "Frames to compare layers by, at most, evenly spaced; 0: all")
      ->check(CLI::NonNegativeNumber);
}

void bind_items(Tool& tool, retort::AbxMeasureOptions& options) {
  tool.option("--items", options.items, "Item file of an ABX test (Zero Resource's form)");
  tool.option("--context", options.context, "Compare items of the same neighbours: within, or any")
      ->check(CLI::IsMember({"within", "any"}));
  tool.option("--most-items", options.most, "Items per phone, speaker and context, at most; 0: all")
      ->check(CLI::NonNegativeNumber);
}

void bind_grid(Tool& tool, int& hop) {
  tool.option("--hop", hop, "Samples between frames, at least; layers with fewer frames set it")
      ->check(CLI::Range(1, 1 << 20));
}

// Binds --threads to everything that has some, and runs.
int run_with_threads(Tool& tool, int argc, char** argv, retort::IntrinsicOptions& options,
                     std::string (*task)(retort::IntrinsicOptions)) {
  tool.threads(options.feed.encoder.threads);
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&] {
    if (wants_torch(options.feed.encoder)) get_torch();
    const int threads = options.feed.encoder.threads;
    options.phones.threads = options.abx.threads = options.similarity.threads = threads;
    std::cout << task(options) << "\n";
  });
}

int intrinsic(int argc, char** argv) {
  retort::IntrinsicOptions options;
  Tool tool(name, "intrinsic: everything that needs no training of the model, in one pass over the audio.",
            "retort-evaluate intrinsic --model student --teacher teacher --corpus corpus.jsonl --alignments "
            "phones.ctm --items test.item -o intrinsic.json");
  bind_feed(tool, options.feed);
  tool.option("--layer", options.layers, "Layers to score by phones and items; by default final");
  tool.option("--teacher-layer", options.teacher_layers,
              "The teacher's, scored beside them; by default final");
  bind_teacher(tool, options);
  tool.option("--alignments", options.phones.alignments,
              "CTM file: score units and a linear probe by phones, and units against the teacher's");
  tool.option("-k,--clusters", options.phones.clusters, "Units")->check(CLI::Range(2, 65536));
  tool.seed(options.phones.seed);
  tool.option("--frames", options.phones.frames, "Frames of phones to score, at most, evenly spaced; 0: all")
      ->check(CLI::NonNegativeNumber);
  tool.option("--split-by", options.phones.split_by,
              "Key whose values stay together where the probe trains or is tested; by default the id");
  bind_items(tool, options.abx);
  bind_grid(tool, options.hop);
  return run_with_threads(tool, argc, argv, options, retort::run_intrinsic);
}

int abx(int argc, char** argv) {
  retort::IntrinsicOptions options;
  Tool tool(
      name, "abx: whether another instance of a phone is nearer to it than another phone is.",
      "retort-evaluate abx --model student --layer enc3 --corpus corpus.jsonl --items test.item -o abx.json");
  bind_feed(tool, options.feed);
  tool.option("--layer", options.layers, "Layers to score; by default final");
  bind_items(tool, options.abx);
  bind_grid(tool, options.hop);
  return run_with_threads(tool, argc, argv, options, retort::run_abx);
}

int similarity(int argc, char** argv) {
  retort::IntrinsicOptions options;
  Tool tool(name, "similarity: linear CKA and cosine of a model's layers with its teacher's.",
            "retort-evaluate similarity --model student --teacher teacher --corpus corpus.jsonl -o "
            "similarity.json");
  bind_feed(tool, options.feed);
  bind_teacher(tool, options);
  bind_grid(tool, options.hop);
  return run_with_threads(tool, argc, argv, options, retort::run_similarity);
}

using ShorthandValues = std::map<std::string, std::vector<std::string>>;  // by option

void bind_shorthands(Tool& tool, const retort::ProtocolTask& task, ShorthandValues& values) {
  for (const retort::Shorthand& shorthand : task.shorthands) {
    auto* option = tool.option("--" + shorthand.option, values[shorthand.option], shorthand.help);
    if (!shorthand.choices.empty()) option->check(CLI::IsMember(shorthand.choices));
    if (shorthand.least > 0) option->check(CLI::Range(shorthand.least, int64_t{1} << 40));
  }
}

// What the shorthands that were given set, before --set has its say.
std::vector<std::string> overrides_of(const retort::ProtocolTask& task, const ShorthandValues& values) {
  std::vector<std::string> overrides;
  std::map<std::string, std::string> set_by;  // protocol value -> option
  for (const retort::Shorthand& shorthand : task.shorthands) {
    const std::vector<std::string>& given = values.at(shorthand.option);
    if (given.empty()) continue;
    for (const std::string& set : shorthand.sets) {
      const std::string key = set.substr(0, set.find('='));
      const auto [other, is_new] = set_by.emplace(key, shorthand.option);
      if (!is_new) retort::fail_usage("--{} and --{} exclude each other", other->second, shorthand.option);
      overrides.push_back(fmt::format(fmt::runtime(set), fmt::join(given, ",")));
    }
  }
  return overrides;
}

int follow_protocol(const retort::ProtocolTask& task, int argc, char** argv) {
  retort::TaskOptions options;
  options.protocol = task.usual;
  ShorthandValues shorthands;
  std::vector<std::string> set;
  const std::vector<std::string> protocols = retort::builtin_protocols(task.name);
  Tool tool(name, task.name + ": " + task.does,
            fmt::format("retort-evaluate {} --protocol {} --model student --corpus corpus.jsonl -o {}.json",
                        task.name, protocols.front(), task.name));
  auto* protocol =
      tool.option("--protocol", options.protocol,
                  fmt::format("Built-in protocol ({}) or a .json file", fmt::join(protocols, ", ")));
  if (task.usual.empty()) protocol->required();
  tool.option("--set", set, "Override one value of the protocol: a.b=value (may be repeated)")
      ->expected(1)
      ->take_all();
  bind_shorthands(tool, task, shorthands);
  tool.option("--model", options.encoder.model, "Model folder or checkpoint, mfcc or fbank");
  tool.option("--features", options.features, "In its place: feature stores, one per layer");
  tool.option("--corpus", options.corpus, "corpus.jsonl")->required();
  for (const auto& [what, help] : task.files) tool.option("--" + what, options.files[what], help);
  tool.option("--layer", options.encoder.layers, "Layers to use; by default the protocol's");
  bind_encoder(tool, options.encoder);
  tool.device(options.encoder.device);
  tool.threads(options.encoder.threads);
  tool.max_bad(options.max_bad);
  bind_result(tool, options.result);
  const auto all_overrides = [&] {
    std::vector<std::string> overrides = overrides_of(task, shorthands);
    overrides.insert(overrides.end(), set.begin(), set.end());
    return overrides;
  };
  tool.config_details("protocol_values", [&] {
    return options.protocol.empty()
               ? retort::Json()
               : retort::read_protocol(options.protocol, all_overrides(), task.name).to_json();
  });
  return tool.run(argc, argv, [&] {
    if (wants_torch(options.encoder)) get_torch();
    options.overrides = all_overrides();
    std::cout << task.run(options) << "\n";
  });
}

int rerun(int argc, char** argv) {
  retort::RerunOptions options;
  Tool tool(name, "rerun: repeat an evaluation from its result, and compare.",
            "retort-evaluate rerun result.json");
  tool.option("RESULT", options.result, "Result of probe, ctc, asv, sd or qbe")->required();
  tool.option("--model", options.model, "Where the model is now; by default where it was");
  tool.option("--corpus", options.corpus, "Where the corpus is now; by default where it was");
  tool.option("--tolerance", options.tolerance, "What a metric may differ by")->check(CLI::Range(0.0, 1.0));
  tool.option("-o,--output", options.output, "Keep the new result here");
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&] {
    get_torch();  // most of what can be run again trains something
    std::cout << run_again(options) << "\n";
  });
}

int profile(int argc, char** argv) {
  retort::ProfileOptions options;
  Tool tool(name, "profile: parameters, multiply-accumulates, speed and memory of models.",
            "retort-evaluate profile --model teacher --model student -o profile.json");
  tool.option("--model", options.models, "Model folder (may be repeated)")->required();
  tool.option("--precision", options.precisions, "What is timed: f32, bf16 where the CPU has it, int8")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}));
  tool.option("--seconds", options.seconds, "Length of the waveform that speed is measured on")
      ->check(CLI::Range(0.1, 3600.0));
  tool.option("--repeats", options.repeats, "Timed runs; the median counts")->check(CLI::Range(1, 1000));
  tool.threads(options.threads);
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&options] { std::cout << run_profile(options) << "\n"; });
}

int score(int argc, char** argv) {
  retort::ScoreOptions options;
  Tool tool(name, "score: hypotheses of any system against references.",
            "retort-evaluate score --metric wer --references ref.txt --hypotheses hyp.txt -o wer.json");
  tool.option("--metric", options.metric, "wer, cer, slots, der or eer")
      ->required()
      ->check(CLI::IsMember(retort::score_metrics()));
  tool.option("--references", options.references, "Lines \"id text\"; RTTM (der); trials (eer)")->required();
  tool.option("--hypotheses", options.hypotheses, "Lines \"id text\"; RTTM (der); \"id id score\" (eer)")
      ->required();
  tool.flag("--partial", options.partial, "Score what both have, and say that the score is partial");
  tool.option("--collar", options.collar, "der: seconds at each side of a boundary that do not count")
      ->check(CLI::Range(0.0, 60.0));
  tool.flag("--skip-overlap", options.skip_overlap, "der: leave out where several talk");
  tool.option("--target-prior", options.target_prior, "eer: probability of a target, for minDCF")
      ->check(CLI::Range(1e-6, 1 - 1e-6));
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&options] { std::cout << run_score(options) << "\n"; });
}

struct Task {
  const char* name;
  int (*run)(int argc, char** argv);
};
constexpr Task tasks[] = {{"units", units}, {"agreement", agreement},   {"intrinsic", intrinsic},
                          {"abx", abx},     {"similarity", similarity}, {"score", score},
                          {"rerun", rerun}, {"profile", profile}};

}  // namespace

int main(int argc, char** argv) {
#ifdef RETORT_IS_TORCH_TWIN
  retort::use_torch_encoder();
  retort::use_torch_probes();
#else
  get_torch = [argv] { retort::become_torch_twin(name, argv); };
  retort::trainers.become_one_that_trains = get_torch;
#endif
  const std::string_view wanted = argc > 1 ? argv[1] : "";
  for (const Task& task : tasks)
    if (task.name == wanted) return task.run(argc - 1, argv + 1);
  for (const retort::ProtocolTask& task : retort::protocol_tasks())
    if (task.name == wanted) return follow_protocol(task, argc - 1, argv + 1);
  std::vector<std::string> names;
  for (const Task& task : tasks) names.emplace_back(task.name);
  for (const retort::ProtocolTask& task : retort::protocol_tasks()) names.push_back(task.name);
  std::string chosen;
  Tool tool(name, "Score labels and models. Each task has options of its own: retort-evaluate TASK --help.",
            "retort-evaluate units --labels labels --alignments phones.ctm -o units.json");
  tool.option("TASK", chosen, fmt::format("{}", fmt::join(names, ", ")))
      ->required()
      ->check(CLI::IsMember(names));
  return tool.run(argc, argv, [&chosen] {
    retort::fail_usage("the task comes before its options: {} {} ...", name, chosen);
  });
}
