// The three files of a store's part, and what its sidecar says.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/frame_store.h"
#include "store/product_codebook.h"

namespace retort {

inline constexpr const char* frames_format = "retort-frames-1";

struct PartFiles {
  Shard shard;
  std::filesystem::path npy, jsonl, json;
  std::filesystem::path codebook;  // of dtype pq

  PartFiles(const std::filesystem::path& folder, const Shard& part);
};

struct PartSidecar {
  StoreInfo info;
  Shard shard;
  int64_t utterances = 0;
  int64_t frames = 0;
  std::string npy_hash;
  std::string jsonl_hash;
};

// What a part's .npy begins with.
std::string part_header(const StoreInfo& info, int64_t frames);

// An utterance's line of a part's .jsonl, with its newline.
std::string utterance_line(const StoredUtterance& utterance);

// A part's sidecar. `bad` counts skipped utterances by reason.
Json sidecar_json(const PartSidecar& sidecar, const Json& bad);

// Parts whose sidecar is there, in any order of shard counts, sorted.
std::vector<PartFiles> find_parts(const std::filesystem::path& folder);

// All parts of a whole store, in order; an Error naming the first that is missing or does not belong.
std::vector<PartFiles> whole_parts(const std::filesystem::path& folder);

PartSidecar read_sidecar(const PartFiles& files);

// The product codebook that lies beside a part of dtype pq: each part has its own copy, so that jobs that
// write parts need not wait for each other. Refuses one that is not the sidecar's.
std::shared_ptr<const ProductCodebook> read_part_codebook(const PartFiles& files, const StoreInfo& info);

// The lines of the part's .jsonl, checked against each other and the sidecar's counts.
std::vector<StoredUtterance> read_part_utterances(const PartFiles& files, const PartSidecar& sidecar);

}  // namespace retort
