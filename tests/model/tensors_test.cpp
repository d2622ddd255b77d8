#include "model/tensors.h"

#include <catch2/catch.hpp>
#include <set>

using namespace retort;

namespace {

ModelConfig large() {
  ModelConfig config;
  config.conv_norm = ConvNorm::layer;
  config.layers = 24;
  config.hidden = 1024;
  config.heads = 16;
  config.ffn = 4096;
  config.pre_norm = true;
  return config;
}

double giga_per_second(const MacCount& macs, const std::string& component, double seconds) {
  return static_cast<double>(macs.by_component.at(component)) / seconds / 1e9;
}

}  // namespace

// Published sizes; reference: fairseq's checkpoints and their papers.
TEST_CASE("parameter counts are those of the published models", "[tensors]") {
  ModelConfig base;
  const ParameterCount backbone = count_parameters(base);
  CHECK(backbone.backbone == 94'371'712);
  CHECK(backbone.by_role.at("conv") == 4'200'448);
  CHECK(backbone.by_role.at("projection") == 1'024 + 393'984);
  CHECK(backbone.by_role.at("mask") == 768);
  CHECK(backbone.by_role.at("positional") == 4'719'488);
  CHECK(backbone.by_role.at("encoder") == 1'536 + 85'054'464);
  base.final_dim = 256;
  base.classes = 504;
  CHECK(count_parameters(base).total == 94'697'600);
  CHECK(count_parameters(base).backbone == 94'371'712);
  base.classes = 104;
  CHECK(count_parameters(base).total == 94'595'200);

  CHECK(count_parameters(large()).backbone == 315'435'136);
  ModelConfig hf_large = large();
  hf_large.conv_bias = true;
  CHECK(count_parameters(hf_large).backbone == 315'438'720);

  ModelConfig half;
  half.hidden = 384;
  half.heads = 6;
  half.ffn = 1536;
  CHECK(count_parameters(half).backbone == 26'873'344);

  ModelConfig distil;  // as transformers holds it, with a mask embedding that nothing uses
  distil.layers = 2;
  distil.projection_norm = false;
  CHECK(count_parameters(distil).backbone == 23'491'968);
}

TEST_CASE("names are Hugging Face's and occur once", "[tensors]") {
  ModelConfig config;
  config.final_dim = 256;
  config.classes = 100;
  std::set<std::string> names;
  for (const TensorSpec& spec : model_tensors(config)) CHECK(names.insert(spec.name).second);
  CHECK(names.size() == 1 + 6 + 2 + 2 + 2 + 1 + 3 + 2 + 12 * 16 + 3);
  for (const char* name :
       {"masked_spec_embed", "feature_extractor.conv_layers.0.layer_norm.weight",
        "encoder.pos_conv_embed.conv.weight_g", "encoder.layers.11.attention.out_proj.bias",
        "encoder.layers.0.feed_forward.intermediate_dense.weight", "final_proj.weight", "label_embeddings"}) {
    CHECK(names.contains(name));
  }
  CHECK_FALSE(names.contains("feature_extractor.conv_layers.1.layer_norm.weight"));
  for (const TensorSpec& spec : model_tensors(config)) {
    if (spec.name.ends_with("weight_g")) CHECK(spec.shape == std::vector<int64_t>{1, 1, 128});
  }
}

TEST_CASE("multiply-accumulates per second of audio", "[tensors]") {
  const ModelConfig base;
  const MacCount ten = count_macs(base, 160000);
  CHECK(giga_per_second(ten, "conv", 10) == Approx(2.454).margin(5e-4));
  CHECK(giga_per_second(ten, "projection", 10) == Approx(0.020).margin(5e-4));
  CHECK(giga_per_second(ten, "positional", 10) == Approx(0.236).margin(5e-4));
  CHECK(giga_per_second(ten, "attention-linear", 10) == Approx(1.413).margin(5e-4));
  CHECK(giga_per_second(ten, "feed-forward", 10) == Approx(2.825).margin(6e-4));
  CHECK(giga_per_second(ten, "attention-product", 10) == Approx(0.459).margin(5e-4));
  CHECK(static_cast<double>(ten.total) / 1e10 == Approx(7.41).margin(5e-3));
  CHECK(static_cast<double>(count_macs(base, 250000).total) / 15.625e9 == Approx(7.675).margin(5e-4));
  CHECK(count_macs(base, 399).by_component.at("positional") == 0);
}
