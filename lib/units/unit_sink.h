// Where units go: a part of a label store, a Kaldi table, an array, or lines of text, JSONL or CTM.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"
#include "store/frame_store.h"
#include "units/unit_runs.h"
#include "units/unit_text.h"

namespace retort {

class UnitSink {
 public:
  virtual ~UnitSink() = default;
  // One run per frame, or merged runs, as the form says.
  virtual void add(const std::string& id, int64_t samples, const UnitRuns& runs) = 0;
  // Nothing is visible before, but for standard output, which gets each utterance at once. `bad` counts
  // skipped utterances by reason.
  virtual void commit(const Json& bad) = 0;
};

// Names of outputs: a wspecifier; FILE.npy (and FILE.len); FILE.km (units alone); FILE.txt or "-" (with
// ids, "-" is standard output); FILE.jsonl or "jsonl:-"; FILE.ctm; anything else is a label store.
bool is_unit_store(const std::string& output);

// True for the forms that features do not have: .km, JSONL and CTM.
bool is_for_units_alone(const std::string& output);

// True where `output` is written to standard output: text, JSONL, or a table like "ark,t:-".
bool is_standard_output(const std::string& output);

// True where `output` holds units, or whatever else a new one would replace.
bool are_units_there(const std::string& output);

// A usage Error where the output has no place for what the form asks for.
void check_unit_form(const std::string& output, const UnitForm& form);

// True where units are written with their times.
bool writes_times(const std::string& output, const UnitForm& form);

// An Error where times are to be written of frames that do not say how far apart they are (hop 0).
void require_times(const std::string& output, const UnitForm& form, int hop);

// `info` describes the label store, and the times of all other forms (origin.hop). Whether a store's part is
// there already (part_is_done) the caller asks. `keep_free`: as of FramePartWriter.
std::unique_ptr<UnitSink> make_unit_sink(const std::string& output, const UnitForm& form,
                                         const StoreInfo& info, const Shard& shard, bool overwrite,
                                         int64_t keep_free = 0);

}  // namespace retort
