#include "model/checkpoint.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/files.h"
#include "base/yaml.h"
#include "model/checkpoint_formats.h"
#include "model/fairseq_writer.h"
#include "model/layers.h"
#include "model/model_folder.h"
#include "model/tensors.h"

using namespace retort;

namespace {

std::filesystem::path variant(const std::string& name) {
  return std::filesystem::path(RETORT_FIXTURES) / "parity" / name;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK_THAT(std::string(error.what()), !Catch::Contains("\n"));
    return error.what();
  }
  return "";
}

std::vector<std::tuple<int, int, int>> conv_layers(const std::string& text) {
  std::vector<std::tuple<int, int, int>> layers;
  for (const ConvLayerShape& layer : parse_conv_layers(text, "config"))
    layers.emplace_back(layer.channels, layer.kernel, layer.stride);
  return layers;
}

// A fairseq checkpoint of a fixture's model with some tensors put in, replaced or (by an empty shape) left
// out.
void write_changed(const std::filesystem::path& path, const std::string& name,
                   const std::map<std::string, NamedTensor>& changes) {
  const ModelWeights model = read_model(variant("same-fairseq") / name);
  std::map<std::string, NamedTensor> tensors;
  for (const TensorSpec& spec : model_tensors(model.config))
    if (spec.role != TensorRole::head)
      tensors[fairseq_from_canonical(spec.name, model.config)] = model.tensors.at(spec.name);
  for (const auto& [changed, tensor] : changes) {
    if (tensor.shape.empty())
      tensors.erase(changed);
    else
      tensors[changed] = tensor;
  }
  std::vector<TensorToWrite> written;
  for (const auto& [key, tensor] : tensors)
    written.push_back({key, "F32", tensor.shape, tensor.values.data(), tensor.values.size() * sizeof(float)});
  const TorchFile original(variant("same-fairseq") / name);
  const PickleValue* cfg = original.root().find("cfg");
  const Json config = plain_json(cfg != nullptr && !cfg->is_none() ? *cfg : *original.root().find("args"));
  write_torch_file(path, {{"cfg", config}}, "model", written);
}

std::string same_fairseq_file() {
  return json_get<std::string>(read_json(variant("same-fairseq") / "variant.json"), "checkpoint", "variant");
}

}  // namespace

TEST_CASE("conv stacks are read as Python would read them", "[checkpoint]") {
  const std::vector<std::tuple<int, int, int>> base = {{512, 10, 5}, {512, 3, 2}, {512, 3, 2}, {512, 3, 2},
                                                       {512, 3, 2},  {512, 2, 2}, {512, 2, 2}};
  CHECK(conv_layers("[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2") == base);
  CHECK(conv_layers("[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)]+[(512,2,2),]") == base);
  CHECK(conv_layers("[[8, 10, 5], (9, 3, 2)]").size() == 2);
  for (const char* wrong :
       {"", "(512,10,5)", "[(512,10)]", "[(512,10,5)", "[(512,10,5)] * 0", "[(0,1,1)]",
        "[(512,10,5)] * 99999999999", "[(1,1,1)] * 64 + [(1,1,1)]", "__import__('os')", "[(512,10,5)] + "})
    CHECK_THAT(error_of([&] { parse_conv_layers(wrong, "config"); }),
               Catch::Contains("cannot be understood"));
}

TEST_CASE("fairseq's names and ours turn into each other", "[checkpoint]") {
  ModelConfig relative, stacked, by_layer, batch_norm;
  relative.relative_buckets = 320;
  stacked.positional = PositionalForm::stacked;
  stacked.pos_depth = 3;
  by_layer.conv_norm = ConvNorm::layer;
  by_layer.conv_bias = true;
  by_layer.pre_norm = true;
  batch_norm.positional = PositionalForm::batch_norm;
  for (const ModelConfig& config : {ModelConfig(), relative, by_layer}) {
    for (const TensorSpec& spec : model_tensors(config))
      CHECK(canonical_from_fairseq(fairseq_from_canonical(spec.name, config)) == spec.name);
  }
  CHECK(fairseq_from_canonical("encoder.pos_conv_embed.layers.2.conv.bias", stacked) ==
        "encoder.pos_conv.2.0.bias");
  CHECK(fairseq_from_canonical("encoder.pos_conv_embed.batch_norm.bias", batch_norm) ==
        "encoder.pos_conv.0.bias");
  CHECK(fairseq_from_canonical("encoder.pos_conv_embed.conv.weight", batch_norm) ==
        "encoder.pos_conv.1.weight");
  CHECK(fairseq_from_canonical("encoder.layers.4.final_layer_norm.bias", relative) ==
        "encoder.layers.4.final_layer_norm.bias");
}

