// Makes a corpus file of whatever audio there is.
#include "common/tool.h"
#include "prepare/prepare.h"

int main(int argc, char** argv) {
  retort::PrepareOptions options;
  retort::Tool tool(
      "retort-prepare",
      "Makes a corpus file from folders, audio files, file lists (.txt, .lst), fairseq manifests (.tsv), "
      "wav.scp and Kaldi data directories. Decodes every file once and sets aside what cannot be used.",
      "retort-prepare recordings/ --metadata speakers.jsonl -o corpus.jsonl");
  tool.option("INPUT", options.inputs, "What holds or lists the audio; - reads a list from standard input")
      ->required();
  tool.option("-o,--output", options.output, "The corpus file; - is standard output")->required();
  tool.option("--metadata", options.metadata, "JSON lines with id and keys to add: speaker, text, lang, ...");
  tool.option("--min-seconds", options.min_seconds, "Leave out utterances shorter than this")
      ->check(CLI::NonNegativeNumber);
  tool.option("--max-seconds", options.max_seconds, "Leave out utterances longer than this; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  tool.threads(options.threads);
  tool.max_bad(options.max_bad);
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&] { retort::run_prepare(options); });
}
