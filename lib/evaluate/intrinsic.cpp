#include "evaluate/intrinsic.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "base/stopwatch.h"
#include "model/checkpoint.h"
#include "model/layers.h"

namespace retort {
namespace {

constexpr const char* protocol = "intrinsic-1";

using Names = std::vector<std::string>;

// The canonical names of a list of layers.
Names layer_names(const std::string& list, const ModelConfig& config) {
  Names names;
  for (const Layer& layer : parse_layers(list, config)) names.push_back(layer.name());
  return names;
}

// The outputs of all blocks, and of prediction heads.
Names block_layers(const ModelConfig& config) {
  Names names;
  for (const Layer& layer : all_layers(config))
    if (layer.kind == Layer::Kind::head || (layer.kind == Layer::Kind::enc && layer.index > 0))
      names.push_back(layer.name());
  return names;
}

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// One side's layers by what is done with them; empty lists: all that it has.
struct ChosenLayers {
  Names scored, compared;
  std::string encoded;  // all of them, comma-separated
};

ChosenLayers choose_layers(const std::string& model, const std::string& scored, const std::string& compared,
                           bool scores, bool compares) {
  ChosenLayers chosen;
  if (model.empty() || is_feature_name(model)) {
    if (!scored.empty() || !compared.empty())
      fail_usage("--layer and --compare: choose among the layers of a model; {} has none",
                 model.empty() ? "a feature store" : model);
    return chosen;
  }
  const ModelConfig config = read_config(model);
  if (scores) chosen.scored = layer_names(scored.empty() ? "final" : scored, config);
  if (compares) chosen.compared = compared.empty() ? block_layers(config) : layer_names(compared, config);
  for (const Layer& layer : all_layers(config))
    if (contains(chosen.scored, layer.name()) || contains(chosen.compared, layer.name()))
      chosen.encoded += fmt::format("{}{}", chosen.encoded.empty() ? "" : ",", layer.name());
  return chosen;
}

class IntrinsicJob {
 public:
  IntrinsicJob(std::string task, IntrinsicOptions options)
      : task_(std::move(task)), options_(std::move(options)), file_(options_.result) {
    has_teacher_ = !options_.feed.teacher.empty() || !options_.feed.teacher_features.empty();
    by_phones_ = !options_.phones.alignments.empty();
    by_items_ = !options_.abx.items.empty();
    const bool scores = by_phones_ || by_items_;
    ours_ =
        choose_layers(options_.feed.encoder.model, options_.layers, options_.compare, scores, has_teacher_);
    options_.feed.encoder.layers = ours_.encoded;
    if (!options_.feed.teacher.empty()) {
      theirs_ = choose_layers(options_.feed.teacher, options_.teacher_layers, options_.compare_teacher,
                              scores, has_teacher_);
      options_.feed.teacher_layers = theirs_.encoded;
    }
    feed_ = open_feed(options_.feed);
  }

  std::string run() {
    if (const auto done = file_.begin(job())) return lines_of(*done);
    make_measures();
    Stopwatch watch;
    Json result = {
        {"metrics", Json::object()},
        {"counts",
         {{"utterances", feed_->utterances().size()}, {"utterances_of_one_side", feed_->unmatched()}}}};
    result["counts"]["bad"] = feed_->run([&](const FedUtterance& utterance) {
      for (const auto& measure : measures_) measure->add(utterance);
    });
    Json seconds = {{"frames", watch.lap()}};
    for (const auto& measure : measures_) {
      measure->finish(result);
      seconds[measure->name()] = watch.lap();
    }
    result["partial"] = feed_->unmatched() > 0 || items_missing(result) > 0;
    result["seconds_by_part"] = std::move(seconds);
    return lines_of(file_.write(result));
  }

 private:
  // Everything that shapes the numbers.
  Json job() const {
    Json job = {{"task", task_}, {"protocol", protocol}};
    job.update(feed_->models());
    Json layers = Json::object();
    for (const FedLayer& layer : feed_->layers())
      layers[layer.of_teacher ? "teacher" : "model"].push_back(layer.name);
    job["layers"] = std::move(layers);
    job["scored"] = {{"model", ours_.scored}, {"teacher", theirs_.scored}};
    job["inputs"] = feed_->inputs();
    Json values = {{"hop", options_.hop}, {"partial", options_.feed.partial}};
    if (by_phones_) {
      job["inputs"]["alignments"] = hash_file(options_.phones.alignments);
      job["inputs"]["split_by"] = options_.phones.split_by;
      values["clusters"] = options_.phones.clusters;
      values["seed"] = options_.phones.seed;
      values["frames"] = options_.phones.frames;
    }
    if (by_items_) {
      job["inputs"]["items"] = hash_file(options_.abx.items);
      values["context"] = options_.abx.context;
      values["most_items"] = options_.abx.most;
    }
    if (has_teacher_) values["similarity_frames"] = options_.similarity.frames;
    job["options"] = std::move(values);
    return job;
  }

