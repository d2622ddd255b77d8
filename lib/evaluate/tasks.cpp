#include "evaluate/tasks.h"

#include "evaluate/ctc.h"

namespace retort {

const std::vector<ProtocolTask>& protocol_tasks() {
  static const std::vector<ProtocolTask> tasks = {
      {"ctc",
       "phones, characters or slots from frozen features, by connectionist temporal classification.",
       run_ctc,
       {{"alignments", "CTM file whose phones are the targets"},
        {"lexicon", "Lines \"WORD PHONE ...\", which make phones of texts"}}},
  };
  return tasks;
}

const ProtocolTask& protocol_task(const std::string& name) {
  for (const ProtocolTask& task : protocol_tasks())
    if (task.name == name) return task;
  fail("{} is no task that follows a protocol", one_line(name));
}

}  // namespace retort
