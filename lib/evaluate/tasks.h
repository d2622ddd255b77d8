// The tasks that follow a protocol: a new one is a file with its run function and an entry here.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "evaluate/task.h"

namespace retort {

// An option of its own for values of the protocol that are often given.
struct Shorthand {
  std::string option;
  std::string help;
  std::vector<std::string> sets;          // overrides; {} stands for the value, several with commas
  std::vector<std::string> choices = {};  // empty: any
  int64_t least = 0;                      // of a count; 0: it is none
};

struct ProtocolTask {
  std::string name;
  std::string does;  // for --help
  std::string (*run)(const TaskOptions&);
  // Other files that it reads: name (also of the option) and help.
  std::vector<std::pair<std::string, std::string>> files;
  std::string usual = {};  // protocol where none is named; "": one must be
  std::vector<Shorthand> shorthands = {};
};

const std::vector<ProtocolTask>& protocol_tasks();

// An Error where no task has this name.
const ProtocolTask& protocol_task(const std::string& name);

}  // namespace retort
