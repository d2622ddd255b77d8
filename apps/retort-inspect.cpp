// retort-inspect: what an artifact is, whether it is whole, where it comes from.
#include <iostream>

#include "common/tool.h"
#include "inspect/inspect.h"

int main(int argc, char** argv) {
  retort::InspectOptions options;
  retort::Tool tool("retort-inspect",
                    "Say what an artifact is, whether it is whole, and what it was made from.",
                    "retort-inspect --check feats");
  tool.option("PATH", options.path,
              "Corpus, frame store, Kaldi table, codebook, model, run, .npy, .safetensors or result");
  tool.flag("--cpu", options.cpu,
            "Instead of an artifact: this CPU, and which kernels run on it (RETORT_ISA chooses others)");
  tool.flag("--json", options.json, "Print one JSON object");
  tool.flag("--check", options.check,
            "Read every byte; exit 1 where something is missing, cut, swapped or altered");
  tool.flag("--repair-list", options.repair_list,
            "Of a frame store, check it and print the numbers of the shards to run again, such as 3,7,9-12");
  tool.flag("--lineage", options.lineage, "Say what it was made from");
  return tool.run(argc, argv,
                  [&options] { run_inspect(options, [](const std::string& text) { std::cout << text; }); });
}
