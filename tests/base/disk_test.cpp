#include "base/disk.h"

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/files.h"

using namespace retort;

TEST_CASE("sizes are read with their units") {
  CHECK(parse_bytes("--memory", "64K") == 65536);
  CHECK(parse_bytes("--memory", "1.5G") == int64_t{3} << 29);
  CHECK_THROWS_WITH(parse_bytes("--memory", "much"), Catch::Contains("--memory much"));
  CHECK_THROWS_WITH(parse_bytes("--keep-free", "5X"), Catch::Contains("--keep-free 5X"));
}

TEST_CASE("a budget refuses what does not fit and stops when others have taken the rest") {
  const TemporaryFolder folder;
  const std::filesystem::path later = folder.path() / "not/yet/there";
  const int64_t free = free_disk_bytes(later);
  CHECK(free > 0);
  CHECK_NOTHROW(DiskBudget(later, 0).require(0));
  CHECK_THROWS_WITH(DiskBudget(later, 0).require(2 * free), Catch::Contains("make room"));
  CHECK_THROWS_WITH(DiskBudget(later, 2 * free).require(1), Catch::Contains("less the"));
  DiskBudget all(later, 2 * free), none(later, 0);
  CHECK_NOTHROW(all.spend(1000));  // too little to look for
  CHECK_THROWS_WITH(all.spend(int64_t{1} << 30), Catch::Contains("is to stay"));
  CHECK_NOTHROW(none.spend(int64_t{1} << 30));
}
