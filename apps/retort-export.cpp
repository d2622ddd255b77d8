// retort-export: a model folder in the form that another toolkit loads.
#include "base/error.h"
#include "common/tool.h"
#include "export/export.h"

int main(int argc, char** argv) {
  retort::ExportOptions options;
  retort::Tool tool(
      "retort-export",
      "Write a model for ONNX runtimes, Hugging Face transformers, fairseq or s3prl, and check what was "
      "written.",
      "retort-export --to onnx run/student -o student-onnx");
  tool.option("MODEL", options.model, "Model folder")->required();
  tool.option("-o,--output", options.output, "Folder to make; with --to fairseq or s3prl a file");
  tool.option("--to", options.to, "Form: hf, fairseq, s3prl or onnx")
      ->check(CLI::IsMember({"hf", "fairseq", "s3prl", "onnx"}));
  tool.option("--dtype", options.dtype, "Type of the weights: f32 or f16; of onnx also int8")
      ->check(CLI::IsMember({"f32", "f16", "int8"}));
  tool.flag("--heads", options.heads, "With hf: keep the heads that predict a teacher's layers");
  tool.option("--layers", options.layers, "With onnx: outputs (final, enc6,enc9, head4, ...)");
  tool.option("--codebook", options.codebook, "With onnx: codebook whose units are the output");
  tool.flag("--lengths", options.lengths,
            "With onnx: an input that says where the padding of each row of a batch begins");
  tool.option("--opset", options.opset, "With onnx: operator set, 13 to 17");
  tool.option("--license", options.license, "With onnx: licence to state in the metadata");
  tool.option("--audio", options.audio, "With onnx: corpus or audio files to check with");
  tool.option("--verify", options.verify,
              "With onnx: check this export (folder or file) again instead of making one");
  tool.threads(options.threads);
  tool.overwrite(options.overwrite);
  return tool.run(argc, argv, [&options] {
    if (options.output.empty() && options.verify.empty()) retort::fail_usage("-o: name the output");
    if (!options.output.empty() && !options.verify.empty())
      retort::fail_usage("--verify: checks an export that is there; leave out -o");
    run_export(options);
  });
}
