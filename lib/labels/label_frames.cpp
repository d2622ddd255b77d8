#include "labels/label_frames.h"

#include "base/bad_items.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/signals.h"
#include "encoder/audio_frames.h"

namespace retort {

void label_rows(const FrameSource& source, std::span<const StoredUtterance> utterances,
                FrameLabeller& labeller, const Json& bad) {
  Progress progress("label", "utterances", static_cast<double>(utterances.size()));
  for (const StoredUtterance& utterance : utterances) {
    throw_if_stopped();
    labeller.add(utterance, source);
    progress.advance(1);
  }
  labeller.commit(bad);
  log_info("label", "{} utterances labelled", utterances.size());
}

void label_audio(const Corpus& corpus, Range range, FrameEncoder& encoder, int threads, double max_bad,
                 FrameLabeller& labeller) {
  BadItems bad("label", max_bad);
  for_each_encoded(corpus, range, encoder, threads, "label", bad, [&](const EncodedUtterance& utterance) {
    labeller.add(utterance.utterance->id, utterance.samples, utterance.outputs.front());
  });
  bad.judge(range.size());
  labeller.commit(bad.reasons());
  log_info("label", "{} of {} utterances labelled", range.size() - bad.count(), range.size());
}

}  // namespace retort
