#include "store/check_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/hash.h"
#include "store/frame_values.h"
#include "store/npy.h"
#include "store/part_files.h"

namespace retort {
namespace {

// Of which part a file is, by its hash, for files that were exchanged.
using Owners = std::unordered_map<std::string, int>;

// The key with the most items; of equals the first.
template <class Key>
Key most_common(const std::map<Key, std::vector<int>>& items) {
  return std::max_element(items.begin(), items.end(),
                          [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); })
      ->first;
}

class StoreChecker {
 public:
  explicit StoreChecker(const std::filesystem::path& folder) : folder_(folder), parts_(find_parts(folder)) {}

  StoreCheck check() {
    if (parts_.empty()) {
      check_.problems.push_back(fmt::format("{}: holds no part of a frame store", folder_.string()));
      return check_;
    }
    leave_out_other_divisions();
    note_missing_parts();
    read_sidecars();
    leave_out_other_runs();
    for (std::size_t i = 0; i < parts_.size(); ++i)
      if (sidecars_[i]) of_part(parts_[i], [&] { check_files(parts_[i], *sidecars_[i]); });
    check_.repair.assign(repair_.begin(), repair_.end());
    return check_;
  }

 private:
  void note(int part, const std::string& problem) {
    check_.problems.push_back(problem);
    repair_.insert(part);
  }

  // What `work` throws is a problem of the part.
  template <class Work>
  void of_part(const PartFiles& files, const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      note(files.shard.index, error.what());
    }
  }

  // Parts of another number of shards: no job of this store makes or replaces them, but --overwrite removes
  // them.
  void leave_out_other_divisions() {
    std::map<int, std::vector<int>> divisions;
    for (const PartFiles& part : parts_) divisions[part.shard.count].push_back(part.shard.index);
    check_.parts = most_common(divisions);
    std::erase_if(parts_, [&](const PartFiles& part) {
      if (part.shard.count == check_.parts) return false;
      check_.problems.push_back(fmt::format(
          "{}: is of another run, in {} parts instead of {}; remove it, or run a job with --overwrite",
          part.json.string(), part.shard.count, check_.parts));
      return true;
    });
  }

  void note_missing_parts() {
    std::size_t next = 0;
    for (int index = 0; index < check_.parts; ++index) {
      if (next < parts_.size() && parts_[next].shard.index == index)
        ++next;
      else
        note(index, fmt::format("{}: part {} of {} is missing; run its job again with --shard {}/{}",
                                folder_.string(), index, check_.parts, index, check_.parts));
    }
  }

  void read_sidecars() {
    sidecars_.resize(parts_.size());
    for (std::size_t i = 0; i < parts_.size(); ++i)
      of_part(parts_[i], [&] {
        sidecars_[i] = read_sidecar(parts_[i]);
        rows_.emplace(sidecars_[i]->npy_hash, parts_[i].shard.index);
        lists_.emplace(sidecars_[i]->jsonl_hash, parts_[i].shard.index);
      });
  }

