#include "measures/alignments.h"

#include <algorithm>
#include <string_view>

#include "audio/waveform.h"
#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"

namespace retort {
namespace {

constexpr int64_t overlap_allowed = model_rate / 100;  // what rounding times to 10 ms makes of neighbours

}  // namespace

Alignments Alignments::read(const std::filesystem::path& ctm) {
  Alignments alignments;
  std::unordered_map<std::string, std::string> channels;
  std::size_t number = 0;
  for (const std::string& line : read_lines(ctm)) {
    const std::string where = fmt::format("{}:{}", ctm.string(), ++number);
    const std::vector<std::string> fields = fields_of(line);
    if (fields.empty() || fields[0].starts_with(";;")) continue;
    if (fields.size() != 5 && fields.size() != 6)
      fail("{}: {} fields; a line should be: id channel start duration phone", where, fields.size());
    const auto start = samples_of(fields[2], model_rate);
    const auto duration = samples_of(fields[3], model_rate);
    if (!start || !duration)
      fail("{}: {} {} is no start and duration in seconds", where, fields[2], fields[3]);
    const auto channel = channels.emplace(fields[0], fields[1]).first;
    if (channel->second != fields[1])
      fail("{}: {} has channels {} and {}; one was expected", where, fields[0], channel->second, fields[1]);
    std::vector<AlignedPhone>& phones = alignments.by_id_[fields[0]];
    if (!phones.empty() && *start < std::max(phones.back().begin, phones.back().end - overlap_allowed))
      fail("{}: {} begins at {} s, before the phone above it ends", where, fields[4], fields[2]);
    phones.push_back({*start, *start + *duration, alignments.phones_.index(fields[4])});
  }
  if (alignments.by_id_.empty()) fail("{}: holds no alignments", ctm.string());
  return alignments;
}

const std::vector<AlignedPhone>* Alignments::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

int phone_at(const std::vector<AlignedPhone>& phones, int64_t sample) {
  auto phone = std::upper_bound(phones.begin(), phones.end(), sample,
                                [](int64_t at, const AlignedPhone& one) { return at < one.begin; });
  // Phones without duration hold no sample: the one before them may.
  while (phone != phones.begin()) {
    --phone;
    if (sample < phone->end) return phone->phone;
    if (phone->end > phone->begin) return -1;
  }
  return -1;
}

bool is_silence(const std::string& phone) {
  static constexpr std::string_view names[] = {"SIL", "SPN", "sil", "sp", "spn", "<sil>", "<s>", "</s>"};
  return std::find(std::begin(names), std::end(names), phone) != std::end(names) ||
         (phone.size() > 2 && phone.front() == '+' && phone.back() == '+');
}

}  // namespace retort
