// retort-copy: frames from one form into another.
#include "common/tool.h"
#include "common/unit_flags.h"
#include "copy/copy.h"

int main(int argc, char** argv) {
  retort::CopyOptions options;
  retort::Tool tool("retort-copy",
                    "Copy frames between frame stores, Kaldi tables, fairseq's files and text.",
                    "retort-copy labels labels.km");
  tool.option("INPUT", options.input,
              "Frame store, rspecifier (ark:, scp:), FILE.npy (with FILE.len), or labels: FILE.km, FILE.txt, "
              "FILE.jsonl")
      ->required();
  tool.option("OUTPUT", options.output,
              "Wspecifier (ark:, scp:, ark,scp:), FILE.npy (and FILE.len), FILE.km, FILE.tsv, dict.NAME.txt, "
              "FILE.txt, FILE.jsonl, FILE.ctm, - for text, jsonl:-, or else a frame store")
      ->required();
  tool.option("--corpus", options.corpus,
              "Ids and lengths for a .npy or .km input, in its order; lengths for others; audio for a .tsv");
  tool.option("--dtype", options.dtype, "Values of a store of features: f32, f16, bf16, i8 or pq")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "i8", "pq"}));
  tool.option("--codebook", options.codebook, "Product codebook of these features, for --dtype pq");
  tool.option("--layer", options.layer, "What an input that does not say it was made from (enc9, mfcc)");
  tool.option("--hop", options.hop, "Samples between frames of such an input")->check(CLI::Range(1, 16000));
  tool.option("--clusters", options.clusters,
              "K of labels that do not say it; 0: one more than the largest label");
  bind_unit_form(tool, options.units);
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&options] { run_copy(options); });
}
