#include "store/codebook.h"

#include <cmath>
#include <iterator>

#include "base/files.h"
#include "base/hash.h"
#include "store/npy.h"
#include "store/product_codebook.h"

namespace retort {
namespace {

// Programs that know no normalisation read the first only, and so refuse what they would label wrongly.
constexpr const char* plain_format = "retort-codebook-1";
constexpr const char* normalised_format = "retort-codebook-2";

FeatureNorm read_norm(const Json& json, int64_t dim, const std::string& where) {
  const FeatureNorm norm =
      FeatureNorm::from_json(json_get<Json>(json, "normalisation", where), where + ": normalisation");
  if (norm.kind == "meanvar" && std::ssize(norm.mean) != dim)
    fail("{}: normalises {} dimensions, the centroids have {}", where, norm.mean.size(), dim);
  return norm;
}

}  // namespace

std::string Codebook::hash() const {
  Hasher hasher;
  hasher.add(fmt::format("{} {}\n", clusters(), dim()));
  hasher.add(centroids.data(), centroids.values().size() * sizeof(float));
  if (!norm.none()) hasher.add(norm.to_json().dump());
  return hasher.hex();
}

bool is_codebook(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "codebook.json");
}

Codebook read_codebook(const std::filesystem::path& folder) {
  const std::string where = (folder / "codebook.json").string();
  if (!is_codebook(folder)) fail("{}: is no codebook (it holds no codebook.json)", folder.string());
  Codebook codebook;
  codebook.report = read_json(where);
  const auto format = json_get<std::string>(codebook.report, "format", where);
  if (is_product_codebook(folder))
    fail("{}: is a product codebook, which makes no labels; frames are stored by it (--dtype pq)",
         folder.string());
  if (format != plain_format && format != normalised_format)
    fail("{}: has format {}, this program reads {} and {}", where, format, plain_format, normalised_format);
  codebook.origin = FrameOrigin::from_json(json_get<Json>(codebook.report, "origin", where), where);
  codebook.centroids = read_npy_matrix(folder / "centroids.npy");
  if (format == normalised_format) codebook.norm = read_norm(codebook.report, codebook.dim(), where);
  const auto stated = json_get<std::string>(codebook.report, "hash", where);
  if (codebook.hash() != stated)
    fail("{}: centroids.npy is not the one that codebook.json describes (hash {}, {} stated)",
         folder.string(), codebook.hash(), stated);
  for (const float value : codebook.centroids.values())
    if (!std::isfinite(value)) fail("{}: a centroid is not finite", folder.string());
  return codebook;
}

void write_codebook(const std::filesystem::path& folder, const Codebook& codebook) {
  const char* format = codebook.norm.none() ? plain_format : normalised_format;
  Json json = {{"format", format},      {"version", RETORT_VERSION}, {"clusters", codebook.clusters()},
               {"dim", codebook.dim()}, {"hash", codebook.hash()},   {"origin", codebook.origin.to_json()}};
  if (!codebook.norm.none()) json["normalisation"] = codebook.norm.to_json();
  for (const auto& [key, value] : codebook.report.items())
    if (!json.contains(key)) json[key] = value;
  write_npy_matrix(folder / "centroids.npy", codebook.centroids);
  write_json(folder / "codebook.json", json);
}

void require_same_features(const Codebook& codebook, const FrameOrigin& frames, int64_t dim) {
  require_same_features(codebook.origin, codebook.dim(), frames, dim);
}

void require_same_features(const FrameOrigin& ours, int64_t codebook_dim, const FrameOrigin& frames,
                           int64_t dim) {
  const auto differ = [](const char* what, const auto& wanted, const auto& got) {
    fail("the codebook was made from frames with {} {}, these have {}; use the same for both", what, wanted,
         got);
  };
  if (codebook_dim != dim) differ("dimension", codebook_dim, dim);
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
