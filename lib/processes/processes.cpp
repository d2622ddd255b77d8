#include "processes/processes.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/error.h"
#include "base/threads.h"

namespace retort {
namespace {

// The machine and the CPUs of it that this process may use.
std::string own_cpus() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::string cpus = host.data();
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed)) cpus += fmt::format(" {}", cpu);
  return cpus;
}

}  // namespace

Processes::Processes(const ProcessEnvironment& environment, const std::string& device)
    : environment_(environment) {
  if (count() == 1) return;
  if (!connect_processes)
    fail("this build has no LibTorch, which several processes need; build with -DRETORT_TORCH=ON");
  link_ = connect_processes(environment, device);
}

void Processes::sum(const at::Tensor& tensor) const {
  if (!alone()) link_->sum(tensor);
}

void Processes::sum(std::vector<double>& values) const {
  if (!alone()) link_->sum(values);
}

double Processes::of_leader(double value) const {
  std::vector<double> values{leads() ? value : 0};
  sum(values);
  return values.front();
}

std::vector<std::string> Processes::exchange(const std::string& text) const {
  const auto own = static_cast<std::size_t>(rank());
  std::vector<double> lengths(static_cast<std::size_t>(count()));
  lengths[own] = static_cast<double>(text.size());
  sum(lengths);
  std::vector<double> characters;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const std::size_t begin = characters.size();
    characters.resize(begin + static_cast<std::size_t>(lengths[i]));
    if (i == own)
      std::copy(text.begin(), text.end(), characters.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  sum(characters);
  std::vector<std::string> texts;
  auto next = characters.begin();
  for (const double length : lengths) {
    const auto end = next + static_cast<std::ptrdiff_t>(length);
    std::string& read = texts.emplace_back();
    std::transform(next, end, std::back_inserter(read), [](double c) { return static_cast<char>(c); });
    next = end;
  }
  return texts;
}

void Processes::wait_for_all() const {
  of_leader(0);
}

void require_agreement(const Processes& processes, const Json& job) {
  const Json of_leader = Json::parse(processes.exchange(job.dump()).front());
  const std::string difference = first_difference(of_leader, job);
  if (!difference.empty())
    fail("process {}: its options or files are not those of process 0 ({} here); start all alike",
         processes.rank(), difference);
}

int default_threads(const Processes& processes) {
  const std::vector<std::string> cpus = processes.exchange(own_cpus());
  const auto sharing = std::count(cpus.begin(), cpus.end(), cpus[static_cast<std::size_t>(processes.rank())]);
  return std::max(available_threads() / static_cast<int>(sharing), 1);
}

}  // namespace retort
