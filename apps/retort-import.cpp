// retort-import: the checkpoint of another toolkit as a model folder.
#include <malloc.h>

#include "common/tool.h"
#include "import/import.h"

namespace {

// A tensor is read into the memory that the last ones left. Handed back to the system every time, as malloc
// does with large blocks, it would cost a page fault for each 4 KB: a third of the time of an import.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  mallopt(M_TRIM_THRESHOLD, 128 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  retort::ImportOptions options;
  retort::Tool tool(
      "retort-import",
      "Make a model folder from a checkpoint of fairseq, s3prl, FitHuBERT, torchaudio or transformers.",
      "retort-import hubert_base_ls960.pt -o hubert-base");
  tool.option("CHECKPOINT", options.checkpoint, "Checkpoint file, or a folder of transformers")->required();
  tool.option("-o,--output", options.output, "Model folder to make")->required();
  tool.own_config(options.config,
                  "What the checkpoint does not say: FitHuBERT's yaml, or a JSON of the arguments of "
                  "torchaudio's factory function");
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&options] { run_import(options); });
}
