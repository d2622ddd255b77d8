#include "model/tensors.h"

#include <catch2/catch.hpp>
#include <map>
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

// "Distilling HuBERT with LSTMs via Decoupled Knowledge Distillation": HuBERT's conv stack, then 4 x 384 both
// ways.
ModelConfig lstm() {
  ModelConfig config;
  config.type = "hubert-lstm";
  config.blocks = BlockKind::lstm;
  config.layers = 4;
  config.projection = false;
  config.mask_embedding = false;
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

TEST_CASE("parameter counts of LSTM students", "[tensors]") {
  ModelConfig config = lstm();
  const ParameterCount published = count_parameters(config);
  CHECK(published.backbone == 17'595'392);
  CHECK(published.by_role.at("conv") == 4'200'448);
  CHECK(published.by_role.at("projection") == 1'024);
  CHECK(published.by_role.at("encoder") == 13'393'920);
  config.class_head = ClassHead::linear;
  config.classes = 500;
  CHECK(count_parameters(config).by_role.at("head") == 384'500);
  CHECK(count_parameters(config).backbone == 17'595'392);
  config.projection = true;
  CHECK(count_parameters(config).backbone == 18'775'808);
  config.mask_embedding = true;
  CHECK(count_parameters(config).by_role.at("mask") == 768);

  ModelConfig one_way = lstm();
  one_way.bidirectional = false;
  one_way.hidden = 384;
  // 4 gates of 384 units, each with weights for inputs and units and two biases
  CHECK(count_parameters(one_way).by_role.at("encoder") ==
        1536 * (512 + 384 + 2) + 3 * 1536 * (384 + 384 + 2));
}

TEST_CASE("names and shapes of LSTM layers are PyTorch's", "[tensors]") {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const TensorSpec& spec : model_tensors(lstm())) shapes[spec.name] = spec.shape;
  CHECK(shapes.size() == 9 + 2 + 4 * 8);
  CHECK(shapes.at("encoder.lstm.0.weight_ih") == std::vector<int64_t>{1536, 512});
  CHECK(shapes.at("encoder.lstm.3.weight_ih_reverse") == std::vector<int64_t>{1536, 768});
  CHECK(shapes.at("encoder.lstm.1.weight_hh_reverse") == std::vector<int64_t>{1536, 384});
  CHECK(shapes.at("encoder.lstm.2.bias_hh") == std::vector<int64_t>{1536});
  CHECK(shapes.contains("feature_projection.layer_norm.weight"));
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

  const MacCount recurrent = count_macs(lstm(), 160000);
  CHECK(recurrent.by_component.at("conv") == ten.by_component.at("conv"));
  CHECK(recurrent.by_component.at("lstm") == int64_t{499} * 2 * 4 * 384 * (512 + 384 + 3 * (768 + 384)));
  CHECK(recurrent.by_component.size() == 2);
  CHECK(recurrent.total == recurrent.by_component.at("conv") + recurrent.by_component.at("lstm"));
}