  // Places among the feed's layers of those named; of a side without names, all.
  std::vector<std::size_t> places_of(Names ChosenLayers::*list) const {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < feed_->layers().size(); ++i) {
      const FedLayer& layer = feed_->layers()[i];
      const Names& names = (layer.of_teacher ? theirs_ : ours_).*list;
      if (names.empty() || contains(names, layer.name)) places.push_back(i);
    }
    return places;
  }

  FrameGrid grid_of(Names ChosenLayers::*list) const {
    return {feed_->layers(), places_of(list), options_.hop};
  }

  void make_measures() {
    options_.abx.partial = options_.feed.partial;
    if (by_phones_)
      measures_.push_back(make_phone_measure(*feed_, grid_of(&ChosenLayers::scored), options_.phones));
    if (by_items_)
      measures_.push_back(make_abx_measure(*feed_, grid_of(&ChosenLayers::scored), options_.abx));
    if (has_teacher_)
      measures_.push_back(
          make_similarity_measure(*feed_, grid_of(&ChosenLayers::compared), options_.similarity));
  }

  static int64_t items_missing(const Json& result) {
    const Json& counts = result.at("counts");
    return counts.contains("abx") ? counts.at("abx").at("items_missing").get<int64_t>() : 0;
  }

  // A number with four digits, or "-".
  static std::string number(const Json& value) {
    return value.is_null() ? "-" : fmt::format("{:.4f}", value.get<double>());
  }

  std::string lines_of(const Json& result) const {
    const Json& metrics = result.at("metrics");
    const std::string head = result.at("partial").get<bool>() ? task_ + " partial" : task_;
    std::string lines;
    if (metrics.contains("layers"))
      for (const Json& layer : metrics.at("layers")) lines += layer_line(head, layer);
    if (metrics.contains("agreement"))
      for (const Json& pair : metrics.at("agreement"))
        lines += fmt::format("{} agreement {} teacher {} information {} rand {}\n", head,
                             pair.at("layer").get<std::string>(), pair.at("teacher_layer").get<std::string>(),
                             number(pair.at("normalised_information")), number(pair.at("adjusted_rand")));
    if (metrics.contains("similarity"))
      lines +=
          similarity_lines(task_ == "similarity" ? head : head + " similarity", metrics.at("similarity"));
    return lines.substr(0, lines.size() - 1);
  }

  static std::string layer_line(const std::string& head, const Json& layer) {
    std::string line = fmt::format("{} {} {}", head, layer.at("of").get<std::string>(),
                                   layer.at("layer").get<std::string>());
    if (layer.contains("units")) {
      const Json& units = layer.at("units");
      line += fmt::format(" pnmi {} phone_purity {} cluster_purity {} units_used {} phone_accuracy {}",
                          number(units.at("pnmi")), number(units.at("phone_purity")),
                          number(units.at("cluster_purity")), units.at("units_used").get<int64_t>(),
                          number(layer.at("phone_probe").at("accuracy")));
    }
    if (layer.contains("abx"))
      line += fmt::format(" abx_within {} abx_across {}", number(layer.at("abx").at("within")),
                          number(layer.at("abx").at("across")));
    return line + "\n";
  }

  // Each of our layers with the one of the teacher's that it is most like.
  static std::string similarity_lines(const std::string& head, const Json& similarity) {
    std::string lines;
    for (std::size_t our = 0; our < similarity.at("layers").size(); ++our) {
      const Json& row = similarity.at("cka")[our];
      std::size_t best = 0;
      for (std::size_t their = 1; their < row.size(); ++their)
        if (!row[their].is_null() && (row[best].is_null() || row[their] > row[best])) best = their;
      lines += fmt::format("{} {} teacher {} cka {} cosine {}\n", head,
                           similarity.at("layers")[our].get<std::string>(),
                           similarity.at("teacher_layers")[best].get<std::string>(), number(row[best]),
                           number(similarity.at("cosine")[our][best]));
    }
    return lines;
  }

  std::string task_;
  IntrinsicOptions options_;
  ResultFile file_;
  bool has_teacher_ = false;
  bool by_phones_ = false;
  bool by_items_ = false;
  ChosenLayers ours_, theirs_;
  std::unique_ptr<FrameFeed> feed_;
  std::vector<std::unique_ptr<FrameMeasure>> measures_;
};

}  // namespace

std::string run_intrinsic(IntrinsicOptions options) {
  const bool has_teacher = !options.feed.teacher.empty() || !options.feed.teacher_features.empty();
  if (options.phones.alignments.empty() && options.abx.items.empty() && !has_teacher)
    fail_usage("--alignments, --items or --teacher: one of them says what to measure");
  return IntrinsicJob("intrinsic", std::move(options)).run();
}

std::string run_abx(IntrinsicOptions options) {
  if (options.abx.items.empty()) fail_usage("--items is required");
  return IntrinsicJob("abx", std::move(options)).run();
}

std::string run_similarity(IntrinsicOptions options) {
  if (options.feed.teacher.empty() && options.feed.teacher_features.empty())
    fail_usage("--teacher, or --teacher-features, is required");
  return IntrinsicJob("similarity", std::move(options)).run();
}

}  // namespace retort
