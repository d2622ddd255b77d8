// Task "profile": what a model costs.
#pragma once

#include <string>
#include <vector>

#include "evaluate/result.h"

namespace retort {

struct ProfileOptions {
  ResultOptions result;
  std::vector<std::string> models;
  std::vector<std::string> precisions = {"f32"};  // that are timed: f32, bf16 where the CPU has it, int8
  double seconds = 10;                            // of the synthetic waveform that speed is measured on
  int repeats = 5;                                // the median counts
  int threads = 0;                                // of the "all threads" rows; 0: all
};

// Parameters and multiply-accumulates follow from the configuration; real-time factors are measured through
// the encoder with one thread and all threads, one waveform and eight, and the latency of one second of audio
// with one thread and all. Returns the table for standard output.
std::string run_profile(const ProfileOptions& options);

}  // namespace retort
