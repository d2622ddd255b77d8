#include "store/frame_store.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "store/frame_values.h"
#include "store/npy.h"
#include "store/part_files.h"

namespace retort {
namespace {

bool is_label_kind(const StoreInfo& info) {
  return info.kind == StoreKind::labels;
}

std::string two_values(const Json& wanted, const Json& got) {
  return first_difference(wanted, got);
}

// The utterances of FILE.len beside a plain array (frames of each, one number per line), or one for all rows.
std::vector<StoredUtterance> plain_utterances(const std::filesystem::path& file, int64_t rows) {
  std::filesystem::path lengths = file;
  lengths.replace_extension(".len");
  if (!std::filesystem::exists(lengths)) return {{file.stem().string(), 0, rows, 0, ""}};
  std::vector<StoredUtterance> utterances;
  int64_t start = 0;
  for (const std::string& line : read_lines(lengths)) {
    char* end = nullptr;
    const long frames = std::strtol(line.c_str(), &end, 10);
    if (line.empty() || *end != '\0' || frames < 0)
      fail("{}: line {} is no number of frames", lengths.string(), utterances.size() + 1);
    utterances.push_back({std::to_string(utterances.size()), start, frames, 0, ""});
    start += frames;
  }
  if (start != rows) fail("{}: counts {} frames, {} has {}", lengths.string(), start, file.string(), rows);
  return utterances;
}

// Piece by piece, so that the file does not stay in this process's memory.
void add_values(const NpyFile& file, Hasher& hasher) {
  constexpr std::size_t piece = std::size_t{16} << 20;
  const std::size_t bytes = static_cast<std::size_t>(file.header().count()) * file.header().item_size();
  for (std::size_t begin = 0; begin < bytes; begin += piece) {
    const std::size_t here = std::min(piece, bytes - begin);
    hasher.add(file.data() + begin, here);
    file.forget(0, begin + here);
  }
}

}  // namespace

Json FrameOrigin::to_json() const {
  Json json = {{"corpus", corpus},       {"model", model},       {"layer", layer},
               {"wave_norm", wave_norm}, {"batching", batching}, {"hop", hop}};
  if (precision != "f32") json["precision"] = precision;
  return json;
}

FrameOrigin FrameOrigin::from_json(const Json& json, const std::string& where) {
  FrameOrigin origin;
  origin.corpus = json_get<std::string>(json, "corpus", where);
  origin.model = json_get<std::string>(json, "model", where);
  origin.layer = json_get<std::string>(json, "layer", where);
  origin.wave_norm = json_get<std::string>(json, "wave_norm", where);
  origin.batching = json_get<std::string>(json, "batching", where);
  if (json.contains("precision")) origin.precision = json_get<std::string>(json, "precision", where);
  origin.hop = json_get<int>(json, "hop", where);
  return origin;
}

Json StoreInfo::to_json() const {
  Json json = {{"kind", is_label_kind(*this) ? "labels" : "features"},
               {"dtype", dtype},
               {"dim", dim},
               {"rate", 16000},
               {"origin", origin.to_json()}};
  if (!codebook.empty() || is_label_kind(*this)) json["codebook"] = codebook;
  if (is_label_kind(*this)) {
    json["clusters"] = clusters;
    json["dedup"] = dedup;
  }
  if (dtype == "pq") {
    json["clusters"] = clusters;
    json["subspaces"] = subspaces;
  }
  return json;
}

StoreInfo StoreInfo::from_json(const Json& json, const std::string& where) {
  StoreInfo info;
  const auto kind = json_get<std::string>(json, "kind", where);
  if (kind != "features" && kind != "labels") fail("{}: kind {} is not known", where, kind);
  info.kind = kind == "labels" ? StoreKind::labels : StoreKind::features;
  info.dtype = json_get<std::string>(json, "dtype", where);
  static const std::set<std::string> feature_types = {"f32", "f16", "bf16", "i8", "pq"},
                                     label_types = {"u16", "i32"};
  if (!(is_label_kind(info) ? label_types : feature_types).contains(info.dtype))
    fail("{}: dtype {} is not one of {}", where, info.dtype, kind);
  info.dim = json_get<int64_t>(json, "dim", where);
  info.origin = FrameOrigin::from_json(json_get<Json>(json, "origin", where), where);
  if (json.contains("codebook") || is_label_kind(info) || info.dtype == "pq")
    info.codebook = json_get<std::string>(json, "codebook", where);
  if (is_label_kind(info)) {
    info.clusters = json_get<int64_t>(json, "clusters", where);
    info.dedup = json_get<bool>(json, "dedup", where);
  }
  if (info.dtype == "pq") {
    info.clusters = json_get<int64_t>(json, "clusters", where);
    info.subspaces = json_get<int64_t>(json, "subspaces", where);
  }
  return info;
}

struct FrameStore::Part {
  std::unique_ptr<NpyFile> rows;
  int64_t first = 0;  // row of the whole store
};

FrameStore FrameStore::open(const std::filesystem::path& folder) {
  FrameStore store;
  const std::vector<PartFiles> parts = whole_parts(folder);
  for (const PartFiles& files : parts) {
    const PartSidecar sidecar = read_sidecar(files);
    if (&files == &parts.front()) store.info_ = sidecar.info;
    const std::string difference = two_values(store.info_.to_json(), sidecar.info.to_json());
    if (!difference.empty())
      fail("{}: is of another store than {} ({}); remove the one that is wrong and run its job again",
           files.json.string(), parts.front().json.string(), difference);
    auto part = std::make_shared<Part>();
    part->rows = std::make_unique<NpyFile>(files.npy);
    part->first = store.frames_;
    if (part->rows->rows() != sidecar.frames || part->rows->columns() != part_columns(store.info_) ||
        part->rows->header().descr != part_descr(store.info_))
      fail("{}: holds {} x {} of {}, its sidecar says {} x {} of {}", files.npy.string(), part->rows->rows(),
           part->rows->columns(), part->rows->header().descr, sidecar.frames, part_columns(store.info_),
           part_descr(store.info_));
    for (StoredUtterance& utterance : read_part_utterances(files, sidecar)) {
      utterance.start += store.frames_;
      if (!store.by_id_.emplace(utterance.id, store.utterances_.size()).second)
        fail("{}: utterance {} is in the store twice", files.jsonl.string(), utterance.id);
      store.utterances_.push_back(std::move(utterance));
    }
    store.frames_ += sidecar.frames;
    store.parts_.push_back(std::move(part));
  }
  if (store.info_.dtype == "pq") store.info_.product = read_part_codebook(parts.front(), store.info_);
  return store;
}

FrameStore FrameStore::open_npy(const std::filesystem::path& file) {
  FrameStore store;
  auto part = std::make_shared<Part>();
  part->rows = std::make_unique<NpyFile>(file);
  store.info_.dim = part->rows->columns();
  store.info_.dtype = "f32";
  store.info_.origin.hop = 0;
  store.frames_ = part->rows->rows();
  store.utterances_ = plain_utterances(file, store.frames_);
  for (std::size_t i = 0; i < store.utterances_.size(); ++i) store.by_id_.emplace(store.utterances_[i].id, i);
  store.parts_.push_back(std::move(part));
  return store;
}

const StoredUtterance* FrameStore::find(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &utterances_[found->second];
}

std::string FrameStore::hash() const {
  Hasher hasher;
  for (const StoredUtterance& utterance : utterances_)
    hasher.add(fmt::format("{}\n{}\n{}\n", utterance.id, utterance.frames, utterance.hash));
  // A plain array has no hashes of its own.
  if (!utterances_.empty() && utterances_.front().hash.empty()) add_values(*parts_.front()->rows, hasher);
  return hasher.hex();
}

void FrameStore::read_rows(int64_t first, int64_t count, float* out) const {
  if (first < 0 || count < 0 || first + count > frames_)
    fail("rows {} to {} were asked of {}", first, first + count, frames_);
  auto part = std::upper_bound(parts_.begin(), parts_.end(), first,
                               [](int64_t row, const auto& candidate) { return row < candidate->first; });
  for (--part; count > 0; ++part) {
    const NpyFile& rows = *(*part)->rows;
    const int64_t begin = first - (*part)->first;
    const int64_t here = std::min(count, rows.rows() - begin);
    if (here <= 0) continue;
    const bool ours = part_descr(info_) == rows.header().descr && !rows.header().fortran_order;
    if (ours)
      decode_frames(
          info_,
          rows.data() + static_cast<std::size_t>(begin * part_columns(info_)) * rows.header().item_size(),
          here, out);
    else
      rows.read_rows(begin, here, out);
    first += here;
    count -= here;
    out += here * info_.dim;
  }
}

const float* FrameStore::rows_in_place(int64_t first, int64_t count) const {
  if (info_.dtype != "f32" || first < 0 || count < 1 || first + count > frames_) return nullptr;
  const auto after = std::upper_bound(parts_.begin(), parts_.end(), first,
                                      [](int64_t row, const auto& part) { return row < part->first; });
  const Part& part = **(after - 1);
  const NpyHeader& header = part.rows->header();
  if (part_descr(info_) != header.descr || header.fortran_order) return nullptr;
  if (first + count > part.first + part.rows->rows()) return nullptr;
  const std::byte* rows =
      part.rows->data() + static_cast<std::size_t>((first - part.first) * info_.dim) * sizeof(float);
  const bool aligned = reinterpret_cast<std::uintptr_t>(rows) % alignof(float) == 0;
  return aligned ? reinterpret_cast<const float*>(rows) : nullptr;
}

int64_t FrameStore::bytes_per_row() const {
  if (parts_.empty()) return 0;
  return part_columns(info_) * static_cast<int64_t>(parts_.front()->rows->header().item_size());
}

void FrameStore::forget_rows(int64_t first, int64_t count) const {
  for (const auto& part : parts_) {
    const int64_t begin = std::max<int64_t>(first - part->first, 0);
    const int64_t end = std::min(first + count - part->first, part->rows->rows());
    if (begin < end) part->rows->forget_rows(begin, end - begin);
  }
}

Matrix FrameStore::read_features(const StoredUtterance& utterance) const {
  Matrix frames(utterance.frames, info_.dim);
  if (utterance.frames > 0) read_rows(utterance.start, utterance.frames, frames.data());
  return frames;
}

std::vector<int32_t> FrameStore::read_labels(const StoredUtterance& utterance) const {
  if (!is_label_kind(info_)) fail("the store holds features, labels were expected");
  const Matrix values =
      read_features(utterance);  // f32 holds every label of u16 and, up to 2^24 clusters, of i32
  return {values.data(), values.data() + values.rows()};
}

bool is_frame_store(const std::filesystem::path& folder) {
  return std::filesystem::is_directory(folder) && !find_parts(folder).empty();
}

}  // namespace retort
