// retort-export: a model folder in the form that another toolkit loads.
#include "common/tool.h"
#include "export/export.h"

int main(int argc, char** argv) {
  retort::ExportOptions options;
  retort::Tool tool("retort-export",
                    "Write a model for Hugging Face transformers or fairseq, and check what was written.",
                    "retort-export --to hf run/student -o student-hf");
  tool.option("MODEL", options.model, "Model folder")->required();
  tool.option("-o,--output", options.output, "Folder to make; with --to fairseq a file")->required();
  tool.option("--to", options.to, "Form: hf or fairseq")->check(CLI::IsMember({"hf", "fairseq"}));
  tool.option("--dtype", options.dtype, "Type of the weights: f32 or f16")
      ->check(CLI::IsMember({"f32", "f16"}));
  tool.threads(options.threads);
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&options] { run_export(options); });
}
