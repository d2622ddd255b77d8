// Pairs of recordings that are, or are not, of one speaker, and scores for them.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace retort {

// By "id id", as the file has them.
using TrialTargets = std::map<std::string, bool>;
using TrialScores = std::map<std::string, double>;

// Lines "1|0 id id" (VoxCeleb) or "id id target|nontarget" (Kaldi). Repeated pairs are refused.
TrialTargets read_trials(const std::filesystem::path& path);
// Lines "id id score".
TrialScores read_trial_scores(const std::filesystem::path& path);

}  // namespace retort
