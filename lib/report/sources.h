// What a report is made of: training runs, reference curves and results of evaluations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "report/training_log.h"

namespace retort {

// A run folder of retort-distill, or a log, or several of the same training, kept as a reference curve.
struct Run {
  std::string name;
  TrainingLog log;        // of several logs their mean
  Json config;            // config.json; null for a reference
  bool finished = false;  // its student is there
  std::string student;    // content hash of its student, "" before it is there
  TrainingLog low, high;  // of a reference of several logs the lowest and highest values; else empty

  bool is_reference() const { return config.is_null(); }
  // The name that tells it from a run of the same name.
  std::string title() const { return is_reference() ? name + " (reference)" : name; }
};

// One model's scores in one result of retort-evaluate.
struct Score {
  std::string name;  // of the result
  std::string task;
  std::string model;  // name of the run whose student it is, else what the result calls it, hashes cut short
  std::string hash;   // what the result calls the model, in full
  std::string layer;
  std::string protocol;
  std::vector<std::pair<std::string, double>> metrics;  // numbers at any depth, "parameters.total"
  // By layer, the mean over seeds of what a probe learned to weigh it by; empty where there are none.
  std::vector<std::pair<std::string, double>> layer_weights;
  // How many things were scored: counts.test where there is a test split, else the first of the counts; 0
  // where the result does not say.
  int64_t n = 0;
};

struct Sources {
  std::vector<Run> runs;  // references last
  std::vector<Score> scores;
};

// `inputs`: run folders, results, and folders in which both are searched for, in the order given and sorted
// within a folder. What is named twice is taken once. An Error names an input that is none of these, or
// has nothing to show; runs without a report are passed over only where a folder was searched.
// `references`: logs by themselves; several with commas are one reference with a band.
Sources read_sources(const std::vector<std::string>& inputs, const std::vector<std::string>& references);

// The shortest trailing parts of the paths that are distinct: exp/a/run and exp/b/run are a/run and b/run.
std::vector<std::string> distinct_names(const std::vector<std::filesystem::path>& paths);

}  // namespace retort
