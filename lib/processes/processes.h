// Processes that do one job together: train a student, or a codebook.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "processes/process_environment.h"

namespace at {
class Tensor;
}

namespace retort {

// What carries values between processes; c10d's process groups are behind it (lib/torch_processes/).
class ProcessLink {
 public:
  virtual ~ProcessLink() = default;
  // Adds the other processes' values to these, in place.
  virtual void sum(const at::Tensor& tensor) = 0;
  virtual void sum(std::vector<double>& values) = 0;
};

// Meets the other processes by NCCL where `device` is a GPU and the build has it, else by Gloo. Empty in
// programs that do without LibTorch (use_torch_processes()).
using ProcessConnector = std::unique_ptr<ProcessLink> (*)(const ProcessEnvironment& environment,
                                                          const std::string& device);
inline ProcessConnector connect_processes = nullptr;

// Every method but the plain getters is called by all processes at the same point, and throws a one-line
// Error where another process is gone. One process alone gets its own values back.
class Processes {
 public:
  Processes() = default;
  // Meets the others; `device` is what the job computes on.
  Processes(const ProcessEnvironment& environment, const std::string& device);
  Processes(const ProcessEnvironment& environment, std::unique_ptr<ProcessLink> link)
      : environment_(environment), link_(std::move(link)) {}

  int rank() const { return environment_.rank; }
  int count() const { return environment_.count; }
  int local_rank() const { return environment_.local_rank; }
  // Whether this is the one that writes.
  bool leads() const { return rank() == 0; }
  bool alone() const { return link_ == nullptr; }

  // Adds the other processes' values to these, in place.
  void sum(const at::Tensor& tensor) const;
  void sum(std::vector<double>& values) const;
  // The value that the leading process has.
  double of_leader(double value) const;
  // Each process's text, by rank.
  std::vector<std::string> exchange(const std::string& text) const;
  // Returns when all have come here.
  void wait_for_all() const;

 private:
  ProcessEnvironment environment_;
  std::unique_ptr<ProcessLink> link_;
};

// Throws an Error where the job of another process than this one's is not that of the leading process:
// processes that were started with different options or files would do what none of them was asked for.
void require_agreement(const Processes& processes, const Json& job);

// The threads that each process should use by itself: those it may use, divided by how many processes may use
// the same ones.
int default_threads(const Processes& processes);

}  // namespace retort
