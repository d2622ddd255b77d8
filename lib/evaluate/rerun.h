// Repeats an evaluation from nothing but its result.
#pragma once

#include <string>

#include "encoder/frame_encoder.h"

namespace retort {

struct RerunOptions {
  std::string result;       // the .json to repeat
  std::string output;       // where the new result goes; "": it is not kept
  std::string model;        // where the model is now; "": where it was, from the result's folder
  std::string corpus;       // the same of the corpus
  double tolerance = 1e-6;  // that a metric may differ by
  bool overwrite = false;   // replace `output`
};

// Runs the result's task with its protocol, inputs, threads and seeds again, and compares. An Error where
// model, corpus or another input is not what it was, and where a metric differs, naming the first. Returns
// the line for standard output.
std::string run_again(const RerunOptions& options);

}  // namespace retort
