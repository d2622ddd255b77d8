#include "store/codebook.h"

#include <cmath>

#include "base/files.h"
#include "base/hash.h"
#include "store/npy.h"

namespace retort {
namespace {

constexpr const char* format_name = "retort-codebook-1";

}  // namespace

std::string Codebook::hash() const {
  Hasher hasher;
  hasher.add(fmt::format("{} {}\n", clusters(), dim()));
  hasher.add(centroids.data(), centroids.values().size() * sizeof(float));
  return hasher.hex();
}

Codebook read_codebook(const std::filesystem::path& folder) {
  const std::string where = (folder / "codebook.json").string();
  if (!std::filesystem::exists(where))
    fail("{}: is no codebook (it holds no codebook.json)", folder.string());
  Codebook codebook;
  codebook.report = read_json(where);
  if (const auto format = json_get<std::string>(codebook.report, "format", where); format != format_name)
    fail("{}: has format {}, this program reads {}", where, format, format_name);
  codebook.origin = FrameOrigin::from_json(json_get<Json>(codebook.report, "origin", where), where);
  codebook.centroids = read_npy_matrix(folder / "centroids.npy");
  const auto stated = json_get<std::string>(codebook.report, "hash", where);
  if (codebook.hash() != stated)
    fail("{}: centroids.npy is not the one that codebook.json describes (hash {}, {} stated)",
         folder.string(), codebook.hash(), stated);
  for (const float value : codebook.centroids.values())
    if (!std::isfinite(value)) fail("{}: a centroid is not finite", folder.string());
  return codebook;
}

void write_codebook(const std::filesystem::path& folder, const Codebook& codebook) {
  Json json = {{"format", format_name}, {"version", RETORT_VERSION}, {"clusters", codebook.clusters()},
               {"dim", codebook.dim()}, {"hash", codebook.hash()},   {"origin", codebook.origin.to_json()}};
  for (const auto& [key, value] : codebook.report.items())
    if (!json.contains(key)) json[key] = value;
  write_npy_matrix(folder / "centroids.npy", codebook.centroids);
  write_json(folder / "codebook.json", json);
}

void require_same_features(const Codebook& codebook, const FrameOrigin& frames, int64_t dim) {
  const FrameOrigin& ours = codebook.origin;
  const auto differ = [](const char* what, const auto& wanted, const auto& got) {
    fail("the codebook was made from frames with {} {}, these have {}; use the same for both", what, wanted,
         got);
  };
  if (codebook.dim() != dim) differ("dimension", codebook.dim(), dim);
  // A plain array does not say what it holds; only what both state can be held against each other.
  const auto check = [&](const char* what, const std::string& wanted, const std::string& got) {
    if (!wanted.empty() && !got.empty() && wanted != got) differ(what, wanted, got);
  };
  check("layer", ours.layer, frames.layer);
  check("model", ours.model, frames.model);
  check("waveform normalisation", ours.wave_norm, frames.wave_norm);
  if (!ours.layer.empty() && !frames.layer.empty() && ours.hop != frames.hop)
    differ("hop", ours.hop, frames.hop);
}

}  // namespace retort
