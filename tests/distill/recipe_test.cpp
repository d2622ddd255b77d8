#include "distill/recipe.h"

#include <catch2/catch.hpp>

#include "model/tensors.h"

using namespace retort;

TEST_CASE("every built-in recipe parses to what it says") {
  REQUIRE(builtin_recipes() == std::vector<std::string>{"armhubert", "dicehubert", "distilhubert", "dkd-lstm",
                                                        "dkd-lstm-streaming", "fithubert", "hubert"});
  for (const std::string& name : builtin_recipes()) {
    const Json json = read_recipe(name);
    CAPTURE(name);
    CHECK(first_difference(json, parse_recipe(json, name).to_json()).empty());
    CHECK(json["name"] == name);
  }
}

TEST_CASE("the built-in students have the published sizes") {
  for (const auto& [name, parameters] : {std::pair{"hubert", 94371712},
                                         {"dicehubert", 26873344},
                                         {"distilhubert", 23491200},
                                         {"fithubert", 21200096},
                                         {"armhubert", 22015552},
                                         {"dkd-lstm", 17595392}}) {
    CAPTURE(name);
    CHECK(count_parameters(parse_recipe(read_recipe(name), name).student).backbone == parameters);
  }
}

TEST_CASE("prediction heads of a teacher as wide as HuBERT Base count as published") {
  const auto with_heads = [](const char* name, const char* layers) {
    Json json = read_recipe(name);
    apply_override(json, fmt::format("student.predicted_layers={}", layers));
    ModelConfig student = parse_recipe(json, name).student;
    student.prediction.dim = 768;
    student.prediction.inner = student.hidden;
    return count_parameters(student).total;
  };
  CHECK(with_heads("distilhubert", "[4,12]") == 25853568);
  CHECK(with_heads("distilhubert", "[4,8,12]") == 27034752);
  CHECK(with_heads("armhubert", "[1,2,3,4,5,6,7,8,9,10,11,12]") == 26448448);
  // The published 22,492,064 hold another upsampler, which no computation uses.
  CHECK(with_heads("fithubert", "[12]") == 22492064 - (480 * 480 * 2 + 480));
}

TEST_CASE("neighbours of a recipe, as its notes say, count as published") {
  const auto backbone = [](const char* name, std::initializer_list<const char*> assignments) {
    Json json = read_recipe(name);
    for (const char* assignment : assignments) apply_override(json, assignment);
    return count_parameters(parse_recipe(json, name).student).backbone;
  };
  CHECK(backbone("armhubert", {"student.hidden=432", "student.ffn=816",
                               "student.conv_channels=[128,256,256,256,256,256,432,432,432]"}) == 18403552);
  CHECK(backbone("armhubert", {"student.attention_period=1", "student.ffn=640"}) == 22202944);
  // 3-L One and 12-L Half (Ashihara et al. 2022).
  CHECK(backbone("distilhubert", {"student.layers=3"}) == 30579072);
  CHECK(backbone("distilhubert",
                 {"student.layers=12", "student.hidden=384", "student.heads=6", "student.ffn=1536",
                  "student.projection_norm=true", "student.mask_embedding=true"}) == 26873344);
}

TEST_CASE("an override replaces one value and keeps its kind") {
  Json json = read_recipe("hubert");
  apply_override(json, "student.hidden=144");
  apply_override(json, "student.conv_channels=[48,48,48,48,48,64,64]");
  apply_override(json, "optimizer.lr=1");
  apply_override(json, "label_layer=enc9");
  const Recipe recipe = parse_recipe(json, "test");
  CHECK(recipe.student.hidden == 144);
  CHECK(recipe.student.conv[6].channels == 64);
  CHECK(recipe.optimizer.lr == 1.0);
  CHECK(recipe.label_layer() == "enc9");
}

TEST_CASE("an override that makes no sense is refused") {
  Json json = read_recipe("hubert");
  for (const char* wrong :
       {"student.hiden=1", "student=1", "student.hidden", "=1", "student.hidden=wide", "student.hidden=1.5",
        "student.pre_norm=1", "optimizer.lr=fast", "student.hidden.x=1"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(apply_override(json, wrong), Error);
  }
  CHECK(json == read_recipe("hubert"));
}

TEST_CASE("a recipe with an unknown, missing or impossible value is refused") {
  for (const auto& [name, assignment] : {std::pair{"hubert", "student.mask_embedding=false"},
                                         {"hubert", "student.prediction_heads=split"},
                                         {"hubert", "objective=layers"},
                                         {"distilhubert", "student.predicted_layers=[]"},
                                         {"distilhubert", "loss.l1=-1"},
                                         {"dkd-lstm", "loss.temperature=0"},
                                         {"dkd-lstm", "student.lstm_hidden=0"},
                                         {"dkd-lstm", "student.class_head=cosine"}}) {
    Json json = read_recipe(name);
    apply_override(json, assignment);
    CAPTURE(name, assignment);
    CHECK_THROWS_AS(parse_recipe(json, "r"), Error);
  }
  const Json good = read_recipe("hubert");
  Json extra = good;
  extra["student"]["colour"] = 1;
  CHECK_THROWS_WITH(parse_recipe(extra, "r"), Catch::Contains("colour"));
  Json missing = good;
  missing["optimizer"].erase("lr");
  CHECK_THROWS_WITH(parse_recipe(missing, "r"), Catch::Contains("lr"));
  for (const auto& [key, value] : {std::pair{"student.heads", "7"},
                                   {"student.layerdrop", "1.5"},
                                   {"loss.masked", "-1.0"},
                                   {"batch.max_seconds", "0.5"},
                                   {"report_every", "0"}}) {
    Json json = good;
    apply_override(json, std::string(key) + "=" + value);
    CAPTURE(key);
    CHECK_THROWS_AS(parse_recipe(json, "r"), Error);
  }
}
