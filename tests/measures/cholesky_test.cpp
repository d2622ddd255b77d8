#include "measures/cholesky.h"

#include <catch2/catch.hpp>

#include "base/error.h"

using namespace retort;

TEST_CASE("a system of equations is solved") {
  const std::vector<double> matrix{4, 0, 0, 2, 5, 0, -2, 1, 6};  // the upper triangle is not looked at
  const Cholesky solver(matrix, 3);
  std::vector<double> b{4 * 1 + 2 * 2 - 2 * 3, 2 * 1 + 5 * 2 + 1 * 3, -2 * 1 + 1 * 2 + 6 * 3};
  solver.solve(b.data());
  CHECK(b[0] == Approx(1));
  CHECK(b[1] == Approx(2));
  CHECK(b[2] == Approx(3));
}

TEST_CASE("a matrix that is not positive definite is refused") {
  CHECK_THROWS_WITH(Cholesky({1, 0, 1, 1}, 2), Catch::Contains("row 1"));
}
