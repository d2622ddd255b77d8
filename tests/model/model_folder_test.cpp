#include "model/model_folder.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "model/normalise.h"
#include "model/tensors.h"
#include "store/half.h"
#include "store/safetensors.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "model" / name;
}

// The tensors of a model as they would be written, to be changed before that.
struct Draft {
  explicit Draft(const std::string& name) : source(read_model_folder(fixture(name))) {
    write_json(folder.path() / "config.json", hf_config_json(source.config));
    for (const auto& [tensor, value] : source.tensors) {
      tensors.push_back(
          {tensor, "F32", value.shape, value.values.data(), value.values.size() * sizeof(float)});
    }
  }
  TensorToWrite& at(const std::string& name) {
    for (TensorToWrite& tensor : tensors)
      if (tensor.name == name) return tensor;
    throw std::out_of_range(name);
  }
  ModelWeights read() {
    write_safetensors(folder.path() / "model.safetensors", tensors);
    return read_model_folder(folder.path());
  }
  std::string error() {
    try {
      read();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder;
  ModelWeights source;
  std::vector<TensorToWrite> tensors;
};

}  // namespace

TEST_CASE("both spellings of the weight norm, a prefix and a task head load", "[model]") {
  for (const char* name : {"post", "pre", "bare"}) {
    const ModelWeights model = read_model_folder(fixture(name));
    const auto specs = model_tensors(model.config);
    REQUIRE(model.tensors.size() == specs.size());
    for (const TensorSpec& spec : specs) CHECK(model.tensors.at(spec.name).shape == spec.shape);
  }
}

TEST_CASE("a written folder reads back equal, with heads and provenance", "[model]") {
  ModelWeights model = read_model_folder(fixture("pre"));
  model.config.final_dim = 4;
  model.config.classes = 6;
  model.tensors["final_proj.weight"] = {{4, 36}, std::vector<float>(4 * 36, 0.5f)};
  model.tensors["final_proj.bias"] = {{4}, std::vector<float>(4, 0.25f)};
  model.tensors["label_embeddings"] = {{6, 4}, std::vector<float>(24, 0.125f)};
  model.provenance = {{"recipe", "dicehubert"}, {"steps", 7}};
  const TemporaryFolder folder;
  write_model(folder.path(), source_of(model));
  const ModelWeights back = read_model_folder(folder.path());
  CHECK(back.provenance == model.provenance);
  CHECK(back.config.classes == 6);
  CHECK(back.config.wave_norm == "zscore-hf");
  for (const auto& [name, tensor] : model.tensors) CHECK(back.tensors.at(name).values == tensor.values);
  CHECK(back.hash() == read_model_folder(fixture("pre")).hash());
}

TEST_CASE("a folder of an LSTM student reads back equal, and its hash leaves out the class head", "[model]") {
  for (const char* name : {"both", "forward"}) {
    CAPTURE(name);
    ModelWeights model = read_model_folder(fs::path(RETORT_FIXTURES) / "lstm" / name);
    REQUIRE(model.tensors.size() == model_tensors(model.config).size());
    const TemporaryFolder folder;
    make_model_folder(folder.path() / "student",
                      [&](const fs::path& made) { write_model(made, source_of(model)); });
    CHECK(model_difference(open_model_folder(folder.path() / "student"), source_of(model)).empty());
    const std::string hash = model.hash();
    model.tensors.at("class_head.bias").values[0] += 1;
    CHECK(model.hash() == hash);
    model.tensors.at("encoder.lstm.1.bias_hh").values[0] += 1;
    CHECK(model.hash() != hash);
  }
}

TEST_CASE("the hash is of what shapes features, and of all of it", "[model]") {
  ModelWeights model = read_model_folder(fixture("post"));
  const std::string hash = model.hash();
  model.tensors.at("masked_spec_embed").values[0] += 1;
  CHECK(model.hash() == hash);
  for (const TensorSpec& spec : model_tensors(model.config)) {
    if (spec.role == TensorRole::mask) continue;
    ModelWeights changed = model;
    changed.tensors.at(spec.name).values.back() += 1;
    if (changed.hash() == hash) FAIL(spec.name);
  }
}

TEST_CASE("half precision weights are widened", "[model]") {
  Draft draft("bare");
  const std::string name = "encoder.layer_norm.weight";
  std::vector<uint16_t> halves, brains;
  for (const float value : draft.source.tensors.at(name).values) {
    halves.push_back(f16_from_f32(value));
    brains.push_back(bf16_from_f32(value));
  }
  draft.at(name) = {name, "F16", draft.at(name).shape, halves.data(), halves.size() * 2};
  CHECK(draft.read().tensors.at(name).values[3] == f32_from_f16(halves[3]));
  draft.at(name) = {name, "BF16", draft.at(name).shape, brains.data(), brains.size() * 2};
  CHECK(draft.read().tensors.at(name).values[3] == f32_from_bf16(brains[3]));
}

TEST_CASE("weights in several files load by their index", "[model]") {
  Draft draft("bare");
  const fs::path folder = draft.folder.path();
  const auto middle = draft.tensors.begin() + 10;
  write_safetensors(folder / "a.safetensors", {draft.tensors.begin(), middle});
  write_safetensors(folder / "b.safetensors", {middle, draft.tensors.end()});
  Json map = Json::object();
  for (size_t i = 0; i < draft.tensors.size(); ++i)
    map[draft.tensors[i].name] = i < 10 ? "a.safetensors" : "b.safetensors";
  write_json(folder / "model.safetensors.index.json", {{"weight_map", map}});
  CHECK(read_model_folder(folder).hash() == draft.source.hash());
  map.begin().value() = "../elsewhere.safetensors";
  write_json(folder / "model.safetensors.index.json", {{"weight_map", map}});
  CHECK_THROWS_WITH(read_model_folder(folder), Catch::Contains("should be a name in this folder"));
}

TEST_CASE("a missing mask embedding is tolerated, anything else that does not fit is named in one line",
          "[model]") {
  Draft draft("post");
  const TensorToWrite mask = draft.at("masked_spec_embed");
  std::erase_if(draft.tensors,
                [](const TensorToWrite& tensor) { return tensor.name == "masked_spec_embed"; });
  CHECK_FALSE(draft.read().config.mask_embedding);

  TensorToWrite extra = mask;
  extra.name = "encoder.layers.3.layer_norm.bias";
  draft.tensors.push_back(extra);
  std::erase_if(draft.tensors,
                [](const TensorToWrite& t) { return t.name.starts_with("encoder.layers.2.attention"); });
  draft.at("encoder.layer_norm.bias").shape = {4, 8};
  const std::string error = draft.error();
  CHECK_THAT(error, Catch::Contains("8 tensors missing (encoder.layers.2.attention.q_proj.weight"));
  CHECK_THAT(error, Catch::Contains("and 5 more"));
  CHECK_THAT(error, Catch::Contains("1 tensor not of this model (encoder.layers.3.layer_norm.bias)"));
  CHECK_THAT(error, Catch::Contains("encoder.layer_norm.bias is (4,8), should be (32)"));
  CHECK_THAT(error, !Catch::Contains("\n"));
}

TEST_CASE("a folder without weights, and weights changed behind retort.json, are refused", "[model]") {
  Draft draft("bare");
  CHECK_THROWS_WITH(read_model_folder(draft.folder.path()),
                    Catch::Contains("no model.safetensors or pytorch_model.bin in it"));
  const TemporaryFolder folder;
  write_model(folder.path(), source_of(draft.source));
  ModelWeights other = draft.source;
  other.tensors.at("encoder.layer_norm.bias").values[0] += 1;
  write_hf_model(folder.path(), source_of(other), "f32");
  CHECK_THROWS_WITH(read_model_folder(folder.path()),
                    Catch::Contains(draft.source.hash()) && Catch::Contains(other.hash()));
}

TEST_CASE("normalised waveforms have mean 0 and variance 1", "[model]") {
  std::vector<float> samples(1000);
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = 0.2f + 0.1f * static_cast<float>(i % 7);
  CHECK(normalise_waveform(samples, "none") == samples);
  const std::vector<float> normal = normalise_waveform(samples, "zscore");
  double mean = 0, square = 0;
  for (const float value : normal) {
    mean += value / 1000.0;
    square += value * value / 1000.0;
  }
  CHECK(mean == Approx(0).margin(1e-6));
  CHECK(square == Approx(1).epsilon(1e-3));
  const std::vector<float> silence = normalise_waveform(std::vector<float>(500, 0.25f), "zscore");
  CHECK(silence == std::vector<float>(500, 0.0f));
}
