#include "model/layers.h"

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace retort;

namespace {

const ModelConfig base;

ModelConfig large() {
  ModelConfig config;
  config.layers = 24;
  config.pre_norm = true;
  return config;
}

std::string canonical(const std::string& text, const ModelConfig& config = base) {
  return parse_layer(text, config).name();
}

}  // namespace

TEST_CASE("every spelling of a layer has one name", "[layers]") {
  for (const char* text : {"enc9", "fairseq:9", "hf:9", "s3prl:9", "torchaudio:8"})
    CHECK(canonical(text) == "enc9");
  for (const char* text : {"conv", "proj", "enc0", "enc12", "final"}) CHECK(canonical(text) == text);
  CHECK(canonical("hf:0") == "enc0");
  CHECK(canonical("hf:12") == "enc12");
}

TEST_CASE("the last state of a pre-norm model is normalised in transformers and s3prl, not in the others",
          "[layers]") {
  CHECK(canonical("hf:24", large()) == "final");
  CHECK(canonical("s3prl:24", large()) == "final");
  CHECK(canonical("hf:23", large()) == "enc23");
  CHECK(canonical("fairseq:24", large()) == "enc24");
  CHECK(canonical("torchaudio:23", large()) == "enc24");
}

TEST_CASE("layers that a model does not have are refused", "[layers]") {
  for (const char* text : {"enc13", "hf:13", "fairseq:0", "fairseq:13", "torchaudio:12", "head4", "encoder",
                           "enc", "enc9x", "enc09", "", "9", "kaldi:3", "enc99999999999"}) {
    CHECK_THROWS_WITH(canonical(text), Catch::Contains("conv, proj, enc0 to enc12, final"));
  }
  for (const char* text : {"-1", "enc-1", "hf:-1"})
    CHECK_THROWS_WITH(canonical(text), Catch::Contains("negative"));
}

TEST_CASE("the input of an LSTM without projection is as wide as the conv stack", "[layers]") {
  ModelConfig config;
  config.type = "hubert-lstm";
  config.blocks = BlockKind::lstm;
  config.layers = 4;
  const auto dims = [&config] {
    std::vector<int> found;
    for (const Layer& layer : all_layers(config)) found.push_back(layer_dim(layer, config));
    return found;  // conv, proj, enc0 to enc4, final
  };
  CHECK(dims() == std::vector<int>{512, 768, 768, 768, 768, 768, 768, 768});
  config.projection = false;
  CHECK(dims() == std::vector<int>{512, 512, 512, 768, 768, 768, 768, 768});
  CHECK(layer_frames(parse_layer("enc4", config), config, 16000) == 49);
  CHECK_THROWS_WITH(canonical("enc5", config), Catch::Contains("conv, proj, enc0 to enc4, final"));
}

TEST_CASE("lists keep their order and hold a layer once", "[layers]") {
  const auto layers = parse_layers("enc9,conv,hf:3", base);
  REQUIRE(layers.size() == 3);
  CHECK(layers[0].name() == "enc9");
  CHECK(layers[1].name() == "conv");
  CHECK(layers[2].name() == "enc3");
  CHECK(layer_dim(layers[1], base) == 512);
  CHECK(layer_dim(layers[0], base) == 768);
  CHECK_THROWS_AS(parse_layers("enc9,hf:9", base), Error);
  CHECK_THROWS_AS(parse_layers("enc9,", base), Error);
}
