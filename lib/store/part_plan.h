// What a part will hold and take on the disk, before it is made.
#pragma once

#include <cstdint>
#include <string>

#include "store/frame_store.h"

namespace retort {

class PartPlan {
 public:
  PartPlan(const StoreInfo& info, const Shard& shard) : info_(info), shard_(shard) {}

  // An utterance that will be written with so many rows.
  void add(const std::string& id, int64_t samples, int64_t frames);

  int64_t utterances() const { return utterances_; }
  int64_t frames() const { return frames_; }
  int files() const { return info_.product ? 4 : 3; }
  // Of all files of the part, exactly, where no utterance is bad and none of its runs of labels are joined.
  int64_t bytes() const;
  // utterances, frames, files and bytes.
  Json to_json() const;

 private:
  StoreInfo info_;
  Shard shard_;
  int64_t utterances_ = 0;
  int64_t frames_ = 0;
  int64_t list_bytes_ = 0;
};

}  // namespace retort
