// Where this process stands among those that do one job, from the variables that launchers set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace retort {

struct ProcessEnvironment {
  int rank = 0;
  int count = 1;
  int local_rank = 0;   // among the processes of its machine
  std::string address;  // where rank 0 listens; "" for one process
  int port = 0;
  bool launcher_listens = false;  // instead of rank 0, as torchrun does
  int attempt = 0;                // of the launcher, which may start all processes again
};

// The value of an environment variable, or null.
using Variables = std::function<const char*(const char* name)>;

// torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, and LOCAL_RANK, which is RANK where it is
// not set), or else those of srun. Rank 0 of an srun is on the first node of its step, and listens where
// MASTER_ADDR and MASTER_PORT say or at a port that follows from job and step. One process where neither is
// there: a batch script that runs without srun is one process, however many tasks its job has. Throws for
// variables that contradict each other.
ProcessEnvironment process_environment(const Variables& variable);
ProcessEnvironment process_environment();

// The first host of a SLURM node list: "node007" of "node[007-010,12],big1".
std::string first_host(const std::string& node_list);

}  // namespace retort
