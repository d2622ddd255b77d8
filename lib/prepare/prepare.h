// Makes a corpus file of whatever audio there is: every file is decoded once, what cannot be used is set
// aside.
#pragma once

#include <string>
#include <vector>

namespace retort {

struct PrepareOptions {
  std::vector<std::string> inputs;  // as find_candidates (corpus/sources.h) understands them
  std::string output;               // corpus.jsonl, or "-" for standard output
  std::string metadata;             // JSON lines with "id" and keys to add (speaker, text, lang); empty: none
  double min_seconds = 0;  // shorter utterances are left out; the 25 ms that a frame needs always apply
  double max_seconds = 0;  // longer utterances are left out; 0: no limit
  int threads = 0;         // that decode; 0: all that this process may use
  double max_bad = 0.001;  // share of utterances that may be unusable, in [0, 1]
  bool overwrite = false;
};

// Writes the corpus and, where anything was set aside, OUTPUT with .rejected.jsonl for its ending: lines of
// id, path, reason and message. Both are written before too many bad utterances fail the job. The same corpus
// already there is left alone; another one is replaced with `overwrite` only. Throws Error, or Stopped before
// anything is written.
void run_prepare(const PrepareOptions& options);

}  // namespace retort
