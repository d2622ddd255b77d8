#include "store/frame_sink.h"

#include "store/kaldi_table.h"
#include "store/npy_pair.h"

namespace retort {
namespace {

bool is_array(const std::string& output) {
  return output.ends_with(".npy");
}

class StoreSink : public FrameSink {
 public:
  StoreSink(const std::string& output, const StoreInfo& info, const Shard& shard, int64_t keep_free)
      : writer_(output, info, shard, keep_free) {}
  void add(const std::string& id, int64_t samples, const Matrix& frames) override {
    writer_.add_features(id, samples, frames);
  }
  void commit(const Json& bad) override { writer_.commit(bad); }

 private:
  FramePartWriter writer_;
};

class TableSink : public FrameSink {
 public:
  TableSink(const std::string& output, bool overwrite) : writer_(parse_wspecifier(output), overwrite) {}
  void add(const std::string& id, int64_t, const Matrix& frames) override {
    writer_.add_features(id, frames);
  }
  void commit(const Json&) override { writer_.commit(); }

 private:
  KaldiTableWriter writer_;
};

class ArraySink : public FrameSink {
 public:
  ArraySink(const std::string& output, int64_t dim, bool overwrite) : writer_(output, dim, overwrite) {}
  void add(const std::string&, int64_t, const Matrix& frames) override { writer_.add(frames); }
  void commit(const Json&) override { writer_.commit(); }

 private:
  NpyPairWriter writer_;
};

}  // namespace

bool is_store_output(const std::string& output) {
  return !is_table(output) && !is_array(output);
}

std::unique_ptr<FrameSink> make_frame_sink(const std::string& output, const StoreInfo& info,
                                           const Shard& shard, bool overwrite, int64_t keep_free) {
  if (is_table(output)) return std::make_unique<TableSink>(output, overwrite);
  if (is_array(output)) return std::make_unique<ArraySink>(output, info.dim, overwrite);
  return std::make_unique<StoreSink>(output, info, shard, keep_free);
}

}  // namespace retort
