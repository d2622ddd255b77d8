// retort-import: the checkpoint of another toolkit as a model folder.
#include "common/tool.h"
#include "import/import.h"

int main(int argc, char** argv) {
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