TEST_CASE("a checkpoint that does not fit its config is refused with what was left", "[checkpoint]") {
  const std::string name = same_fairseq_file();
  const TemporaryFolder folder;
  const auto path = folder.path() / "changed.pt";
  const auto error_with = [&](const std::map<std::string, NamedTensor>& changes) {
    write_changed(path, name, changes);
    return error_of([&] { read_model(path); });
  };
  CHECK(error_with({}).empty());
  CHECK_THAT(error_with({{"encoder.layers.0.extra.weight", {{2}, {1, 2}}}}),
             Catch::Contains("1 tensor not of this model (encoder.layers.0.extra.weight)"));
  CHECK_THAT(error_with({{"encoder.layers.0.fc1.bias", {{}, {}}}}),
             Catch::Contains("1 tensor missing (encoder.layers.0.feed_forward.intermediate_dense.bias)"));
  CHECK_THAT(error_with({{"encoder.layer_norm.bias", {{2}, {1, 2}}}}),
             Catch::Contains("encoder.layer_norm.bias is (2), should be"));
  ModelWeights model = read_model(variant("same-fairseq") / name);
  NamedTensor spoilt = model.tensors.at("encoder.layer_norm.bias");
  spoilt.values[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(error_with({{"encoder.layer_norm.bias", spoilt}}),
             Catch::Contains("tensor encoder.layer_norm.bias holds nan at 1"));
}

TEST_CASE("files that say too little are refused with what to give", "[checkpoint]") {
  const auto file_of = [](const std::string& name) {
    return variant(name) /
           json_get<std::string>(read_json(variant(name) / "variant.json"), "checkpoint", "v");
  };
  CHECK_THAT(error_of([&] { read_model(file_of("fithubert")); }), Catch::Contains("yaml as --config"));
  CHECK_THAT(error_of([&] { read_model(file_of("torchaudio-post")); }), Catch::Contains("factory function"));
  CHECK_THAT(error_of([&] { read_model("nowhere.pt"); }),
             Catch::Contains("no such model folder or checkpoint"));
  const TemporaryFolder folder;
  const float value = 1;
  write_torch_file(folder.path() / "odd.pt", Json::object(), "", {{"a", "F32", {1}, &value, sizeof value}});
  CHECK_THAT(error_of([&] { read_model(folder.path() / "odd.pt"); }),
             Catch::Contains("of no model known here"));
}

TEST_CASE("biases of the conv stack that are all zero do not change the hash", "[checkpoint]") {
  ModelWeights model = read_model(variant("same-fairseq") / same_fairseq_file());
  REQUIRE_FALSE(model.config.conv_bias);
  const std::string without = model.hash();
  model.config.conv_bias = true;
  for (const TensorSpec& spec : model_tensors(model.config))
    if (spec.name.ends_with(".conv.bias") && spec.role == TensorRole::conv)
      model.tensors[spec.name] = {spec.shape, std::vector<float>(static_cast<size_t>(spec.count()))};
  CHECK(model.hash() == without);
  model.tensors.at("feature_extractor.conv_layers.2.conv.bias").values[0] = 1e-9f;
  CHECK(model.hash() != without);
}

TEST_CASE("configurations of YAML become JSON, and nothing unfolds without end", "[checkpoint]") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.yaml";
  const auto parsed = [&](const std::string& text) {
    std::ofstream(path) << text;
    return read_json_or_yaml(path);
  };
  CHECK(parsed("a: 1\nb: [0.5, true, False, '7', x y]\nc:\n  d: null\n  e: '[(1, 2, 3)] * 2'\n") ==
        Json{{"a", 1},
             {"b", {0.5, true, false, "7", "x y"}},
             {"c", {{"d", nullptr}, {"e", "[(1, 2, 3)] * 2"}}}});
  CHECK_THAT(error_of([&] { parsed("a: [1, 2\nb: 3"); }), Catch::Contains("is no YAML (line"));
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i)
    bomb += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  CHECK_THAT(error_of([&] { parsed(bomb); }), Catch::Contains("too large"));
}

TEST_CASE("layers of students have their own names, widths and rates", "[checkpoint]") {
  const auto file =
      variant("fithubert") /
      json_get<std::string>(read_json(variant("fithubert") / "variant.json"), "checkpoint", "v");
  const auto yaml = variant("fithubert") /
                    json_get<std::string>(read_json(variant("fithubert") / "variant.json"), "config", "v");
  const ModelConfig config = open_checkpoint(file, yaml).config;
  CHECK(config.time_reduction == 2);
  CHECK(layer_hop(parse_layer("enc1", config), config) == 640);
  CHECK(layer_hop(parse_layer("head1", config), config) == 320);
  CHECK(layer_frames(parse_layer("proj", config), config, 16000) == 49);
  CHECK(layer_frames(parse_layer("enc1", config), config, 16000) == 24);
  CHECK(layer_frames(parse_layer("head1", config), config, 16000) == 48);
  CHECK_THROWS_WITH(parse_layer("s3prl:1", config), Catch::Contains("none of this model's"));
  CHECK_THROWS_WITH(parse_layer("head99", config), Catch::Contains("none of this model's"));
  CHECK(parse_layers("all", config) == all_layers(config));
}
