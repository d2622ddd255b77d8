#include "distill/run_folder.h"

#include <algorithm>
#include <fstream>

#include "base/files.h"

namespace retort {
namespace {

// A checkpoint is written into state.safetensors; its name appears when it is whole.
constexpr const char* checkpoint_file = "state.safetensors";

// Whether a folder holds more than what a start that was killed leaves.
bool holds_anything(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() != ".tmp") return true;
  return false;
}

// Removes all but the lock.
void remove_run(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() != ".tmp") std::filesystem::remove_all(entry.path());
}

std::optional<int64_t> step_of(const std::filesystem::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with("step-") || !std::filesystem::exists(folder / checkpoint_file)) return std::nullopt;
  return std::stoll(name.substr(5));
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder, const Json& config, bool overwrite)
    : folder_(std::move(folder)), lock_(std::in_place, folder_ / "run") {
  const std::filesystem::path config_path = folder_ / "config.json";
  if (overwrite) remove_run(folder_);
  if (std::filesystem::exists(config_path)) {
    const std::string difference = first_difference(read_json(config_path), config);
    if (!difference.empty())
      fail("{}: holds a run of another configuration ({} now); name another folder or give --overwrite",
           folder_.string(), difference);
    return;
  }
  if (holds_anything(folder_))
    fail("{}: exists and is no training run; name another folder", folder_.string());
  write_json(config_path, config);
}

// config.json is the last file that write_model puts into a model folder.
bool RunFolder::finished() const {
  return std::filesystem::exists(student() / "config.json");
}

std::filesystem::path RunFolder::checkpoint(int64_t step) const {
  return folder_ / "checkpoints" / fmt::format("step-{:08}", step) / checkpoint_file;
}

std::vector<int64_t> RunFolder::checkpoint_steps() const {
  std::vector<int64_t> steps;
  if (!std::filesystem::exists(folder_ / "checkpoints")) return steps;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "checkpoints"))
    if (const auto step = step_of(entry.path())) steps.push_back(*step);
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<int64_t> RunFolder::newest_checkpoint() const {
  const std::vector<int64_t> steps = checkpoint_steps();
  return steps.empty() ? std::nullopt : std::optional(steps.back());
}

void RunFolder::keep_newest_checkpoints(int64_t count) const {
  std::vector<int64_t> steps = checkpoint_steps();
  const auto surplus = std::max<int64_t>(static_cast<int64_t>(steps.size()) - count, 0);
  for (int64_t i = 0; i < surplus; ++i)
    std::filesystem::remove_all(checkpoint(steps[static_cast<std::size_t>(i)]).parent_path());
}

void RunFolder::log(const Json& report) const {
  std::ofstream file(log_path(), std::ios::app);
  file << report.dump() << "\n" << std::flush;
  if (!file) fail("{}: writing failed", log_path().string());
}

void RunFolder::cut_log_after(int64_t step) const {
  if (!std::filesystem::exists(log_path())) return;
  AtomicFile kept(log_path());
  for (const std::string& line : read_lines(log_path())) {
    const Json report = Json::parse(line, nullptr, false);
    // The last line may be cut where the process was killed.
    if (report.is_discarded() || report.value("step", int64_t{0}) > step) continue;
    kept.write(line + "\n");
  }
  kept.commit();
}

std::optional<double> RunFolder::best_validation() const {
  std::optional<double> best;
  if (!std::filesystem::exists(log_path())) return best;
  for (const std::string& line : read_lines(log_path())) {
    const Json report = Json::parse(line, nullptr, false);
    if (!report.is_object() || !report.contains("validation")) continue;
    const Json& loss = report["validation"]["loss"];
    if (loss.is_number() && (!best || loss.get<double>() < *best)) best = loss.get<double>();
  }
  return best;
}

std::filesystem::path RunFolder::failure(int64_t step) const {
  return folder_ / fmt::format("failed-step-{:08}.json", step);
}

}  // namespace retort
