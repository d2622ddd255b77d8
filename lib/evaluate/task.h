// What the tasks that follow a protocol share: options, the job that a result names, splits, the sweep over
// learning rates, and means over seeds.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "corpus/corpus.h"
#include "evaluate/frame_features.h"
#include "evaluate/head_training.h"
#include "evaluate/protocol.h"
#include "evaluate/result.h"
#include "evaluate/splits.h"

namespace retort {

struct TaskOptions {
  ResultOptions result;
  EncoderOptions encoder;              // layers "": the protocol's
  std::vector<std::string> features;   // in place of its model: feature stores, one per layer
  std::string protocol;                // name or file
  std::vector<std::string> overrides;  // of it, "a.b=value"
  Json settings;                       // in place of both, what a result says that they were
  std::string corpus;
  // Other files that the task reads, by what they are: alignments, lexicon (ctc), trials (asv), rttm (sd),
  // queries (qbe).
  std::map<std::string, std::string> files;
  double max_bad = 0.001;
};

// What a rerun needs beside the job: model, corpus and other files by their paths from the result's folder,
// and how the numbers were computed.
Json repeat_of(const TaskOptions& options);

// The utterances that a task can use, each with what is to be found out about it.
struct Targets {
  std::vector<Utterance> utterances;
  std::vector<std::string> texts;  // as text, for hashes and errors
  int64_t without = 0;             // utterances of the corpus that say nothing of it
};

// A task on its way: reads protocol and corpus, and knows whether the result is there.
class Task {
 public:
  Task(const TaskOptions& options, const std::string& task);

  const TaskOptions& options() const { return options_; }
  const Protocol& protocol() const { return protocol_; }
  const Corpus& corpus() const { return corpus_; }
  FrameSource& source() { return *source_; }
  // The path of a file that was given, or "" where none was.
  std::string file(const std::string& what) const;

  // The result where the same job made it already. Call it when all options are known to be good.
  std::optional<Json> begin();
  // Writes metrics, counts and the rest, with what a rerun needs; returns the whole.
  Json write(Json rest) const;

 private:
  TaskOptions options_;
  ResultFile result_;
  Protocol protocol_;
  Corpus corpus_;
  std::unique_ptr<FrameSource> source_;
};

// Features by split. `features` owns what `heads` points to.
struct SplitItems {
  FrameFeatures features;
  HeadData heads;                             // without targets
  std::vector<std::size_t> train, dev, test;  // utterance of each item
  Json hashes;                                // of the splits, over the utterances that have features
};

// Splits the utterances by the protocol, refuses leaks, takes features once and standardises them by the
// training split. An Error where a split is empty.
SplitItems take_splits(Task& task, const Targets& targets);

// Trains all seeds at all learning rates and keeps the rate with the least mean cost on dev, the first of
// equals.
struct Sweep {
  double lr = 0;
  std::vector<TrainedHead> heads;  // by seed
  Json tried;
};
Sweep sweep(const Task& task, const HeadData& data, const HeadShape& shape, const DevCost& dev_cost);

// Mean and, as NAME_deviation, standard deviation of each number over seeds.
Json over_seeds(const std::vector<Json>& metrics);

// What is the same in every task's result: split hashes, sizes, learning rates, layer weights.
Json training_report(const SplitItems& items, const Targets& targets, const Sweep& sweep);

// "TASK name 0.1234 deviation 0.0012 ... test N" for standard output, by the names of metrics.
std::string line_of(const Json& result, const std::vector<std::string>& metrics);

}  // namespace retort
