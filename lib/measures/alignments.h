// Phone alignments from a CTM file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/name_table.h"

namespace retort {

// A phone's samples [begin, end) at 16 kHz, from the beginning of its utterance.
struct AlignedPhone {
  int64_t begin = 0;
  int64_t end = 0;
  int phone = 0;  // index into Alignments::phones()
};

class Alignments {
 public:
  // Reads lines "id channel start duration phone [confidence]" with times in seconds from the beginning of
  // the utterance `id`; lines that begin with ";;" are comments. The phones of an utterance must be in order
  // of time and, to 10 ms, not overlap. Errors name file and line.
  static Alignments read(const std::filesystem::path& ctm);

  const std::vector<std::string>& phones() const { return phones_.names(); }
  std::size_t utterances() const { return by_id_.size(); }
  // The utterance's phones in order of time, or null.
  const std::vector<AlignedPhone>* find(const std::string& id) const;

 private:
  NameTable phones_;
  std::unordered_map<std::string, std::vector<AlignedPhone>> by_id_;
};

// The phone's index at a sample, or -1 between phones. Where two overlap, the one that begins later.
int phone_at(const std::vector<AlignedPhone>& phones, int64_t sample);

// SIL, SPN, sil, sp, spn, <sil>, <s>, </s> and anything in plus signs (+NOISE+): what aligners call no
// speech.
bool is_silence(const std::string& phone);

}  // namespace retort
