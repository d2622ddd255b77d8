#include "evaluate/qbe.h"

#include <algorithm>
#include <cmath>

#include "base/progress.h"
#include "base/signals.h"
#include "base/threads.h"
#include "measures/detection.h"
#include "measures/dtw.h"
#include "measures/edit_distance.h"

namespace retort {
namespace {

struct QbeSettings {
  // text: a query occurs where its words follow each other in the recording's text. documents: the key of a
  // query's corpus line with a list of recordings.
  std::string relevance;
  std::string key;
  bool spread = true;        // map distances of each query frame to [0, 1]
  int64_t least_frames = 5;  // shorter queries are left out
  double beta = 0;           // cost of a share of false alarms to one of misses
};

QbeSettings settings_of(const Protocol& protocol) {
  const std::string where = "protocol " + protocol.label();
  refuse_unknown_keys(protocol.data, {"relevance", "key"}, where + " data");
  refuse_unknown_keys(protocol.probe, {"kind", "spread", "least_frames"}, where + " probe");
  refuse_unknown_keys(protocol.metric, {"name", "beta"}, where + " metric");
  QbeSettings settings;
  settings.relevance = json_get<std::string>(protocol.data, "relevance", where);
  settings.key = json_get<std::string>(protocol.data, "key", where);
  settings.spread = json_get<bool>(protocol.probe, "spread", where);
  settings.least_frames = json_get<int64_t>(protocol.probe, "least_frames", where);
  settings.beta = json_get<double>(protocol.metric, "beta", where);
  if (json_get<std::string>(protocol.probe, "kind", where) != "dtw" ||
      json_get<std::string>(protocol.metric, "name", where) != "mtwv")
    fail("{}: probe.kind should be dtw, and metric.name mtwv", where);
  if (settings.relevance != "text" && settings.relevance != "documents")
    fail("{}: data.relevance should be text or documents", where);
  return settings;
}

// Words in lower case, without punctuation.
std::vector<std::string> spoken_words(const Utterance& utterance, const std::string& key) {
  std::string text = value_of(utterance, key);
  for (char& c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x80 && c != '\'') c = std::isalnum(code) != 0 ? static_cast<char>(std::tolower(code)) : ' ';
  }
  return words_of(text);
}

bool occurs(const Utterance& query, const Utterance& document, const QbeSettings& settings) {
  if (settings.relevance == "documents") {
    const Json& list = query.extra.at(settings.key);
    return std::find(list.begin(), list.end(), document.id) != list.end();
  }
  const std::vector<std::string> words = spoken_words(query, settings.key),
                                 text = spoken_words(document, settings.key);
  return !words.empty() && std::search(text.begin(), text.end(), words.begin(), words.end()) != text.end();
}

std::vector<Utterance> with_key(const Corpus& corpus, const std::string& key, const std::string& path) {
  std::vector<Utterance> found;
  for (const Utterance& utterance : corpus.utterances())
    if (utterance.extra.contains(key)) found.push_back(utterance);
  if (found.empty()) fail("{}: none of its {} utterances has a \"{}\"", path, corpus.size(), key);
  return found;
}

// A list of ids that name recordings; an Error that names the query where it is another thing.
void require_documents(const std::vector<Utterance>& queries, const std::vector<Utterance>& documents,
                       const std::string& key) {
  std::vector<std::string> ids;
  for (const Utterance& document : documents) ids.push_back(document.id);
  std::sort(ids.begin(), ids.end());
  for (const Utterance& query : queries) {
    if (!json_holds<std::vector<std::string>>(query.extra.at(key)))
      fail("{}: \"{}\" should be a list of ids", query.id, key);
    for (const Json& id : query.extra.at(key))
      if (!id.is_string() || !std::binary_search(ids.begin(), ids.end(), id.get<std::string>()))
        fail("{}: occurs in {}, which the corpus lacks", query.id, id.dump());
  }
}

// Half of the queries pick the layer, the others are scored; train does not occur.
Split split_of(const Utterance& query, const SplitRule& rule) {
  const std::string value = value_of(query, rule.key);
  if (rule.kind == "hashed") return hashed_tenth(value) < 5 ? Split::dev : Split::test;
  if (value == "dev") return Split::dev;
  if (value == "test") return Split::test;
  fail("{}: \"{}\" is {}; should be dev or test", query.id, rule.key, one_line(value));
}

// What is looked for and where, as features; points into `features` and the utterances that they are of.
struct SearchData {
  FrameFeatures features;
  std::vector<const FrameItem*> queries, documents;
  std::vector<const Utterance*> query_lines, document_lines;
  std::vector<std::size_t> dev, test;  // queries
  Json split_hashes;
  int64_t short_queries = 0;
};

Matrix layer_of(const FrameItem& item, const FrameFeatures& features, int64_t layer) {
  const auto size = static_cast<std::ptrdiff_t>(item.frames * features.dim);
  const auto begin = item.values.begin() + layer * size;
  return {item.frames, features.dim, std::vector<float>(begin, begin + size)};
}

// Scores of one query on one layer: minus the cost, with mean 0 and deviation 1 over the recordings.
QueryTrials search(const SearchData& data, std::size_t query, const std::vector<Matrix>& documents,
                   int64_t layer, const QbeSettings& settings) {
  const Matrix frames = layer_of(*data.queries[query], data.features, layer);
  QueryTrials trials;
  for (std::size_t i = 0; i < documents.size(); ++i) {
    if (data.document_lines[i]->id == data.query_lines[query]->id) continue;
    trials.push_back({-subsequence_cost(query_distances(frames, documents[i], settings.spread)),
                      occurs(*data.query_lines[query], *data.document_lines[i], settings)});
  }
  double mean = 0, variance = 0;
  const auto count = static_cast<double>(trials.size());
  for (const Trial& trial : trials) mean += trial.score / count;
  for (const Trial& trial : trials) variance += (trial.score - mean) * (trial.score - mean) / count;
  for (Trial& trial : trials) trial.score = (trial.score - mean) / std::max(std::sqrt(variance), 1e-9);
  return trials;
}

TermWeightedValue value_of_layer(const SearchData& data, const std::vector<std::size_t>& queries,
                                 int64_t layer, const QbeSettings& settings, int threads,
                                 Progress& progress) {
  std::vector<Matrix> documents;
  for (const FrameItem* item : data.documents) documents.push_back(layer_of(*item, data.features, layer));
  std::vector<QueryTrials> trials(queries.size());
  // In portions, between which a signal can stop the work.
  const std::size_t portion = std::size_t{4} * static_cast<std::size_t>(threads);
  for (std::size_t begin = 0; begin < queries.size(); begin += portion) {
    throw_if_stopped();
    const std::size_t count = std::min(portion, queries.size() - begin);
    parallel_for(count, threads, [&](std::size_t i) {
      trials[begin + i] = search(data, queries[begin + i], documents, layer, settings);
    });
    progress.advance(static_cast<double>(count));
  }
  return max_term_weighted_value(trials, settings.beta);
}

// `utterances` are the queries, the first `query_count` of them, and the recordings. An Error where the
// queries cannot be split.
SearchData search_data(Task& task, const QbeSettings& settings, const std::vector<Utterance>& utterances,
                       std::size_t query_count) {
  SearchData data;
  data.features = take_features(utterances, task.source(), task.options().max_bad);
  standardise(data.features, std::vector<bool>(data.features.items.size(), true));
  std::vector<Utterance> used;
  std::vector<Split> splits;
  std::vector<std::string> found_in;
  for (const FrameItem& item : data.features.items) {
    const Utterance& utterance = utterances[item.utterance];
    if (item.utterance >= query_count) {
      data.documents.push_back(&item);
      data.document_lines.push_back(&utterance);
      continue;
    }
    if (item.frames < settings.least_frames) {
      ++data.short_queries;
      continue;
    }
    used.push_back(utterance);
    splits.push_back(split_of(utterance, task.protocol().splits));
    found_in.push_back(value_of(utterance, settings.key));
    (splits.back() == Split::dev ? data.dev : data.test).push_back(data.queries.size());
    data.queries.push_back(&item);
    data.query_lines.push_back(&utterance);
  }
  data.split_hashes = split_hashes(used, splits, found_in);
  require_splits(data.split_hashes, task.protocol().splits, task.protocol().label());
  if (data.dev.empty() || data.test.empty())
    fail("{}: {} queries are too few to be split ({} dev, {} test)", task.file("queries"), used.size(),
         data.dev.size(), data.test.size());
  return data;
}

std::string line_of_qbe(const Json& result) {
  return fmt::format("qbe mtwv {:.4f} layer {} test {}", result.at("metrics").at("mtwv").get<double>(),
                     result.at("layer").get<std::string>(), result.at("counts").at("test").get<int64_t>());
}

}  // namespace

