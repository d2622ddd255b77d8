// A protocol: everything that shapes an evaluation but the model and the data, as data
// (data/protocols/*.json).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/embedded_json.h"
#include "base/json.h"

namespace retort {

// Which utterances are trained on, choose the learning rate, and are scored.
struct SplitRule {
  // hashed: 80/10/10 by a hash of the key's value. given: the key says train, dev or test. folds (probe):
  // each value of the key is test once, and a tenth of the others by a hash of the id is dev.
  std::string kind = "hashed";
  std::string key = "id";             // id, or a key of the corpus lines
  std::vector<std::string> disjoint;  // keys whose values must not be in two splits ("speaker")
  // Hash of each split's ids and targets, as results name them; "": any.
  std::string train, dev, test;
};

struct OptimiserRule {
  std::string name = "adam";  // or adamw
  int64_t batch = 16;         // utterances per update; 0 (probe): the whole training split
  int64_t steps = 1000;       // updates
  int64_t dev_every = 100;    // updates between looks at dev; the best of them is kept
  double clip = 1;            // norm of the gradient; 0: not clipped
};

struct Protocol {
  std::string name;
  int64_t version = 1;  // grows where the same name gives other numbers
  std::string about;    // what it is like, and what it is not
  std::string task;     // probe, ctc, asv, sd, qbe
  Json data;            // of the task's own: where targets come from
  SplitRule splits;
  std::string layers;  // to mix, comma-separated; "": enc0 .. encN
  Json probe;          // of the task's own: what is trained
  OptimiserRule optimiser;
  std::vector<double> lrs;  // tried on dev
  int64_t seeds = 1;        // probes trained from different starts
  Json metric;              // of the task's own: how outputs become scores

  // Whether the task trains; otherwise optimiser, lrs and seeds are neither read nor written.
  bool trains() const { return task != "qbe"; }
  std::string label() const { return name + "-" + std::to_string(version); }
  Json to_json() const;
};

// Sorted by name. The definition is generated from data/protocols/*.json (CMakeLists.txt of this folder).
const std::vector<EmbeddedJson>& builtin_protocol_texts();

// Names of the built-in protocols of a task.
std::vector<std::string> builtin_protocols(const std::string& task);

// A built-in protocol by name, or a .json file, with "a.b=value" overrides. An Error where it is of another
// task, or has a key that is unknown, missing or out of range; the sections of the task's own are left to it.
Protocol read_protocol(const std::string& name_or_file, const std::vector<std::string>& overrides,
                       const std::string& task);

// The same from a document that is there already, such as the one in a result.
Protocol parse_protocol(const Json& json, const std::string& where);

}  // namespace retort
