#include "model/config.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/log.h"

using namespace retort;
namespace fs = std::filesystem;

namespace {

fs::path fixture(const std::string& name) {
  return fs::path(RETORT_FIXTURES) / "model" / name;
}

// A folder with a config.json of these keys, and maybe a preprocessor's do_normalize.
struct ConfigFolder {
  explicit ConfigFolder(Json config) {
    config["model_type"] = config.value("model_type", "hubert");
    write_json(folder.path() / "config.json", config);
  }
  void normalise(bool value) {
    write_json(folder.path() / "preprocessor_config.json", {{"do_normalize", value}});
  }
  ModelConfig read() const { return read_model_config(folder.path()); }

  TemporaryFolder folder;
};

std::string error_of(const Json& config) {
  try {
    ConfigFolder(config).read();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("frames follow the conv formula and its closed form", "[config]") {
  const ModelConfig config;
  CHECK(config.stride() == 320);
  CHECK(config.receptive_field() == 400);
  for (int64_t samples = 0; samples < 20000; ++samples) {
    const int64_t closed = samples < 400 ? 0 : (samples - 80) / 320;
    if (config.frames(samples) != closed) FAIL(samples << " samples: " << config.frames(samples));
  }
  CHECK(config.frames(190800) == 596);
  CHECK(config.frames(250000) == 781);
}

TEST_CASE("a model of another sample rate is refused", "[config]") {
  const ConfigFolder folder(Json::object());
  const fs::path file = folder.folder.path() / "preprocessor_config.json";
  write_json(file, {{"sampling_rate", 16000}});
  folder.read();
  write_json(file, {{"sampling_rate", 8000}});
  CHECK_THROWS_WITH(folder.read(), Catch::Contains("audio at 8000 Hz"));
}

TEST_CASE("a bare config is HuBERT Base, and unknown keys do not matter", "[config]") {
  const ModelConfig config =
      ConfigFolder(Json{{"gradient_checkpointing", true}, {"tokenizer_class", "X"}}).read();
  CHECK(config.hidden == 768);
  CHECK(config.conv.size() == 7);
  CHECK(config.mask_embedding);
  CHECK(config.wave_norm == "none");
}

TEST_CASE("config.json is read as transformers means it", "[config]") {
  const ModelConfig post = read_model_config(fixture("post"));
  CHECK(post.conv[5].channels == 20);
  CHECK(post.norm_eps == 1e-3);
  CHECK_FALSE(post.pre_norm);
  const ModelConfig pre = read_model_config(fixture("pre"));
  CHECK(pre.pre_norm);
  CHECK(pre.conv_norm == ConvNorm::layer);
  CHECK(pre.conv_bias);
  CHECK(pre.wave_norm == "zscore-hf");
  const ModelConfig bare = read_model_config(fixture("bare"));
  CHECK_FALSE(bare.mask_embedding);
  CHECK_FALSE(bare.projection_norm);
}

TEST_CASE("what is written as config.json is read back the same", "[config]") {
  for (const char* name : {"post", "pre", "bare"}) {
    const ModelConfig config = read_model_config(fixture(name));
    const Json written = hf_config_json(config);
    CHECK(hf_config_json(ConfigFolder(written).read()) == written);
  }
}

TEST_CASE("LSTM students have a form of their own, of which nothing is a transformer's", "[config]") {
  for (const char* name : {"both", "forward"}) {
    const ModelConfig config = read_model_config(fs::path(RETORT_FIXTURES) / "lstm" / name);
    const bool both = name == std::string("both");
    CHECK(config.blocks == BlockKind::lstm);
    CHECK(config.bidirectional == both);
    CHECK(config.lstm_hidden == (both ? 11 : 13));
    CHECK(config.projection == !both);
    CHECK(config.block_input() == (both ? 10 : 13));
    CHECK(config.classes == 7);
    CHECK(config.class_head == ClassHead::linear);
    const Json written = hf_config_json(config);
    CHECK(hf_config_json(ConfigFolder(written).read()) == written);
    for (const char* key :
         {"num_attention_heads", "intermediate_size", "layerdrop", "num_conv_pos_embeddings"})
      CHECK_FALSE(written.contains(key));
  }
  CHECK_THAT(error_of({{"model_type", "hubert-lstm"}, {"lstm_hidden_size", 100}}),
             Catch::Contains("hidden_size 768 should be 200"));
  CHECK_THAT(error_of({{"model_type", "hubert-lstm"}, {"lstm_hidden_size", 0}}),
             Catch::Contains("lstm_hidden_size should be positive"));
  ModelConfig misnamed;
  misnamed.blocks = BlockKind::lstm;
  CHECK_THROWS_WITH(check_model_config(misnamed, "here"), "here: model_type hubert has no LSTM layers");
}

TEST_CASE("the class head is cosine where retort.json does not say", "[config]") {
  ConfigFolder folder(Json::object());
  const auto head = [&](Json own) {
    own["wave_norm"] = "none";
    write_json(folder.folder.path() / "retort.json", own);
    return folder.read().class_head;
  };
  CHECK(head({{"classes", 5}, {"final_dim", 4}}) == ClassHead::cosine);
  CHECK(head({{"classes", 5}, {"class_head", "linear"}}) == ClassHead::linear);
  CHECK_THROWS_WITH(head({{"classes", 5}, {"class_head", "square"}}), Catch::Contains("class_head square"));
  CHECK_THROWS_WITH(head({{"classes", 5}}), Catch::Contains("final_dim should be positive"));
  CHECK_THROWS_WITH(head({{"classes", 5}, {"final_dim", 4}, {"class_head", "linear"}}),
                    Catch::Contains("final_dim should be positive where a cosine head"));
}

TEST_CASE("the waveform's norm is the preprocessor's, or what the conv norm implies", "[config]") {
  CHECK(ConfigFolder(Json{{"feat_extract_norm", "layer"}}).read().wave_norm == "zscore");
  ConfigFolder contradictory(Json{{"feat_extract_norm", "group"}});
  contradictory.normalise(true);
  int warnings = 0;
  set_log_sink(
      [&](LogLevel level, std::string_view, std::string_view) { warnings += level == LogLevel::warning; });
  CHECK(contradictory.read().wave_norm == "zscore-hf");
  contradictory.normalise(false);
  CHECK(contradictory.read().wave_norm == "none");
  set_log_sink({});
  CHECK(warnings == 1);
}

TEST_CASE("models that would be computed wrongly are refused", "[config]") {
  CHECK_THAT(error_of({{"model_type", "sew"}}), Catch::Contains("model_type sew is not supported"));
  CHECK_THAT(error_of({{"hidden_act", "relu"}}), Catch::Contains("hidden_act relu"));
  CHECK_THAT(error_of({{"model_type", "wavlm"}, {"num_buckets", 7}}), Catch::Contains("num_buckets"));
  CHECK_THAT(error_of({{"model_type", "fithubert"}, {"time_reduction", 0}}),
             Catch::Contains("time_reduction"));
  CHECK_THAT(error_of({{"adapter_attn_dim", 16}}), Catch::Contains("adapter_attn_dim"));
  CHECK_THAT(error_of({{"num_attention_heads", 7}}), Catch::Contains("no multiple"));
  CHECK_THAT(error_of({{"conv_dim", {512, 512}}}), Catch::Contains("same number"));
  CHECK_THAT(error_of({{"hidden_size", "wide"}}), Catch::Contains("hidden_size"));
  CHECK_THAT(error_of({{"layerdrop", 1.5}}), Catch::Contains("[0, 1)"));
  TemporaryFolder empty;
  CHECK_THROWS_WITH(read_model_config(empty.path()), Catch::Contains("no config.json in it"));
}
