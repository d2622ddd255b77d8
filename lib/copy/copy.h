// Frames from one form into another: frame stores, Kaldi tables, fairseq's .npy with .len, .km, .tsv and
// dictionary, text and JSONL.
#pragma once

#include <cstdint>
#include <string>

#include "units/unit_text.h"

namespace retort {

struct CopyOptions {
  // A frame store, a rspecifier, FILE.npy (with FILE.len beside it), or labels as FILE.km, FILE.txt or
  // FILE.jsonl, with durations or without.
  std::string input;
  // A wspecifier; FILE.npy (writes FILE.len too); dict.NAME.txt (fairseq's dictionary of K labels); FILE.tsv
  // (fairseq's manifest of these utterances' audio); FILE.txt, - (text); labels also as of a UnitSink; or
  // else a frame store.
  std::string output;
  std::string corpus;  // ids and lengths for .npy and .km, in their order; lengths for others; audio for .tsv
  UnitForm units;      // of labels
  std::string dtype = "f32";  // of a store of features: f32, f16, bf16, i8 or pq
  std::string codebook;       // product codebook's folder, for pq
  std::string layer;          // what a foreign input holds; goes into the store
  int hop = 320;              // samples at 16 kHz between its frames
  int64_t clusters = 0;       // K of text, JSONL or a table; 0: one more than its largest label
  bool overwrite = false;
};

void run_copy(const CopyOptions& options);

}  // namespace retort
