#include "cluster/phone_score.h"

#include "base/error.h"
#include "measures/phone_tally.h"
#include "measures/unit_quality.h"

namespace retort {

PhoneScore::PhoneScore(const std::string& alignments,
                       const std::vector<std::pair<std::string, int64_t>>& utterances, int hop)
    : alignments_(Alignments::read(alignments)), hop_(hop) {
  bool any = false;
  for (const auto& [id, samples] : utterances) {
    const std::vector<AlignedPhone>* phones = alignments_.find(id);
    if (phones == nullptr) continue;
    any = true;
    require_same_audio(alignments, id, samples, *phones);
  }
  if (!any)
    fail("{}: aligns none of the {} utterances; is it of the same corpus?", alignments, utterances.size());
}

Json PhoneScore::of(const FrameSource& frames, const KmeansResult& result, const Processes& processes) const {
  PhoneTally tally(alignments_, result.centroids.rows(), false);
  const std::string* utterance = nullptr;
  const std::vector<AlignedPhone>* phones = nullptr;
  std::vector<double> not_aligned{0};
  for (std::size_t i = 0; i < result.labels.size(); ++i) {
    const FramePlace place = frames.place(result.first_label + static_cast<int64_t>(i));
    if (place.utterance != utterance) {
      utterance = place.utterance;
      phones = alignments_.find(*utterance);
    }
    if (phones == nullptr)
      ++not_aligned.front();
    else
      tally.add(*phones, place.frame, hop_, result.labels[i]);
  }
  std::vector<double> numbers = tally.numbers();
  processes.sum(numbers);
  tally.set_numbers(numbers);
  processes.sum(not_aligned);
  const UnitQuality quality = unit_quality(tally.counts());
  Json score = metrics_of(quality);
  score["frames"] = quality.frames;
  score["frames_of_silence"] = tally.silence();
  score["frames_outside_phones"] = tally.outside();
  score["frames_without_alignment"] = static_cast<int64_t>(not_aligned.front());
  return score;
}

}  // namespace retort
