#include "base/disk.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/frame_values.h"
#include "store/not_finite.h"
#include "store/npy.h"
#include "store/part_files.h"

namespace retort {
namespace {

// The sidecar goes first: without it the other files count for nothing.
void remove_part(const PartFiles& part) {
  for (const auto& file : {part.json, part.jsonl, part.npy, part.codebook}) std::filesystem::remove(file);
}

// Whether the sidecar is there and JSON; a disk that lost its end is no reason to stop the job that mends it.
bool has_sidecar(const PartFiles& files) {
  if (!std::filesystem::exists(files.json)) return false;
  try {
    read_json(files.json);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Whether the files of a part that has a sidecar are there and as long as it says. Values are not read: that
// would take as long as making some of them, and is what retort-inspect --check does.
bool is_whole(const PartFiles& files) {
  const PartSidecar stated = read_sidecar(files);
  try {
    const NpyFile rows(files.npy);
    if (stated.info.dtype == "pq") read_part_codebook(files, stated.info);
    return rows.rows() == stated.frames && rows.columns() == part_columns(stated.info) &&
           rows.header().descr == part_descr(stated.info) && hash_file(files.jsonl) == stated.jsonl_hash;
  } catch (const Error&) {
    return false;
  }
}

void require_same_job(const PartFiles& part, const StoreInfo& info) {
  const std::string difference = first_difference(read_sidecar(part).info.to_json(), info.to_json());
  if (!difference.empty())
    fail("{}: was made otherwise ({} now); use --overwrite or another folder", part.json.string(),
         difference);
}

}  // namespace

struct FramePartWriter::State {
  StoreInfo info;
  PartFiles files;
  AtomicFile npy;
  AtomicFile jsonl;
  std::string header;
  Hasher rows_hash;  // of the values; the header follows from the counts
  Hasher jsonl_hash;
  int64_t utterances = 0;
  int64_t frames = 0;
  DiskBudget budget;

  State(const std::filesystem::path& folder, const StoreInfo& store, const Shard& shard, int64_t keep_free)
      : info(store),
        files(folder, shard),
        npy(files.npy),
        jsonl(files.jsonl),
        header(part_header(store, 0)),
        budget(folder, keep_free) {
    npy.write(header);
  }

  void add(const std::string& id, int64_t samples, int64_t rows, const void* data, std::size_t bytes) {
    npy.write(data, bytes);
    rows_hash.add(data, bytes);
    const std::string text = utterance_line({id, frames, rows, samples, hash_bytes(data, bytes)});
    jsonl.write(text);
    jsonl_hash.add(text);
    frames += rows;
    ++utterances;
    budget.spend(static_cast<int64_t>(bytes + text.size()));
  }
};

FramePartWriter::FramePartWriter(const std::filesystem::path& folder, const StoreInfo& info,
                                 const Shard& shard, int64_t keep_free)
    : state_(std::make_unique<State>(folder, info, shard, keep_free)) {}
FramePartWriter::~FramePartWriter() = default;

void FramePartWriter::add_features(const std::string& id, int64_t samples, const Matrix& frames) {
  const StoreInfo& info = state_->info;
  if (info.kind != StoreKind::features) fail("{}: features were given to a store of labels", id);
  if (frames.rows() > 0 && frames.columns() != info.dim)
    fail("{}: has frames of {} values, the store's have {}", id, frames.columns(), info.dim);
  if (const int64_t row = first_not_finite_row(frames); row >= 0)
    fail("{}: frame {} holds a value that is not finite", id, row);
  const std::vector<std::byte> bytes = encode_frames(info, id, frames);
  state_->add(id, samples, frames.rows(), bytes.data(), bytes.size());
}

void FramePartWriter::add_labels(const std::string& id, int64_t samples, std::span<const int32_t> labels) {
  const StoreInfo& info = state_->info;
  if (info.kind != StoreKind::labels) fail("{}: labels were given to a store of features", id);
  for (const int32_t label : labels)
    if (label < 0 || label >= info.clusters)
      fail("{}: label {} is not below K = {}", id, label, info.clusters);
  const auto count = static_cast<int64_t>(labels.size());
  if (info.dtype == "i32") {
    state_->add(id, samples, count, labels.data(), labels.size_bytes());
  } else {
    const std::vector<uint16_t> narrow(labels.begin(), labels.end());
    state_->add(id, samples, count, narrow.data(), narrow.size() * sizeof(uint16_t));
  }
}

void FramePartWriter::commit(const Json& bad) {
  State& state = *state_;
  const std::string header = part_header(state.info, state.frames);
  if (header.size() != state.header.size())
    fail("{}: its header grew while it was written", state.files.npy.string());
  state.npy.write_at(0, header);

  const PartSidecar sidecar{state.info,   state.files.shard,     state.utterances,
                            state.frames, state.rows_hash.hex(), state.jsonl_hash.hex()};
  if (state.info.product) write_npy_matrix(state.files.codebook, state.info.product->centroids());
  state.npy.commit();
  state.jsonl.commit();
  write_json(state.files.json, sidecar_json(sidecar, bad));
}

bool part_is_done(const std::filesystem::path& folder, const StoreInfo& info, const Shard& shard,
                  bool overwrite) {
  const std::vector<PartFiles> parts = find_parts(folder);
  if (overwrite) {
    // Parts of the same run, which other jobs may be writing now, stay; what does not belong to it goes.
    for (const PartFiles& found : parts)
      if (found.shard == shard || found.shard.count != shard.count) remove_part(found);
    return false;
  }
  for (const PartFiles& found : parts)
    if (found.shard.count != shard.count)
      fail("{}: was made in {} parts, now {}; use --overwrite or another folder", folder.string(),
           found.shard.count, shard.count);
  const PartFiles own(folder, shard);
  // Each of N jobs looks at its own part and one more, not at N.
  for (const PartFiles& found : {own, parts.empty() ? own : parts.front()})
    if (has_sidecar(found)) require_same_job(found, info);
  if (!std::filesystem::exists(own.json)) return false;
  if (has_sidecar(own) && is_whole(own)) return true;
  log_warning("store", "{}: is not whole, and is made again", own.json.string());
  return false;
}

}  // namespace retort
