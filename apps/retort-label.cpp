// retort-label: labels (units) of features or audio.
#include <iostream>

#include "base/disk.h"
#include "common/encoder_flags.h"
#include "common/tool.h"
#include "common/torch_twin.h"
#include "common/unit_flags.h"
#include "label/label.h"

#ifdef RETORT_IS_TORCH_TWIN
#include "kmeans/kmeans.h"
#include "torch_encoder/use_torch_encoder.h"
#include "torch_kmeans/use_torch_kmeans.h"
#endif

int main(int argc, char** argv) {
  retort::LabelOptions options;
  std::string keep_free = "0";
  retort::Tool tool("retort-label", "Turn frames into the numbers of their nearest centroids.",
                    "retort-label --codebook codebook --model hubert-base speech.flac -o -");
  tool.option("INPUT", options.inputs,
              "Frame store, .npy or rspecifier (ark:, scp:); with --model a corpus file or audio files (-: "
              "one from standard input)")
      ->required();
  tool.option("--codebook", options.codebook, "Codebook folder (retort-cluster)")->required();
  tool.option("-o,--output", options.output.path,
              "Label store, wspecifier (ark:, scp:, ark,scp:), FILE.npy (and FILE.len), FILE.km, FILE.txt, "
              "FILE.jsonl, FILE.ctm, or - for text and jsonl:- for JSONL on standard output")
      ->required();
  tool.option("--model", options.encoder.model,
              "Model folder or checkpoint, mfcc or fbank: label straight from audio");
  tool.option("--layer", options.encoder.layers, "Layer of the model; by default the codebook's");
  bind_encoder(tool, options.encoder);
  tool.option("--engine", options.engine, "auto, native or torch")
      ->check(CLI::IsMember({"auto", "native", "torch"}));
  bind_unit_form(tool, options.output.form);
  tool.flag("--soft", options.output.soft,
            "Write each frame's squared distances from all centroids, in place of its label");
  tool.flag(
      "--dry-run", options.dry_run,
      "Print how much would be written to a label store, and the time it would take, as JSON, and stop");
  tool.keep_free(keep_free);
  tool.shard(options.shard);
  tool.max_bad(options.max_bad);
  tool.device(options.encoder.device);
  tool.threads(options.encoder.threads);
  tool.overwrite(options.output.overwrite);
  return tool.run(argc, argv, [&] {
    options.output.keep_free = retort::parse_bytes("--keep-free", keep_free);
#ifdef RETORT_IS_TORCH_TWIN
    retort::use_torch_encoder();
    retort::use_torch_kmeans();
    retort::make_device_assigner = retort::make_assigner;
#else
    if (retort::wants_torch(options)) retort::become_torch_twin("retort-label", argv);
#endif
    const retort::Json report = run_label(options);
    if (!report.is_null()) std::cout << report.dump(2) << "\n";
  });
}