  void leave_out_other_runs() {
    std::map<std::string, std::vector<int>> runs;
    for (std::size_t i = 0; i < parts_.size(); ++i)
      if (sidecars_[i]) runs[sidecars_[i]->info.to_json().dump()].push_back(static_cast<int>(i));
    if (runs.empty()) return;
    const std::string common = most_common(runs);
    const Json store = parse_json(common, folder_.string());
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (!sidecars_[i]) continue;
      const Json own = sidecars_[i]->info.to_json();
      if (own.dump() == common) continue;
      note(parts_[i].shard.index, fmt::format("{}: is of another run than most parts ({})",
                                              parts_[i].json.string(), first_difference(store, own)));
      sidecars_[i].reset();
    }
  }

  // "; it is that of part 7", where that is known.
  static std::string owner(const Owners& owners, const std::string& hash) {
    const auto found = owners.find(hash);
    return found == owners.end() ? "" : fmt::format("; it is that of part {}", found->second);
  }

  void check_files(const PartFiles& files, const PartSidecar& sidecar) {
    check_list(files, sidecar);
    if (std::filesystem::exists(files.npy))
      check_rows(files, sidecar);
    else
      note(files.shard.index, fmt::format("{}: is missing", files.npy.string()));
    if (sidecar.info.dtype == "pq") read_part_codebook(files, sidecar.info);
  }

  void check_list(const PartFiles& files, const PartSidecar& sidecar) {
    if (!std::filesystem::exists(files.jsonl)) {
      note(files.shard.index, fmt::format("{}: is missing", files.jsonl.string()));
      return;
    }
    if (const std::string hash = hash_file(files.jsonl); hash != sidecar.jsonl_hash) {
      const std::string whose = owner(lists_, hash);
      note(files.shard.index, fmt::format("{}: {}{}", files.jsonl.string(),
                                          whose.empty() ? "was altered" : "is not this part's", whose));
      return;
    }
    for (const StoredUtterance& utterance : read_part_utterances(files, sidecar)) {
      const auto [first, is_new] = part_of_.emplace(utterance.id, files.shard.index);
      if (is_new) continue;
      note(files.shard.index, fmt::format("{}: utterance {} is in part {} too", files.jsonl.string(),
                                          utterance.id, first->second));
      repair_.insert(first->second);  // nothing says which of the two is wrong
      return;
    }
  }

  void check_rows(const PartFiles& files, const PartSidecar& sidecar) {
    const NpyFile rows(files.npy);
    if (rows.rows() != sidecar.frames || rows.columns() != part_columns(sidecar.info) ||
        rows.header().descr != part_descr(sidecar.info)) {
      note(files.shard.index,
           fmt::format("{}: holds {} x {} values, its sidecar says {} x {}", files.npy.string(), rows.rows(),
                       rows.columns(), sidecar.frames, part_columns(sidecar.info)));
      return;
    }
    if (!has_written_header(rows, sidecar)) {
      note(files.shard.index, fmt::format("{}: its header was altered", files.npy.string()));
      return;
    }
    const std::size_t row_bytes = static_cast<std::size_t>(rows.columns()) * rows.header().item_size();
    const std::string hash = hash_bytes(rows.data(), static_cast<std::size_t>(rows.rows()) * row_bytes);
    if (hash == sidecar.npy_hash) return;
    const std::string whose = owner(rows_, hash);
    note(files.shard.index, whose.empty()
                                ? fmt::format("{}: was altered{}", files.npy.string(),
                                              first_altered(files, sidecar, rows, row_bytes))
                                : fmt::format("{}: is not this part's{}", files.npy.string(), whose));
  }

  // The hash in the sidecar is that of the values; the header follows from the counts.
  static bool has_written_header(const NpyFile& rows, const PartSidecar& sidecar) {
    const std::size_t bytes = rows.header().data_offset;
    const auto* begin = reinterpret_cast<const char*>(rows.data()) - bytes;
    return std::string_view(begin, bytes) == part_header(sidecar.info, sidecar.frames);
  }

  // ", first in utterance u7", as far as the part's list can be read.
  static std::string first_altered(const PartFiles& files, const PartSidecar& sidecar, const NpyFile& rows,
                                   std::size_t row_bytes) {
    for (const StoredUtterance& utterance : read_part_utterances(files, sidecar)) {
      const std::byte* begin = rows.data() + static_cast<std::size_t>(utterance.start) * row_bytes;
      if (hash_bytes(begin, static_cast<std::size_t>(utterance.frames) * row_bytes) != utterance.hash)
        return fmt::format(", first in utterance {}", utterance.id);
    }
    return "";
  }

  std::filesystem::path folder_;
  std::vector<PartFiles> parts_;
  std::vector<std::optional<PartSidecar>>
      sidecars_;  // of parts_; none where it cannot be read or is not of the run
  Owners rows_, lists_;
  std::unordered_map<std::string, int> part_of_;  // utterance id -> part
  StoreCheck check_;
  std::set<int> repair_;
};

}  // namespace

StoreCheck check_frame_store(const std::filesystem::path& folder) {
  return StoreChecker(folder).check();
}

}  // namespace retort