std::string run_qbe(const TaskOptions& options) {
  Task task(options, "qbe");
  const QbeSettings settings = settings_of(task.protocol());
  if (task.file("queries").empty()) fail_usage("--queries is required: the corpus of what is looked for");
  const Corpus query_corpus = Corpus::read(task.file("queries"));
  std::vector<Utterance> utterances = with_key(query_corpus, settings.key, task.file("queries"));
  const std::size_t query_count = utterances.size();
  const std::vector<Utterance> documents = settings.relevance == "text"
                                               ? with_key(task.corpus(), settings.key, options.corpus)
                                               : task.corpus().utterances();
  if (settings.relevance == "documents") require_documents(utterances, documents, settings.key);
  if (const auto done = task.begin()) return line_of_qbe(*done);

  utterances.insert(utterances.end(), documents.begin(), documents.end());
  const SearchData data = search_data(task, settings, utterances, query_count);
  const int threads =
      task.options().encoder.threads > 0 ? task.options().encoder.threads : available_threads();
  const int64_t tried_layers = data.features.layers > 1 ? data.features.layers : 0;
  Progress progress("search", "queries",
                    static_cast<double>(tried_layers) * static_cast<double>(data.dev.size()) +
                        static_cast<double>(data.test.size()));
  Json by_layer = Json::object();
  int64_t best = 0;
  double best_value = -1;
  for (int64_t layer = 0; layer < tried_layers; ++layer) {
    const double value = value_of_layer(data, data.dev, layer, settings, threads, progress).value;
    by_layer[task.source().outputs()[static_cast<std::size_t>(layer)].layer] = value;
    if (value <= best_value) continue;
    best_value = value;
    best = layer;
  }
  const TermWeightedValue value = value_of_layer(data, data.test, best, settings, threads, progress);
  return line_of_qbe(task.write({{"metrics", {{"mtwv", value.value}}},
                                 {"layer", task.source().outputs()[static_cast<std::size_t>(best)].layer},
                                 {"dev_mtwv", by_layer},
                                 {"threshold", value.threshold},
                                 {"counts",
                                  {{"dev", data.dev.size()},
                                   {"test", value.queries},
                                   {"test_without_document", value.queries_without},
                                   {"documents", data.documents.size()},
                                   {"short_queries", data.short_queries},
                                   {"bad", data.features.bad}}},
                                 {"splits", data.split_hashes}}));
}

}  // namespace retort
