// retort-distill: trains a student by a recipe.
#include <iostream>

#include "common/tool.h"
#include "distill/distill.h"
#include "torch_processes/use_torch_processes.h"

int main(int argc, char** argv) {
  retort::use_torch_processes();
  retort::DistillOptions options;
  bool validate_only = false;
  retort::Tool tool(
      "retort-distill", "Train a student of a teacher by a recipe; the same command again resumes.",
      "retort-distill --recipe dicehubert --teacher hubert-base --labels labels corpus.jsonl -o run");
  tool.option("CORPUS", options.corpus, "corpus.jsonl of the training audio")->required();
  tool.option("--recipe", options.recipe,
              fmt::format("Built-in recipe ({}) or a .json file", fmt::join(retort::builtin_recipes(), ", ")))
      ->required();
  tool.option("--teacher", options.teacher, "Model to learn from, or that the labels must come from");
  tool.option("--labels", options.labels, "Label store of the corpus (retort-label)");
  tool.option("--codebook", options.codebook, "Codebook of a teacher that has no class head (dkd recipes)");
  tool.option("--features", options.features,
              "What the teacher computes for the corpus (retort-extract), so that it need not run");
  tool.option("--validation", options.validation, "corpus.jsonl to validate on while training");
  tool.option("--validation-labels", options.validation_labels, "Its labels, of the same codebook");
  tool.option("--validation-features", options.validation_features, "Its features, of the same teacher");
  tool.option("--init-from", options.init_from, "Model whose fitting tensors the student starts from");
  tool.flag("--new-head", options.new_head, "With --init-from: leave that model's heads behind");
  tool.option("-o,--output", options.run, "Run folder");
  tool.flag("--validate-only", validate_only,
            "Print the losses of the student --init-from as JSON; train nothing");
  tool.option("--set", options.overrides, "Override one value of the recipe: a.b=value (may be repeated)")
      ->expected(1)
      ->take_all();
  tool.option("--steps", options.steps, "Updates; -1: as the recipe says")->check(CLI::Range(-1, 1000000000));
  tool.seed(options.seed);
  tool.threads(options.threads);
  tool.device(options.device);
  tool.overwrite(options.overwrite);
  tool.config_details("recipe_values", [&options] {
    return options.recipe.empty() ? retort::Json() : resolve_recipe(options).to_json();
  });
  return tool.run(argc, argv, [&] {
    if (validate_only) {
      std::cout << run_validation(options).dump(2) << "\n";
      return;
    }
    if (options.run.empty()) retort::fail_usage("--output is missing: where the run is to lie");
    run_distill(options);
  });
}
