// Utterances as train, dev and test.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "corpus/corpus.h"
#include "evaluate/protocol.h"

namespace retort {

enum class Split { train, dev, test };
inline constexpr std::array<Split, 3> all_splits = {Split::train, Split::dev, Split::test};

const char* name_of(Split split);

// The value of a corpus line's key as text; "id" is the id. An Error that names the utterance where it is
// missing.
std::string value_of(const Utterance& utterance, const std::string& key);

// 0 to 9 by the first digits of a hash of the value, so that it stays whatever else the corpus holds.
int hashed_tenth(const std::string& value);

// 80/10/10 by hashed_tenth().
Split hashed_split(const std::string& value);

// The split of each utterance. An Error where a given split is none, and where splits are not apart: the same
// stretch of audio, or a value of a key that should be disjoint, in two of them, with the names.
std::vector<Split> split_utterances(const std::vector<Utterance>& utterances, const SplitRule& rule);

// A hash of the ids and targets of each split, by its name. targets[i] is utterance i's, as text.
Json split_hashes(const std::vector<Utterance>& utterances, const std::vector<Split>& splits,
                  const std::vector<std::string>& targets);

// An Error where a protocol expects other splits, naming both hashes.
void require_splits(const Json& hashes, const SplitRule& rule, const std::string& protocol);

}  // namespace retort
