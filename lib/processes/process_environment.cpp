#include "processes/process_environment.h"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace retort {
namespace {

constexpr int most_processes = 100000;
// Below the ports that systems give out by themselves.
constexpr int64_t first_port = 10000;
constexpr int64_t ports = 20000;
constexpr int64_t ports_per_job = 16;  // for steps of one job that run at the same time

std::optional<int64_t> number(const Variables& variable, const char* name, int64_t least, int64_t most) {
  const char* text = variable(name);
  if (text == nullptr) return std::nullopt;
  const std::string_view view(text);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), value);
  if (error != std::errc{} || end != view.data() + view.size() || value < least || value > most)
    fail_usage("{}={}: should be a whole number from {} to {}", name, one_line(view), least, most);
  return value;
}

int needed_number(const Variables& variable, const char* name, const char* beside, int least, int most) {
  const auto value = number(variable, name, least, most);
  if (!value)
    fail_usage(
        "{} is set and {} is not; start all processes by torchrun, srun or a loop that sets both, or "
        "unset {} to train in one",
        beside, name, beside);
  return static_cast<int>(*value);
}

int rank_below(const Variables& variable, const char* name, const char* beside, int count) {
  const int rank = needed_number(variable, name, beside, 0, most_processes);
  if (rank >= count) fail_usage("{}={}: there are only {} processes, counted from 0", name, rank, count);
  return rank;
}

std::optional<int> master_port(const Variables& variable) {
  return number(variable, "MASTER_PORT", 1, 65535);
}

ProcessEnvironment of_torchrun(const Variables& variable) {
  ProcessEnvironment place;
  place.count = needed_number(variable, "WORLD_SIZE", "RANK", 1, most_processes);
  place.rank = rank_below(variable, "RANK", "WORLD_SIZE", place.count);
  place.local_rank = variable("LOCAL_RANK") == nullptr
                         ? place.rank
                         : rank_below(variable, "LOCAL_RANK", "RANK", place.count);
  if (place.count == 1) return place;
  const char* address = variable("MASTER_ADDR");
  const auto port = master_port(variable);
  if (address == nullptr || *address == '\0' || !port)
    fail_usage("WORLD_SIZE={}: MASTER_ADDR and MASTER_PORT must say where rank 0 listens", place.count);
  place.address = address;
  place.port = *port;
  const char* agent = variable("TORCHELASTIC_USE_AGENT_STORE");
  place.launcher_listens = agent != nullptr && std::string_view(agent) == "True";
  place.attempt = static_cast<int>(number(variable, "TORCHELASTIC_RESTART_COUNT", 0, INT32_MAX).value_or(0));
  return place;
}

std::string address_of_step(const Variables& variable) {
  if (const char* address = variable("MASTER_ADDR")) return address;
  for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"})
    if (const char* nodes = variable(name)) return first_host(nodes);
  fail_usage("this srun step has no SLURM_STEP_NODELIST; set MASTER_ADDR to the host of rank 0");
}

int port_of_step(const Variables& variable) {
  if (const auto port = master_port(variable)) return *port;
  const auto job = number(variable, "SLURM_JOB_ID", 0, INT32_MAX);
  if (!job) fail_usage("this srun step has no SLURM_JOB_ID; set MASTER_PORT to a free port of rank 0's host");
  const int64_t step = number(variable, "SLURM_STEP_ID", 0, UINT32_MAX).value_or(0);
  return static_cast<int>(first_port + (*job * ports_per_job + step) % ports);
}

ProcessEnvironment of_srun(const Variables& variable) {
  constexpr const char* tasks = "SLURM_STEP_NUM_TASKS";
  ProcessEnvironment place;
  place.count = static_cast<int>(*number(variable, tasks, 1, most_processes));
  place.rank = rank_below(variable, "SLURM_PROCID", tasks, place.count);
  place.local_rank = rank_below(variable, "SLURM_LOCALID", tasks, place.count);
  if (place.count == 1) return place;
  place.address = address_of_step(variable);
  place.port = port_of_step(variable);
  return place;
}

}  // namespace

std::string first_host(const std::string& node_list) {
  std::string host;
  for (std::size_t i = 0; i < node_list.size() && node_list[i] != ','; ++i) {
    if (node_list[i] != '[') {
      host += node_list[i];
      continue;
    }
    const std::size_t close = node_list.find(']', i);
    const std::size_t end = node_list.find_first_of(",-]", i);
    if (close == std::string::npos || end == i + 1)
      fail_usage("node list {}: a bracket is not closed or empty", one_line(node_list));
    host += node_list.substr(i + 1, end - i - 1);
    i = close;
  }
  if (host.empty()) fail_usage("node list {}: it begins with no host", one_line(node_list));
  return host;
}

ProcessEnvironment process_environment(const Variables& variable) {
  if (variable("RANK") != nullptr || variable("WORLD_SIZE") != nullptr) return of_torchrun(variable);
  // Only srun sets this one; SLURM_NTASKS is also there in a batch script, which is a single process.
  if (variable("SLURM_STEP_NUM_TASKS") != nullptr) return of_srun(variable);
  return {};
}

ProcessEnvironment process_environment() {
  return process_environment([](const char* name) { return std::getenv(name); });
}

}  // namespace retort
