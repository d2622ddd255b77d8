// The tasks that follow a protocol: a new one is a file with its run function and an entry here.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "evaluate/task.h"

namespace retort {

struct ProtocolTask {
  std::string name;
  std::string does;  // for --help
  std::string (*run)(const TaskOptions&);
  // Other files that it reads: name (also of the option) and help.
  std::vector<std::pair<std::string, std::string>> files;
};

const std::vector<ProtocolTask>& protocol_tasks();

// An Error where no task has this name.
const ProtocolTask& protocol_task(const std::string& name);

}  // namespace retort
