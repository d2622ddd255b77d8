#include "evaluate/tasks.h"

#include "evaluate/asv.h"
#include "evaluate/ctc.h"
#include "evaluate/probe.h"
#include "evaluate/qbe.h"
#include "evaluate/sd.h"

namespace retort {

const std::vector<ProtocolTask>& protocol_tasks() {
  static const std::vector<ProtocolTask> tasks = {
      {"probe",
       "classes of utterances from frozen features, layers mixed by a trained softmax.",
       run_probe,
       {},
       "probe",
       {{"label-key",
         "Key of the corpus lines that holds the class; several with commas: slots that must all be right",
         {"data.target={}"}},
        {"split-by",
         "Key whose values stay together in train, dev or test; by default the id",
         {"splits.kind=hashed", "splits.key={}"}},
        {"folds-by",
         "Key each of whose values is the test split once",
         {"splits.kind=folds", "splits.key={}"}},
        {"probe", "linear or mlp", {"probe.kind={}"}, {"linear", "mlp"}},
        {"lr", "Learning rates to try on dev", {"sweep.lr=[{}]"}},
        {"epochs", "Updates, each on the whole training split", {"optimiser.steps={}"}, {}, 1},
        {"seeds", "Probes trained from different starts", {"seeds={}"}, {}, 1}}},
      {"ctc",
       "phones, characters or slots from frozen features, by connectionist temporal classification.",
       run_ctc,
       {{"alignments", "CTM file whose phones are the targets"},
        {"lexicon", "Lines \"WORD PHONE ...\", which make phones of texts"}}},
      {"asv",
       "whether two utterances are of one speaker, by cosines of x-vectors.",
       run_asv,
       {{"trials", "Lines \"1|0 id id\" or \"id id target|nontarget\" of the test split"}}},
      {"sd",
       "who speaks when, frame by frame, in mixtures of few voices.",
       run_sd,
       {{"rttm", "RTTM file of the corpus"}}},
      {"qbe",
       "spoken queries looked for in recordings by dynamic time warping; nothing is trained.",
       run_qbe,
       {{"queries", "corpus.jsonl of the queries"}}},
  };
  return tasks;
}

const ProtocolTask& protocol_task(const std::string& name) {
  for (const ProtocolTask& task : protocol_tasks())
    if (task.name == name) return task;
  fail("{} is no task that follows a protocol", one_line(name));
}

}  // namespace retort
