#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "evaluate/frame_measure.h"
#include "measures/abx.h"
#include "measures/item_file.h"

namespace retort {
namespace {

constexpr int64_t overhang_allowed = model_rate / 10;

Json metrics_of(const AbxScore& score) {
  if (score.cells == 0) return nullptr;
  return score.error;
}

Json counts_of(const AbxScore& score) {
  return {{"triples", score.triples}, {"cells", score.cells}, {"phone_pairs", score.phone_pairs}};
}

class AbxMeasure : public FrameMeasure {
 public:
  AbxMeasure(const FrameFeed& feed, const FrameGrid& grid, const AbxMeasureOptions& options)
      : grid_(grid), options_(options), file_(ItemFile::read(options.items)) {
    for (const std::size_t layer : grid.layers()) {
      layers_.push_back(feed.layers()[layer]);
      items_.emplace_back(layers_.back().dim);
    }
    drop_missing(feed);
    if (options.most > 0) thin_out();
    for (const AbxItem& item : file_.items) by_utterance_[item.utterance].push_back(&item);
  }

  std::string name() const override { return "abx"; }

  void add(const FedUtterance& utterance) override {
    const auto found = by_utterance_.find(utterance.id);
    if (found == by_utterance_.end()) return;
    const int64_t frames = grid_.frames(utterance);
    for (const AbxItem* item : found->second) {
      if (item->offset > utterance.samples + overhang_allowed)
        fail("{}: an item of {} ends at {:.2f} s, but its frames are of {:.2f} s of audio", options_.items,
             utterance.id, static_cast<double>(item->offset) / model_rate,
             static_cast<double>(utterance.samples) / model_rate);
      const ItemFrames wanted = frames_of(*item, grid_.hop());
      add_item(utterance, *item, {wanted.begin, std::min(wanted.end, frames)});
    }
  }

  void finish(Json& result) override {
    Json& counts = result["counts"]["abx"];
    const auto scored = static_cast<int64_t>(items_.front().size());
    counts = {{"items", scored},
              {"items_thinned_out", thinned_},
              {"items_missing", missing_},
              {"items_without_frames", static_cast<int64_t>(file_.items.size()) - scored}};
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      const AbxScore within = abx_score(items_[layer], AbxSpeakers::within, options_.threads);
      const AbxScore across = abx_score(items_[layer], AbxSpeakers::across, options_.threads);
      if (within.cells == 0 && across.cells == 0)
        fail("{}: no two phones share a speaker and a context, so its {} items cannot be told apart",
             options_.items, scored);
      layer_metrics(result, layers_[layer])["abx"] = {{"within", metrics_of(within)},
                                                      {"across", metrics_of(across)}};
      counts["within"] = counts_of(within);
      counts["across"] = counts_of(across);
    }
  }

 private:
  void drop_missing(const FrameFeed& feed) {
    std::unordered_set<std::string> there;
    for (const auto& [id, samples] : feed.utterances()) there.insert(id);
    const auto lacks = [&](const AbxItem& item) { return !there.contains(item.utterance); };
    const auto lone = std::find_if(file_.items.begin(), file_.items.end(), lacks);
    if (lone == file_.items.end()) return;
    const std::string first = lone->utterance;
    missing_ = static_cast<int64_t>(std::erase_if(file_.items, lacks));
    if (file_.items.empty())
      fail("{}: none of its utterances (the first is {}) is there; are they of the same corpus?",
           options_.items, first);
    if (!options_.partial)
      fail("{}: {} items are of utterances that are not there (the first is {}); --partial scores the rest",
           options_.items, missing_, first);
  }

  int context_of(const AbxItem& item) {
    if (options_.context == "any") return 0;
    return contexts_.emplace(std::pair(item.previous, item.next), static_cast<int>(contexts_.size()))
        .first->second;
  }

  // Keeps the items of each phone, speaker and context whose places hash least.
  void thin_out() {
    std::map<std::array<int, 3>, std::vector<std::pair<std::string, std::size_t>>> groups;
    for (std::size_t i = 0; i < file_.items.size(); ++i) {
      const AbxItem& item = file_.items[i];
      const std::string place = fmt::format("{} {} {}", item.utterance, item.onset, item.offset);
      groups[{item.phone, item.speaker, context_of(item)}].emplace_back(hash_text(place), i);
    }
    std::vector<AbxItem> kept;
    for (auto& [key, members] : groups) {
      std::sort(members.begin(), members.end());
      members.resize(std::min(members.size(), static_cast<std::size_t>(options_.most)));
      for (const auto& [hash, i] : members) kept.push_back(file_.items[i]);
    }
    thinned_ = static_cast<int64_t>(file_.items.size() - kept.size());
    file_.items = std::move(kept);
  }

  void add_item(const FedUtterance& utterance, const AbxItem& item, const ItemFrames& frames) {
    if (frames.begin >= frames.end) return;
    const AbxLabels labels{item.phone, context_of(item), item.speaker};
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      std::vector<float> rows;
      for (int64_t frame = frames.begin; frame < frames.end; ++frame) {
        const float* row = grid_.row(utterance, layer, frame);
        rows.insert(rows.end(), row, row + layers_[layer].dim);
      }
      items_[layer].add(labels, rows);
    }
  }

  const FrameGrid grid_;
  const AbxMeasureOptions options_;
  ItemFile file_;
  std::map<std::pair<int, int>, int> contexts_;
  std::unordered_map<std::string, std::vector<const AbxItem*>> by_utterance_;
  std::vector<FedLayer> layers_;
  std::vector<AbxItems> items_;  // by layer
  int64_t missing_ = 0;
  int64_t thinned_ = 0;
};

}  // namespace

std::unique_ptr<FrameMeasure> make_abx_measure(const FrameFeed& feed, const FrameGrid& grid,
                                               const AbxMeasureOptions& options) {
  return std::make_unique<AbxMeasure>(feed, grid, options);
}

}  // namespace retort
