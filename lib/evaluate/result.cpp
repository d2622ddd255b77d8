#include "evaluate/result.h"

#include "base/files.h"
#include "base/log.h"

namespace retort {

std::optional<Json> ResultFile::begin(Json job) {
  job_ = std::move(job);
  if (options_.overwrite || !std::filesystem::exists(options_.output)) return std::nullopt;
  const Json found = read_json(options_.output);
  if (!found.is_object() || !found.contains("task"))
    fail("{}: exists and is no result; name another output or give --overwrite", options_.output);
  Json theirs = Json::object();
  for (const auto& [key, value] : job_.items())
    if (found.contains(key)) theirs[key] = found.at(key);
  const std::string difference = first_difference(job_, theirs);
  if (!difference.empty())
    fail("{}: holds the result of another job ({}); name another output or give --overwrite", options_.output,
         difference);
  log_info("evaluate", "{} is there already, nothing to do", options_.output);
  return found;
}

Json ResultFile::write(const Json& rest) const {
  Json result = job_;
  result.update(rest);
  result["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  write_json(options_.output, result);
  return result;
}

}  // namespace retort
