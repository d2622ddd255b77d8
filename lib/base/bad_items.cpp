#include "base/bad_items.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"

namespace retort {

void BadItems::add(std::string_view id, std::string_view reason, std::string_view message) {
  ++count_;
  ++reasons_[std::string(reason)];
  log_warning(subsystem_, "skipping {}: {}", id, message);
}

void BadItems::judge(std::size_t total) const {
  if (count_ == 0) return;
  std::string why;
  for (const auto& [reason, times] : reasons_)
    why += fmt::format("{}{} {}", why.empty() ? "" : ", ", times, reason);
  log_warning(subsystem_, "{} of {} utterances were bad ({})", count_, total, why);
  if (count_ == total) fail("all {} utterances were bad ({})", total, why);
  if (static_cast<double>(count_) > max_share_ * static_cast<double>(total))
    fail("{} of {} utterances were bad ({}), more than --max-bad {} allows", count_, total, why, max_share_);
}

}  // namespace retort
