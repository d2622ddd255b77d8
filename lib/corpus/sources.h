// Where a corpus comes from: folders, lists of files, fairseq manifests and Kaldi data directories.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "audio/waveform.h"
#include "base/json.h"

namespace retort {

// An utterance that somebody says there is; nobody has looked into its file yet.
struct Candidate {
  std::string id;       // as its source gives it, or empty until assign_ids
  std::string long_id;  // what assign_ids calls it where stems repeat
  std::filesystem::path path;
  bool is_segment = false;  // whether it is [start, end) of the file, in seconds
  double start = 0;
  double end = -1;  // -1: to the end of the file
  int channel = -1;
  int64_t stated_samples = -1;  // the file's length, where the source states it (fairseq .tsv)
  Json extra = Json::object();  // speaker, text, lang

  std::string name() const { return id.empty() ? path.string() : id; }
};

// Everything that one INPUT of retort-prepare names, in its order (a folder: sorted by path).
//   a folder with wav.scp         Kaldi data directory: wav.scp, segments, utt2spk, utt2lang, text
//   any other folder              every file below it with an audio ending; links to folders are not followed
//   .scp                          Kaldi wav.scp
//   .tsv                          fairseq manifest
//   .txt, .lst, .list             one path a line
//   "-"                           the same from standard input
//   anything else                 an audio file
// Relative paths in a list are looked up from the working folder first, then from the list's own. Throws
// Error for an INPUT that is missing, holds nothing, or is not well-formed; whether the audio is any good is
// not asked.
std::vector<Candidate> find_candidates(const std::string& input);

// Gives an id to those without: the stem of the path or, where stems repeat, long_id. Throws Error, naming
// both files, for ids that repeat even so, and for names that are not UTF-8.
void assign_ids(std::vector<Candidate>& candidates);

// The candidate's samples in a file that has been looked into, by the rules of Kaldi's extract-segments:
// sample = int(t * rate + 0.5), an end up to 0.5 s past the file's is cut back, segments of up to 0.1 s are
// too short. Throws AudioError ("bad-segment", "too-short", "no-such-channel", "wrong-length").
AudioSegment segment_of(const Candidate& candidate, const AudioInfo& file);

}  // namespace retort
