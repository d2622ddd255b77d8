#include "store/part_files.h"

#include <algorithm>
#include <cstdio>

#include "store/frame_values.h"
#include "store/npy.h"

namespace retort {

PartFiles::PartFiles(const std::filesystem::path& folder, const Shard& part)
    : shard(part),
      npy(folder / (part.stem() + ".npy")),
      jsonl(folder / (part.stem() + ".jsonl")),
      json(folder / (part.stem() + ".json")),
      codebook(folder / (part.stem() + ".codebook.npy")) {}

std::string part_header(const StoreInfo& info, int64_t frames) {
  return npy_header(part_descr(info), info.kind == StoreKind::labels
                                          ? std::vector<int64_t>{frames}
                                          : std::vector<int64_t>{frames, part_columns(info)});
}

std::string utterance_line(const StoredUtterance& utterance) {
  const Json line = {{"id", utterance.id},
                     {"start", utterance.start},
                     {"frames", utterance.frames},
                     {"samples", utterance.samples},
                     {"hash", utterance.hash}};
  return line.dump() + "\n";
}

Json sidecar_json(const PartSidecar& sidecar, const Json& bad) {
  Json json = {{"format", frames_format}, {"version", RETORT_VERSION}};
  json.update(sidecar.info.to_json());
  json["shard"] = fmt::format("{}/{}", sidecar.shard.index, sidecar.shard.count);
  json["utterances"] = sidecar.utterances;
  json["frames"] = sidecar.frames;
  json["bad"] = bad;
  json["hashes"] = {{"npy", sidecar.npy_hash}, {"jsonl", sidecar.jsonl_hash}};
  return json;
}

std::vector<PartFiles> find_parts(const std::filesystem::path& folder) {
  std::vector<PartFiles> parts;
  if (!std::filesystem::is_directory(folder)) return parts;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    Shard shard;
    if (std::sscanf(entry.path().filename().c_str(), "part-%5d-of-%5d.json", &shard.index, &shard.count) != 2)
      continue;
    const PartFiles files(folder, shard);
    if (entry.path().filename() == files.json.filename()) parts.push_back(files);
  }
  std::sort(parts.begin(), parts.end(), [](const PartFiles& a, const PartFiles& b) {
    return std::pair(a.shard.count, a.shard.index) < std::pair(b.shard.count, b.shard.index);
  });
  return parts;
}

std::vector<PartFiles> whole_parts(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder)) fail("{}: no such frame store", folder.string());
  std::vector<PartFiles> parts = find_parts(folder);
  if (parts.empty()) fail("{}: is no frame store (it holds no part-I-of-N.json)", folder.string());
  const int count = parts.front().shard.count;
  for (const PartFiles& part : parts)
    if (part.shard.count != count)
      fail("{}: holds parts of {} and parts of {}; remove those of the older run", folder.string(), count,
           part.shard.count);
  for (int index = 0; index < count; ++index)
    if (static_cast<std::size_t>(index) >= parts.size() ||
        parts[static_cast<std::size_t>(index)].shard.index != index)
      fail("{}: part {} of {} is missing; run its job again with --shard {}/{}", folder.string(), index,
           count, index, count);
  return parts;
}

PartSidecar read_sidecar(const PartFiles& files) {
  const std::string where = files.json.string();
  const Json json = read_json(files.json);
  if (const auto format = json_get<std::string>(json, "format", where); format != frames_format)
    fail("{}: has format {}, this program reads {}", where, format, frames_format);
  PartSidecar sidecar;
  sidecar.info = StoreInfo::from_json(json, where);
  sidecar.shard = parse_shard(json_get<std::string>(json, "shard", where));
  sidecar.utterances = json_get<int64_t>(json, "utterances", where);
  sidecar.frames = json_get<int64_t>(json, "frames", where);
  const Json hashes = json_get<Json>(json, "hashes", where);
  sidecar.npy_hash = json_get<std::string>(hashes, "npy", where);
  sidecar.jsonl_hash = json_get<std::string>(hashes, "jsonl", where);
  if (!(sidecar.shard == files.shard))
    fail("{}: says it is part {} of {}; the file was renamed", where, sidecar.shard.index,
         sidecar.shard.count);
  return sidecar;
}

std::shared_ptr<const ProductCodebook> read_part_codebook(const PartFiles& files, const StoreInfo& info) {
  const std::string where = files.codebook.string();
  if (!std::filesystem::exists(files.codebook)) fail("{}: is missing, and the part needs it", where);
  auto codebook = std::make_shared<const ProductCodebook>(read_npy_matrix(files.codebook), info.subspaces);
  if (codebook->hash() != info.codebook || codebook->dim() != info.dim)
    fail("{}: is not the codebook that the part was written with ({}, {} stated)", where, codebook->hash(),
         info.codebook);
  return codebook;
}

std::vector<StoredUtterance> read_part_utterances(const PartFiles& files, const PartSidecar& sidecar) {
  std::vector<StoredUtterance> utterances;
  int64_t next = 0;
  for (const std::string& line : read_lines(files.jsonl)) {
    const std::string where = fmt::format("{}:{}", files.jsonl.string(), utterances.size() + 1);
    const Json json = parse_json(line, where);
    StoredUtterance utterance;
    utterance.id = json_get<std::string>(json, "id", where);
    utterance.start = json_get<int64_t>(json, "start", where);
    utterance.frames = json_get<int64_t>(json, "frames", where);
    utterance.samples = json_get<int64_t>(json, "samples", where);
    utterance.hash = json_get<std::string>(json, "hash", where);
    if (utterance.start != next || utterance.frames < 0)
      fail("{}: {} begins at row {}, row {} was expected", where, utterance.id, utterance.start, next);
    next += utterance.frames;
    utterances.push_back(std::move(utterance));
  }
  if (next != sidecar.frames || static_cast<int64_t>(utterances.size()) != sidecar.utterances)
    fail("{}: lists {} utterances of {} frames, its sidecar says {} of {}", files.jsonl.string(),
         utterances.size(), next, sidecar.utterances, sidecar.frames);
  return utterances;
}

}  // namespace retort
