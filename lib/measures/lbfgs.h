// Minimising a smooth convex function of many variables.
#pragma once

#include <functional>
#include <vector>

namespace retort {

// The value at `point`, and the gradient there.
using Objective = std::function<double(const std::vector<double>& point, std::vector<double>& gradient)>;

// Multiplies with something near the inverse Hessian, in place; its scale does not matter. The nearer, the
// fewer iterations.
using Preconditioner = std::function<void(std::vector<double>& direction)>;

struct Minimum {
  std::vector<double> point;
  double value = 0;
  int iterations = 0;
  bool converged = false;  // no entry of the gradient is larger than the tolerance
};

// L-BFGS with ten pairs of differences and a line search by halving (Nocedal and Wright, "Numerical
// Optimization", algorithms 7.4 and 3.1). Ends early where rounding hides any further descent.
Minimum minimise(const Objective& objective, std::vector<double> start, double tolerance, int iterations,
                 const Preconditioner& precondition = nullptr);

}  // namespace retort
