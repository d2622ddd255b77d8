// Who a process is among others, from what launchers say.
#include "processes/process_environment.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/error.h"

using namespace retort;

namespace {

using Setting = std::map<std::string, std::string>;

ProcessEnvironment read(const Setting& set) {
  return process_environment([&set](const char* name) {
    const auto found = set.find(name);
    return found == set.end() ? nullptr : found->second.c_str();
  });
}

Setting with(Setting set, const std::string& name, const std::string& value) {
  set[name] = value;
  return set;
}

Setting without(Setting set, const std::string& name) {
  set.erase(name);
  return set;
}

const Setting torchrun = {{"RANK", "5"},
                          {"WORLD_SIZE", "8"},
                          {"LOCAL_RANK", "1"},
                          {"MASTER_ADDR", "gpu1.cluster"},
                          {"MASTER_PORT", "29500"}};
const Setting srun = {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "3"},
                      {"SLURM_LOCALID", "1"},        {"SLURM_STEP_NODELIST", "gpu[07-08]"},
                      {"SLURM_JOB_ID", "123456"},    {"SLURM_STEP_ID", "2"}};

}  // namespace

TEST_CASE("a process without variables is alone") {
  const ProcessEnvironment alone = read({});
  CHECK(alone.rank == 0);
  CHECK(alone.count == 1);
  // What a batch script sees that runs no srun.
  CHECK(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "4"}, {"SLURM_JOB_ID", "7"}}).count == 1);
  CHECK(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).count == 1);
}

TEST_CASE("torchrun's variables") {
  const ProcessEnvironment place = read(torchrun);
  CHECK(place.rank == 5);
  CHECK(place.count == 8);
  CHECK(place.local_rank == 1);
  CHECK(place.address == "gpu1.cluster");
  CHECK(place.port == 29500);
  CHECK_FALSE(place.launcher_listens);
  CHECK(read(with(torchrun, "TORCHELASTIC_USE_AGENT_STORE", "True")).launcher_listens);
  CHECK(read(with(torchrun, "TORCHELASTIC_RESTART_COUNT", "2")).attempt == 2);
  CHECK(read(without(torchrun, "LOCAL_RANK")).local_rank == 5);
  CHECK(read(with(torchrun, "SLURM_STEP_NUM_TASKS", "2")).count == 8);  // torchrun within a job
}

TEST_CASE("srun's variables") {
  const ProcessEnvironment place = read(srun);
  CHECK(place.rank == 3);
  CHECK(place.count == 4);
  CHECK(place.local_rank == 1);
  CHECK(place.address == "gpu07");
  CHECK(place.port >= 10000);
  CHECK(place.port < 30000);
  CHECK(read(with(srun, "SLURM_PROCID", "0")).port == place.port);
  CHECK(read(with(srun, "SLURM_STEP_ID", "3")).port != place.port);
  CHECK(read(with(srun, "SLURM_JOB_ID", "123457")).port != place.port);
  CHECK(read(with(srun, "SLURM_JOB_ID", "2147483647")).port < 30000);
  CHECK(read(with(without(srun, "SLURM_STEP_NODELIST"), "SLURM_JOB_NODELIST", "a,b")).address == "a");
  const ProcessEnvironment told = read(with(with(srun, "MASTER_ADDR", "10.0.0.1"), "MASTER_PORT", "4000"));
  CHECK(told.address == "10.0.0.1");
  CHECK(told.port == 4000);
}

TEST_CASE("the first host of a node list") {
  CHECK(first_host("node1") == "node1");
  CHECK(first_host("node1,node2") == "node1");
  CHECK(first_host("node[007-010,12],big1") == "node007");
  CHECK(first_host("n[3,5-7]") == "n3");
  CHECK(first_host("rack[2-4]node[01-16]") == "rack2node01");
  CHECK(first_host("gpu[1-2].cluster") == "gpu1.cluster");
  for (const char* wrong : {"", ",a", "n[1-2", "n[]", "n[-3]"}) CHECK_THROWS_AS(first_host(wrong), Error);
}

TEST_CASE("variables that contradict each other are refused in one line") {
  const std::pair<Setting, const char*> wrong[] = {
      {without(torchrun, "RANK"), "WORLD_SIZE is set and RANK is not"},
      {without(torchrun, "WORLD_SIZE"), "RANK is set and WORLD_SIZE is not"},
      {with(torchrun, "RANK", "8"), "RANK=8: there are only 8"},
      {with(torchrun, "RANK", "-1"), "RANK=-1"},
      {with(torchrun, "RANK", ""), "RANK="},
      {with(torchrun, "LOCAL_RANK", "9"), "LOCAL_RANK=9"},
      {with(torchrun, "WORLD_SIZE", "two"), "WORLD_SIZE=two"},
      {with(torchrun, "WORLD_SIZE", "0"), "WORLD_SIZE=0"},
      {with(torchrun, "MASTER_PORT", "70000"), "MASTER_PORT=70000"},
      {without(torchrun, "MASTER_PORT"), "MASTER_ADDR and MASTER_PORT"},
      {with(torchrun, "MASTER_ADDR", ""), "MASTER_ADDR and MASTER_PORT"},
      {with(srun, "SLURM_PROCID", "4"), "SLURM_PROCID=4: there are only 4"},
      {without(srun, "SLURM_PROCID"), "SLURM_PROCID is not"},
      {without(srun, "SLURM_STEP_NODELIST"), "MASTER_ADDR"},
      {without(srun, "SLURM_JOB_ID"), "MASTER_PORT"},
      {with(srun, "SLURM_STEP_NODELIST", "n[1"), "node list n[1"},
  };
  for (const auto& [set, text] : wrong) {
    INFO(text);
    CHECK_THROWS_WITH(read(set), Catch::Contains(text) && !Catch::Contains("\n"));
  }
}
