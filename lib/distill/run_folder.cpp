#include "distill/run_folder.h"

#include <fstream>

#include "base/files.h"

namespace retort {
namespace {

// A checkpoint is written into state.safetensors; its name appears when it is whole.
constexpr const char* checkpoint_file = "state.safetensors";

// Whether a folder holds more than the temporary file of a start that was killed.
bool holds_anything(const std::filesystem::path& folder) {
  if (!std::filesystem::exists(folder)) return false;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() != ".tmp") return true;
  return false;
}

std::optional<int64_t> step_of(const std::filesystem::path& folder) {
  const std::string name = folder.filename().string();
  if (!name.starts_with("step-") || !std::filesystem::exists(folder / checkpoint_file)) return std::nullopt;
  return std::stoll(name.substr(5));
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path folder, const Json& config, bool overwrite)
    : folder_(std::move(folder)) {
  const std::filesystem::path config_path = folder_ / "config.json";
  if (overwrite) std::filesystem::remove_all(folder_);
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

std::optional<int64_t> RunFolder::newest_checkpoint() const {
  std::optional<int64_t> newest;
  if (!std::filesystem::exists(folder_ / "checkpoints")) return newest;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "checkpoints"))
    if (const auto step = step_of(entry.path()); step && (!newest || *step > *newest)) newest = step;
  return newest;
}

void RunFolder::keep_only_checkpoint(int64_t step) const {
  if (!std::filesystem::exists(folder_ / "checkpoints")) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "checkpoints"))
    if (entry.path() != checkpoint(step).parent_path()) std::filesystem::remove_all(entry.path());
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

}  // namespace retort
