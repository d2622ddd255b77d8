#include "labels/frame_labeller.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/log.h"
#include "base/stopwatch.h"
#include "nearest/distances.h"
#include "store/not_finite.h"

namespace retort {

void check_label_output(const LabelOutput& output) {
  if (!output.soft) {
    check_unit_form(output.path, output.form);
    return;
  }
  if (output.form.dedup || output.form.durations || output.form.times)
    fail_usage("--soft: distances are of frames; --dedup, --durations and --times are of labels");
  if (!is_unit_store(output.path) && is_store_output(output.path))
    fail_usage("--soft: {} is for labels; name a store, FILE.npy or a Kaldi table", output.path);
}

FrameLabeller::FrameLabeller(Codebook codebook, LabelOutput output, std::unique_ptr<Assigner> assigner,
                             int threads)
    : codebook_(std::move(codebook)),
      output_(std::move(output)),
      threads_(threads),
      assigner_(std::move(assigner)) {}

PartPlan FrameLabeller::plan(const FrameOrigin& origin, int64_t dim, const Shard& shard) const {
  require_same_features(codebook_, origin, dim);
  return PartPlan(info_of(origin), shard);
}

// From the centroids themselves as frames, often enough that it can be timed.
double FrameLabeller::seconds_per_frame() const {
  constexpr int64_t enough_frames = 1 << 14;
  const Matrix& frames = codebook_.centroids;
  std::vector<int32_t> labels(static_cast<std::size_t>(frames.rows()));
  const auto search = [&] {
    if (output_.soft)
      squared_distances(frames, codebook_.centroids, threads_);
    else
      assigner_->assign(frames.data(), frames.rows(), labels.data(), nullptr);
  };
  search();
  const int64_t times = 1 + enough_frames / frames.rows();
  Stopwatch watch;
  for (int64_t i = 0; i < times; ++i) search();
  return watch.lap() / static_cast<double>(times * frames.rows());
}

bool FrameLabeller::begin(const FrameOrigin& origin, int64_t dim, const Shard& shard) {
  require_same_features(codebook_, origin, dim);
  const std::string& path = output_.path;
  const StoreInfo info = info_of(origin);
  if (is_unit_store(path) && part_is_done(path, info, shard, output_.overwrite)) {
    log_info("label", "{} is there already: nothing to do",
             (std::filesystem::path(path) / shard.stem()).string());
    return false;
  }
  if (output_.soft)
    distances_ = make_frame_sink(path, info, shard, output_.overwrite, output_.keep_free);
  else
    labels_ = make_unit_sink(path, output_.form, info, shard, output_.overwrite, output_.keep_free);
  return true;
}

StoreInfo FrameLabeller::info_of(const FrameOrigin& origin) const {
  StoreInfo info;
  info.origin = origin;
  info.codebook = codebook_.hash();
  if (output_.soft) {
    info.dim = codebook_.clusters();
    info.origin.layer += origin.layer.empty() ? "distances" : "-distances";  // no frames of that layer
    return info;
  }
  info.kind = StoreKind::labels;
  info.dtype = codebook_.clusters() <= 65536 ? "u16" : "i32";
  info.dim = 1;
  info.clusters = codebook_.clusters();
  info.dedup = output_.form.dedup;
  return info;
}

void FrameLabeller::add(const std::string& id, int64_t samples, const Matrix& frames) {
  const Matrix ready = normalised(id, 0, frames);
  if (output_.soft) {
    distances_->add(id, samples, squared_distances(ready, codebook_.centroids, threads_));
    return;
  }
  std::vector<int32_t> labels(static_cast<std::size_t>(frames.rows()));
  assign(ready, labels.data());
  write(id, samples, labels);
}

void FrameLabeller::add(const StoredUtterance& utterance, const FrameSource& source) {
  const auto read = [&](int64_t first, int64_t count) {
    Matrix rows(count, source.dim());
    if (count > 0) source.read_rows(utterance.start + first, count, rows.data());
    return rows;
  };
  if (output_.soft) {  // whose distances have to be held anyway
    add(utterance.id, utterance.samples, read(0, utterance.frames));
    return;
  }
  constexpr int64_t block_rows = 8192;  // a plain array's only utterance is as long as the array
  std::vector<int32_t> labels(static_cast<std::size_t>(utterance.frames));
  for (int64_t first = 0; first < utterance.frames; first += block_rows)
    assign(normalised(utterance.id, first, read(first, std::min(block_rows, utterance.frames - first))),
           labels.data() + first);
  write(utterance.id, utterance.samples, labels);
}

// Ready to be held against the centroids.
Matrix FrameLabeller::normalised(const std::string& id, int64_t first_frame, Matrix frames) const {
  if (const int64_t row = first_not_finite_row(frames); row >= 0)
    fail("{}: frame {} holds a value that is not finite", id, first_frame + row);
  codebook_.norm.apply(frames.data(), frames.rows(), frames.columns());
  return frames;
}

void FrameLabeller::assign(const Matrix& frames, int32_t* labels) {
  if (frames.rows() > 0) assigner_->assign(frames.data(), frames.rows(), labels, nullptr);
}

void FrameLabeller::write(const std::string& id, int64_t samples, const std::vector<int32_t>& labels) {
  labels_->add(id, samples, output_.form.dedup ? merged_runs(labels) : runs_of_one(labels));
}

void FrameLabeller::commit(const Json& bad) {
  if (output_.soft)
    distances_->commit(bad);
  else
    labels_->commit(bad);
}

}  // namespace retort
