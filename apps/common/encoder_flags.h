// The options that every program which encodes audio shares.
#pragma once

#include "common/tool.h"
#include "encoder/frame_encoder.h"

namespace retort {

inline void bind_encoder(Tool& tool, EncoderOptions& options) {
  tool.option("--encoder", options.engine,
              "native: on the CPU; torch: LibTorch; auto: native unless --device says otherwise")
      ->check(CLI::IsMember({"auto", "native", "torch"}));
  tool.option(
          "--precision", options.precision,
          "What a model is computed in: f32, bf16 (native: where the CPU has instructions for it), or int8 "
          "(native)")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}));
  tool.option("--window", options.window,
              "Encode longer utterances in overlapping windows of this many seconds; 0: never");
  tool.option("--batching", options.batching,
              "exact, or compat: padded batches as the Python tools make them")
      ->check(CLI::IsMember({"exact", "compat"}));
  tool.option("--batch", options.batch, "Utterances per batch of --batching compat");
  tool.option("--wave-norm", options.wave_norm,
              "Waveform normalisation: none, zscore or zscore-hf; by default the model's own");
  tool.flag("--force", options.force, "Allow a --wave-norm that is not the model's");
}

}  // namespace retort
