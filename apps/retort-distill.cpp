// retort-distill: trains a student on labels.
#include "common/tool.h"
#include "distill/distill.h"

int main(int argc, char** argv) {
  retort::DistillOptions options;
  retort::Tool tool(
      "retort-distill", "Train a student on the labels of its audio; the same command again resumes.",
      "retort-distill --recipe dicehubert --teacher hubert-base --labels labels corpus.jsonl -o run");
  tool.option("CORPUS", options.corpus, "corpus.jsonl of the training audio")->required();
  tool.option("--recipe", options.recipe,
              fmt::format("Built-in recipe ({}) or a .json file", fmt::join(retort::builtin_recipes(), ", ")))
      ->required();
  tool.option("--labels", options.labels, "Label store of the corpus (retort-label)")->required();
  tool.option("--teacher", options.teacher, "Model folder that the labels must come from");
  tool.option("--init-from", options.init_from, "Model folder whose fitting tensors the student starts from");
  tool.option("-o,--output", options.run, "Run folder")->required();
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
  return tool.run(argc, argv, [&options] { run_distill(options); });
}
