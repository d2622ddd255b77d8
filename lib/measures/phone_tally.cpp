#include "measures/phone_tally.h"

#include "audio/waveform.h"
#include "base/error.h"

namespace retort {
namespace {

constexpr int64_t overhang_allowed = model_rate / 10;

}  // namespace

PhoneTally::PhoneTally(const Alignments& alignments, int64_t units, bool keep_silence) {
  for (const std::string& phone : alignments.phones()) silent_.push_back(!keep_silence && is_silence(phone));
  counts_.assign(silent_.size(), std::vector<int64_t>(static_cast<std::size_t>(units), 0));
}

void PhoneTally::add(const std::vector<AlignedPhone>& phones, int64_t frame, int64_t hop, int32_t unit) {
  const int phone = phone_at(phones, frame * hop + frame_centre);
  if (phone < 0)
    ++outside_;
  else if (silent_[static_cast<std::size_t>(phone)])
    ++silence_;
  else
    ++counts_[static_cast<std::size_t>(phone)][static_cast<std::size_t>(unit)];
}

std::vector<double> PhoneTally::numbers() const {
  std::vector<double> numbers{static_cast<double>(silence_), static_cast<double>(outside_)};
  for (const std::vector<int64_t>& row : counts_) numbers.insert(numbers.end(), row.begin(), row.end());
  return numbers;
}

void PhoneTally::set_numbers(const std::vector<double>& numbers) {
  auto next = numbers.begin();
  silence_ = static_cast<int64_t>(*next++);
  outside_ = static_cast<int64_t>(*next++);
  for (std::vector<int64_t>& row : counts_)
    for (int64_t& count : row) count = static_cast<int64_t>(*next++);
}

void require_same_audio(const std::string& alignments, const std::string& id, int64_t samples,
                        const std::vector<AlignedPhone>& phones) {
  if (phones.back().end > samples + overhang_allowed)
    fail("{}: utterance {} is aligned to {:.2f} s, but its frames are of {:.2f} s of audio", alignments, id,
         static_cast<double>(phones.back().end) / model_rate, static_cast<double>(samples) / model_rate);
}

}  // namespace retort
