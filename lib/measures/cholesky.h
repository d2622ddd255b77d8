// Systems of linear equations with a symmetric positive definite matrix.
#pragma once

#include <cstdint>
#include <vector>

namespace retort {

// A = L L', L lower triangular.
class Cholesky {
 public:
  // `matrix` is (size, size), of which the lower triangle is read. An Error where it is not positive
  // definite.
  Cholesky(std::vector<double> matrix, int64_t size);

  // Puts x of A x = b in the place of b, which has `size` values.
  void solve(double* b) const;

 private:
  double& at(int64_t row, int64_t column) { return lower_[static_cast<std::size_t>(row * size_ + column)]; }
  double at(int64_t row, int64_t column) const {
    return lower_[static_cast<std::size_t>(row * size_ + column)];
  }

  int64_t size_;
  std::vector<double> lower_;
};

}  // namespace retort
