// make_model RECIPE OUT: a model folder with the shape of a recipe's student and random weights;
// "hubert-base" for HuBERT Base.
#include <torch/torch.h>

#include <cstdio>

#include "base/json.h"
#include "model/model_folder.h"
#include "model/shape.h"
#include "nn/hubert.h"

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_model RECIPE OUT\n");
    return 2;
  }
  const std::string recipe = argv[1];
  retort::ModelConfig config = recipe == "hubert-base"
                                   ? retort::ModelConfig()
                                   : retort::parse_shape(retort::read_json(recipe).at("student"), recipe);
  config.prediction = {};  // which a student sheds
  torch::manual_seed(1);
  const retort::ModelWeights weights = retort::HubertModel(config)->weights();
  retort::write_model(argv[2], retort::source_of(weights));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "make_model: %s\n", error.what());
  return 1;
}
