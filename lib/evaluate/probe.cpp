#include "evaluate/probe.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "base/bad_items.h"
#include "base/hash.h"
#include "base/log.h"
#include "corpus/corpus.h"
#include "encoder/audio_frames.h"
#include "evaluate/probe_training.h"
#include "model/checkpoint.h"

namespace retort {
namespace {

constexpr const char* protocol = "probe-1";

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Utterances that have the key, with their class.
struct Examples {
  std::vector<Utterance> utterances;
  std::vector<std::string> classes;  // sorted names
  std::map<std::string, int64_t> index;
};

Examples examples_of(const Corpus& corpus, const ProbeOptions& options) {
  Examples examples;
  for (const Utterance& utterance : corpus.utterances()) {
    if (!utterance.extra.contains(options.label_key)) continue;
    examples.utterances.push_back(utterance);
    examples.index.emplace(text_of(utterance.extra.at(options.label_key)), 0);
  }
  if (examples.index.size() < 2)
    fail("{}: {} utterances have a \"{}\", of {} classes; a probe needs two classes", options.corpus,
         examples.utterances.size(), options.label_key, examples.index.size());
  for (auto& [name, index] : examples.index) {
    index = static_cast<int64_t>(examples.classes.size());
    examples.classes.push_back(name);
  }
  return examples;
}

enum class Split { train, dev, test };

// 80/10/10 by the first digits of a hash, so that an utterance stays in its split whatever else the corpus
// holds.
Split split_of(const Utterance& utterance, const std::string& split_by) {
  std::string key = utterance.id;
  if (!split_by.empty()) {
    if (!utterance.extra.contains(split_by)) fail("{}: has no \"{}\" to split by", utterance.id, split_by);
    key = text_of(utterance.extra.at(split_by));
  }
  const unsigned long tenth = std::stoul(hash_text(key).substr(0, 8), nullptr, 16) % 10;
  return tenth < 8 ? Split::train : tenth == 8 ? Split::dev : Split::test;
}

// The outputs of the blocks, and the input of the first unless it has another width.
std::string block_layers(const std::string& model) {
  const ModelConfig config = read_config(model);
  std::string layers = config.block_input() == config.hidden ? "enc0,enc1" : "enc1";
  for (int layer = 2; layer <= config.layers; ++layer) layers += fmt::format(",enc{}", layer);
  return layers;
}

void add_pooled(const std::vector<Matrix>& outputs, ProbeSplit& split) {
  for (const Matrix& frames : outputs)
    for (int64_t column = 0; column < frames.columns(); ++column) {
      double sum = 0;
      for (int64_t row = 0; row < frames.rows(); ++row) sum += static_cast<double>(frames(row, column));
      split.features.push_back(static_cast<float>(sum / static_cast<double>(frames.rows())));
    }
  ++split.rows;
}

// What is said of the data besides the features.
struct PooledReport {
  Json split_hashes;
  std::map<std::string, std::size_t> bad;  // skipped utterances by reason
};

ProbeData pooled_features(const Examples& examples, FrameEncoder& encoder, const ProbeOptions& options,
                          PooledReport& report) {
  ProbeData data;
  data.layers = static_cast<int64_t>(encoder.outputs().size());
  data.dim = encoder.outputs().front().dim;
  data.classes = static_cast<int64_t>(examples.classes.size());
  for (const EncoderOutput& output : encoder.outputs())
    if (output.dim != data.dim)
      fail_usage("--layer {}: layers of different width cannot be mixed", options.encoder.layers);
  std::map<Split, Hasher> ids;
  BadItems bad("evaluate", options.max_bad);
  const Corpus corpus(examples.utterances);
  for_each_encoded(
      corpus, {0, corpus.size()}, encoder, options.encoder.threads, "encode", bad,
      [&](EncodedUtterance encoded) {
        if (encoded.outputs.front().rows() == 0) {
          bad.add(encoded.utterance->id, "too-short", "too short for a frame of this model");
          return;
        }
        const Split which = split_of(*encoded.utterance, options.split_by);
        ProbeSplit& split = which == Split::train ? data.train : which == Split::dev ? data.dev : data.test;
        const std::string name = text_of(encoded.utterance->extra.at(options.label_key));
        ids[which].add(encoded.utterance->id + "\n" + name + "\n");
        add_pooled(encoded.outputs, split);
        split.classes.push_back(examples.index.at(name));
      });
  bad.judge(corpus.size());
  if (data.train.rows == 0 || data.dev.rows == 0 || data.test.rows == 0)
    fail("{}: {} utterances are too few to be split ({} train, {} dev, {} test)", options.corpus,
         corpus.size(), data.train.rows, data.dev.rows, data.test.rows);
  report.split_hashes = {
      {"train", ids[Split::train].hex()}, {"dev", ids[Split::dev].hex()}, {"test", ids[Split::test].hex()}};
  report.bad = bad.reasons();
  return data;
}

// Share of the test split that the most frequent class of the training split gets right.
double majority_share(const ProbeData& data) {
  std::vector<int64_t> counts(static_cast<std::size_t>(data.classes));
  for (const int64_t one : data.train.classes) ++counts[static_cast<std::size_t>(one)];
  const int64_t most = std::max_element(counts.begin(), counts.end()) - counts.begin();
  return static_cast<double>(std::count(data.test.classes.begin(), data.test.classes.end(), most)) /
         static_cast<double>(data.test.rows);
}

// One score per seed at each rate; the rate with the most hits on dev over all seeds; of equals the one with
// the least cross-entropy there.
std::pair<double, std::vector<ProbeScore>> sweep(const ProbeData& data, const ProbeOptions& options,
                                                 Json& tried) {
  std::pair<double, std::vector<ProbeScore>> best;
  std::pair<int64_t, double> best_cost{1, 0};  // hits, negative, and loss
  for (const double lr : options.lrs) {
    std::vector<ProbeScore> scores;
    int64_t hits = 0;
    double loss = 0;
    for (int seed = 0; seed < options.seeds; ++seed) {
      scores.push_back(train_probe(data, {options.probe == "mlp", lr, options.epochs,
                                          static_cast<uint64_t>(seed), options.encoder.threads}));
      hits += scores.back().dev_correct;
      loss += scores.back().dev_loss;
    }
    tried.push_back(
        {{"lr", lr},
         {"dev_accuracy", static_cast<double>(hits) / static_cast<double>(options.seeds * data.dev.rows)}});
    if (std::pair(-hits, loss) >= best_cost) continue;
    best_cost = {-hits, loss};
    best = {lr, std::move(scores)};
  }
  return best;
}

Json result_of(const ProbeData& data, const Examples& examples, const ProbeOptions& options) {
  Json tried = Json::array(), correct = Json::array(), weights = Json::array();
  const auto [lr, scores] = sweep(data, options, tried);
  std::vector<double> accuracies;
  for (const ProbeScore& score : scores) {
    accuracies.push_back(static_cast<double>(score.test_correct) / static_cast<double>(data.test.rows));
    correct.push_back(score.test_correct);
    weights.push_back(score.layer_weights);
  }
  const double mean =
      std::accumulate(accuracies.begin(), accuracies.end(), 0.0) / static_cast<double>(accuracies.size());
  double variance = 0;
  for (const double accuracy : accuracies)
    variance += (accuracy - mean) * (accuracy - mean) / static_cast<double>(accuracies.size());
  return {{"metrics",
           {{"accuracy", mean},
            {"accuracy_deviation", std::sqrt(variance)},
            {"majority", majority_share(data)},
            {"chance", 1.0 / static_cast<double>(data.classes)}}},
          {"counts",
           {{"train", data.train.rows},
            {"dev", data.dev.rows},
            {"test", data.test.rows},
            {"test_correct", correct}}},
          {"classes", examples.classes},
          {"lr", lr},
          {"lr_sweep", tried},
          {"layer_weights", weights}};
}

std::string line_of(const Json& result) {
  const Json& metrics = result.at("metrics");
  return fmt::format(
      "probe accuracy {:.4f} deviation {:.4f} majority {:.4f} chance {:.4f} classes {} test {}",
      metrics.at("accuracy").get<double>(), metrics.at("accuracy_deviation").get<double>(),
      metrics.at("majority").get<double>(), metrics.at("chance").get<double>(), result.at("classes").size(),
      result.at("counts").at("test").get<int64_t>());
}

}  // namespace

std::string run_probe(const ProbeOptions& options) {
  require_probe_training();
  ResultFile file(options.result);
  const Corpus corpus = Corpus::read(options.corpus);
  const Examples examples = examples_of(corpus, options);
  EncoderOptions encoder_options = options.encoder;
  if (encoder_options.layers.empty() && !is_feature_name(encoder_options.model))
    encoder_options.layers = block_layers(encoder_options.model);
  const std::unique_ptr<FrameEncoder> encoder = make_frame_encoder(encoder_options);
  const Json job = {
      {"task", "probe"},
      {"protocol", protocol},
      {"model", encoder->origin(0).model},
      {"layers", encoder_options.layers},
      {"inputs",
       {{"corpus", corpus.hash()}, {"label_key", options.label_key}, {"split_by", options.split_by}}},
      {"options",
       {{"probe", options.probe},
        {"lrs", options.lrs},
        {"epochs", options.epochs},
        {"seeds", options.seeds}}}};
  if (const auto done = file.begin(job)) return line_of(*done);
  PooledReport report;
  const ProbeData data = pooled_features(examples, *encoder, options, report);
  Json rest = result_of(data, examples, options);
  rest["counts"]["without_label"] = corpus.size() - examples.utterances.size();
  rest["counts"]["bad"] = report.bad;
  rest["splits"] = report.split_hashes;
  return line_of(file.write(rest));
}

}  // namespace retort
