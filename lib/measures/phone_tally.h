// Frames counted by their phone and their unit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "measures/alignments.h"

namespace retort {

inline constexpr int64_t frame_centre = 200;  // samples from the first one that a frame sees to its middle

// Frame t of frames `hop` samples apart is taken at sample t * hop + frame_centre, the middle of the 400
// samples that a HuBERT frame or an MFCC window sees.
class PhoneTally {
 public:
  // Of units 0 .. units - 1; frames of silence are counted apart unless `keep_silence`. Keeps a copy of what
  // it needs.
  PhoneTally(const Alignments& alignments, int64_t units, bool keep_silence);

  // One frame of an utterance with these phones.
  void add(const std::vector<AlignedPhone>& phones, int64_t frame, int64_t hop, int32_t unit);

  // All numbers that it holds, which may be added to those of tallies of other frames.
  std::vector<double> numbers() const;
  void set_numbers(const std::vector<double>& numbers);

  const std::vector<std::vector<int64_t>>& counts() const { return counts_; }  // [phone][unit]
  int64_t silence() const { return silence_; }
  int64_t outside() const { return outside_; }  // of any phone

 private:
  std::vector<bool> silent_;  // by phone
  std::vector<std::vector<int64_t>> counts_;
  int64_t silence_ = 0;
  int64_t outside_ = 0;
};

// Throws where the utterance's phones outlast its `samples` at 16 kHz by more than 0.1 s: they are of other
// audio. `alignments` is their file.
void require_same_audio(const std::string& alignments, const std::string& id, int64_t samples,
                        const std::vector<AlignedPhone>& phones);

}  // namespace retort
