// retort-evaluate: scores of labels and models. The first argument names the task, which has options of its
// own.
#include <iostream>
#include <string_view>

#include "base/error.h"
#include "common/encoder_flags.h"
#include "common/tool.h"
#include "common/torch_engines.h"
#include "evaluate/probe.h"
#include "evaluate/profile.h"
#include "evaluate/units.h"

namespace {

using retort::Tool;

constexpr const char* name = "retort-evaluate";

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

int probe(int argc, char** argv) {
  retort::ProbeOptions options;
  Tool tool(name, "probe: classify utterances by frozen features, layers mixed by a trained softmax.",
            "retort-evaluate probe --model student --corpus corpus.jsonl --label-key lang -o probe.json");
  tool.option("--model", options.encoder.model, "Model folder or checkpoint, mfcc or fbank")->required();
  tool.option("--corpus", options.corpus, "corpus.jsonl")->required();
  tool.option("--label-key", options.label_key, "Key of the corpus lines that holds the class")->required();
  tool.option("--layer", options.encoder.layers, "Layers to mix; by default all of enc0..encN");
  bind_encoder(tool, options.encoder);
  tool.option("--split-by", options.split_by,
              "Key whose values stay together in train, dev or test; by default the id");
  tool.option("--probe", options.probe, "linear or mlp")->check(CLI::IsMember({"linear", "mlp"}));
  tool.option("--lr", options.lrs, "Learning rates to try on dev");
  tool.option("--epochs", options.epochs, "Passes over the training split")->check(CLI::Range(1, 100000));
  tool.option("--seeds", options.seeds, "Probes trained from different starts")->check(CLI::Range(1, 1000));
  tool.device(options.encoder.device);
  tool.threads(options.encoder.threads);
  tool.max_bad(options.max_bad);
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&options] { std::cout << run_probe(options) << "\n"; });
}

int profile(int argc, char** argv) {
  retort::ProfileOptions options;
  Tool tool(name, "profile: parameters, multiply-accumulates, speed and memory of models.",
            "retort-evaluate profile --model teacher --model student -o profile.json");
  tool.option("--model", options.models, "Model folder (may be repeated)")->required();
  tool.option("--seconds", options.seconds, "Length of the waveform that speed is measured on")
      ->check(CLI::Range(0.1, 3600.0));
  tool.option("--repeats", options.repeats, "Timed runs; the median counts")->check(CLI::Range(1, 1000));
  tool.threads(options.threads);
  bind_result(tool, options.result);
  return tool.run(argc, argv, [&options] { std::cout << run_profile(options) << "\n"; });
}

}  // namespace

int main(int argc, char** argv) {
  retort::use_torch();
  const std::string_view task = argc > 1 ? argv[1] : "";
  if (task == "units") return units(argc - 1, argv + 1);
  if (task == "probe") return probe(argc - 1, argv + 1);
  if (task == "profile") return profile(argc - 1, argv + 1);
  std::string chosen;
  Tool tool(name, "Score labels and models. Each task has options of its own: retort-evaluate TASK --help.",
            "retort-evaluate units --labels labels --alignments phones.ctm -o units.json");
  tool.option("TASK", chosen, "units, probe or profile")
      ->required()
      ->check(CLI::IsMember({"units", "probe", "profile"}));
  return tool.run(argc, argv, [&chosen] {
    retort::fail_usage("the task comes before its options: {} {} ...", name, chosen);
  });
}
