// Kaldi data directories: https://kaldi-asr.org/doc/data_prep.html
#pragma once

#include "corpus/sources.h"

namespace retort {

// The recordings of a wav.scp: files, or commands that write audio ("sph2pipe -f wav call.sph |"). Archives
// ("wav.ark:123") are refused with advice.
std::vector<Candidate> read_wav_scp(const std::filesystem::path& path);

// wav.scp and, where they are there, segments, utt2spk, utt2lang and text.
std::vector<Candidate> read_kaldi_data(const std::filesystem::path& folder);

// `path` from the working folder if it is there, else from `folder`.
std::filesystem::path find_listed(const std::string& path, const std::filesystem::path& folder);

}  // namespace retort
