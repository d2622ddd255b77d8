#include "base/hash.h"
#include "store/frame_values.h"
#include "store/npy.h"
#include "store/part_files.h"

namespace retort {
namespace {

// Which part's sidecar this hash stands in, for files that were exchanged.
std::string owner_of(const std::vector<PartFiles>& parts, const std::string& hash,
                     std::string PartSidecar::*field) {
  for (const PartFiles& part : parts) {
    try {
      if (read_sidecar(part).*field == hash) return fmt::format("; it is that of part {}", part.shard.index);
    } catch (const Error&) {
      continue;  // a sidecar that cannot be read is reported on its own
    }
  }
  return "";
}

void check_rows(const PartFiles& files, const PartSidecar& sidecar, const std::vector<PartFiles>& parts,
                std::vector<std::string>& problems) {
  const NpyFile rows(files.npy);
  if (rows.rows() != sidecar.frames || rows.columns() != part_columns(sidecar.info) ||
      rows.header().descr != part_descr(sidecar.info)) {
    problems.push_back(fmt::format("{}: holds {} x {} values, its sidecar says {} x {}", files.npy.string(),
                                   rows.rows(), rows.columns(), sidecar.frames, part_columns(sidecar.info)));
    return;
  }
  const std::size_t row_bytes = static_cast<std::size_t>(rows.columns()) * rows.header().item_size();
  const std::string hash = hash_bytes(rows.data(), static_cast<std::size_t>(rows.rows()) * row_bytes);
  if (hash == sidecar.npy_hash) return;
  const std::string owner = owner_of(parts, hash, &PartSidecar::npy_hash);
  if (!owner.empty()) {
    problems.push_back(fmt::format("{}: is not this part's{}", files.npy.string(), owner));
    return;
  }
  std::string where;
  for (const StoredUtterance& utterance : read_part_utterances(files, sidecar)) {
    const std::byte* begin = rows.data() + static_cast<std::size_t>(utterance.start) * row_bytes;
    if (hash_bytes(begin, static_cast<std::size_t>(utterance.frames) * row_bytes) == utterance.hash) continue;
    where = fmt::format(", first in utterance {}", utterance.id);
    break;
  }
  problems.push_back(fmt::format("{}: was altered{}", files.npy.string(), where));
}

void check_part(const PartFiles& files, const StoreInfo& store, const std::vector<PartFiles>& parts,
                std::vector<std::string>& problems) {
  const PartSidecar sidecar = read_sidecar(files);
  if (const std::string difference = first_difference(store.to_json(), sidecar.info.to_json());
      !difference.empty())
    problems.push_back(
        fmt::format("{}: is of another store than part 0 ({})", files.json.string(), difference));
  if (!std::filesystem::exists(files.jsonl)) {
    problems.push_back(fmt::format("{}: is missing", files.jsonl.string()));
  } else if (const std::string hash = hash_file(files.jsonl); hash != sidecar.jsonl_hash) {
    const std::string owner = owner_of(parts, hash, &PartSidecar::jsonl_hash);
    problems.push_back(fmt::format("{}: {}{}", files.jsonl.string(),
                                   owner.empty() ? "was altered" : "is not this part's", owner));
  }
  if (!std::filesystem::exists(files.npy))
    problems.push_back(fmt::format("{}: is missing", files.npy.string()));
  else
    check_rows(files, sidecar, parts, problems);
  if (store.dtype == "pq") read_part_codebook(files, sidecar.info);
}

}  // namespace

std::vector<std::string> check_frame_store(const std::filesystem::path& folder) {
  std::vector<std::string> problems;
  const auto note = [&](const auto& check) {
    try {
      check();
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  };
  note([&] { whole_parts(folder); });
  const std::vector<PartFiles> parts = find_parts(folder);
  StoreInfo store;
  if (!parts.empty()) note([&] { store = read_sidecar(parts.front()).info; });
  for (const PartFiles& files : parts) note([&] { check_part(files, store, parts, problems); });
  return problems;
}

}  // namespace retort
