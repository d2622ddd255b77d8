#include "evaluate/frame_measure.h"
#include "measures/frame_similarity.h"

namespace retort {
namespace {

class SimilarityMeasure : public FrameMeasure {
 public:
  SimilarityMeasure(const FrameFeed& feed, const FrameGrid& grid, const SimilarityMeasureOptions& options)
      : grid_(grid) {
    std::vector<int64_t> our_widths, their_widths;
    for (std::size_t i = 0; i < grid.layers().size(); ++i) {
      const FedLayer& layer = feed.layers()[grid.layers()[i]];
      (layer.of_teacher ? theirs_ : ours_).push_back(i);
      (layer.of_teacher ? their_names_ : our_names_).push_back(layer.name);
      (layer.of_teacher ? their_widths : our_widths).push_back(layer.dim);
    }
    int64_t expected = 0;
    for (const auto& [id, samples] : feed.utterances()) expected += samples / grid.hop();
    step_ = thinning(expected, options.frames);
    sums_ = std::make_unique<FrameSimilaritySums>(our_widths, their_widths, options.threads);
  }

  std::string name() const override { return "similarity"; }

  void add(const FedUtterance& utterance) override {
    const auto rows_of = [&](const std::vector<std::size_t>& layers, int64_t frame) {
      std::vector<const float*> rows;
      for (const std::size_t i : layers) rows.push_back(grid_.row(utterance, i, frame));
      return rows;
    };
    const int64_t frames = grid_.frames(utterance);
    for (int64_t frame = 0; frame < frames; ++frame)
      if (seen_++ % step_ == 0) sums_->add(rows_of(ours_, frame), rows_of(theirs_, frame));
  }

  void finish(Json& result) override {
    const FrameSimilarity similarity = sums_->finish();
    const auto table = [](const std::vector<std::vector<std::optional<double>>>& values) {
      Json rows = Json::array();
      for (const auto& row : values) {
        Json& cells = rows.emplace_back(Json::array());
        for (const auto& value : row) cells.push_back(value ? Json(*value) : Json());
      }
      return rows;
    };
    result["metrics"]["similarity"] = {{"layers", our_names_},
                                       {"teacher_layers", their_names_},
                                       {"cka", table(similarity.cka)},
                                       {"cosine", table(similarity.cosine)}};
    result["counts"]["similarity"] = {{"frames", similarity.frames}, {"of_frames", seen_}};
  }

 private:
  const FrameGrid grid_;
  std::vector<std::size_t> ours_, theirs_;  // places among the grid's layers
  std::vector<std::string> our_names_, their_names_;
  std::unique_ptr<FrameSimilaritySums> sums_;
  int64_t step_ = 1;
  int64_t seen_ = 0;
};

}  // namespace

std::unique_ptr<FrameMeasure> make_similarity_measure(const FrameFeed& feed, const FrameGrid& grid,
                                                      const SimilarityMeasureOptions& options) {
  return std::make_unique<SimilarityMeasure>(feed, grid, options);
}

}  // namespace retort
