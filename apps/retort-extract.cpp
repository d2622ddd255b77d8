// retort-extract: features of audio into frame stores.
#include <iostream>

#include "base/disk.h"
#include "common/encoder_flags.h"
#include "common/tool.h"
#include "common/torch_twin.h"
#include "extract/extract.h"

#ifdef RETORT_IS_TORCH_TWIN
#include "torch_encoder/use_torch_encoder.h"
#endif

int main(int argc, char** argv) {
  retort::ExtractOptions options;
  std::string keep_free = "0";
  retort::Tool tool("retort-extract", "Write features of audio: MFCC, filter banks, or layers of a model.",
                    "retort-extract --model hubert-base --layer enc9 corpus.jsonl -o feats");
  tool.option("INPUT", options.inputs, "A corpus file (.jsonl) or audio files (-: one from standard input)")
      ->required();
  tool.option("--model", options.encoder.model, "Model folder or checkpoint, mfcc or fbank")->required();
  tool.option(
      "--layer", options.encoder.layers,
      "Layers, comma-separated: conv, proj, enc0..encN, final, headN, all, or fairseq:9, hf:9, s3prl:9, "
      "torchaudio:8");
  tool.option("-o,--output", options.output,
              "Frame store; with several layers one store per layer in this folder; or a wspecifier (ark:, "
              "scp:, ark,scp:)")
      ->required();
  tool.option("--dtype", options.dtype,
              "Type of the values: f32, f16, bf16, i8, or pq (bytes of a --codebook)")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "i8", "pq"}));
  tool.option("--codebook", options.codebook,
              "Product codebook for --dtype pq; with several layers the folder of one per layer");
  bind_encoder(tool, options.encoder);
  tool.option("--mel-bins", options.encoder.mel_bins, "Bins of fbank")->check(CLI::Range(4, 256));
  tool.option("--deltas", options.encoder.deltas, "Append first and second differences to mfcc");
  tool.flag("--dry-run", options.dry_run,
            "Print how much would be written, and the time it would take, as JSON, and stop");
  tool.keep_free(keep_free);
  tool.shard(options.shard);
  tool.max_bad(options.max_bad);
  tool.device(options.encoder.device);
  tool.threads(options.encoder.threads);
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&] {
#ifdef RETORT_IS_TORCH_TWIN
    retort::use_torch_encoder();
#else
    if (retort::wants_torch(options.encoder)) retort::become_torch_twin("retort-extract", argv);
#endif
    options.keep_free = retort::parse_bytes("--keep-free", keep_free);
    const retort::Json report = run_extract(options);
    if (!report.is_null()) std::cout << report.dump(2) << "\n";
  });
}
