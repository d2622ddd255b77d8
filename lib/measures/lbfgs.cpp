#include "measures/lbfgs.h"

#include <cmath>
#include <cstddef>
#include <deque>

namespace retort {
namespace {

using Vector = std::vector<double>;

constexpr std::size_t remembered = 10;
constexpr double sufficient = 1e-4;  // share of the descent promised by the slope
constexpr int most_halvings = 30;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// a + scale * b
Vector add(const Vector& a, double scale, const Vector& b) {
  Vector sum(a);
  for (std::size_t i = 0; i < a.size(); ++i) sum[i] += scale * b[i];
  return sum;
}

double largest(const Vector& values) {
  double most = 0;
  for (const double value : values) most = std::fmax(most, std::fabs(value));
  return most;
}

// How point and gradient changed in a step.
struct Change {
  Vector point, gradient;
  double product = 0;  // of the two
};

// The negative gradient times the inverse Hessian that the preconditioner and the changes tell of.
Vector descent(const Vector& gradient, const std::deque<Change>& changes,
               const Preconditioner& precondition) {
  Vector direction = add(Vector(gradient.size()), -1, gradient);
  Vector shares;
  for (std::size_t i = changes.size(); i-- > 0;) {
    shares.push_back(dot(changes[i].point, direction) / changes[i].product);
    direction = add(direction, -shares.back(), changes[i].gradient);
  }
  if (precondition) precondition(direction);
  if (!changes.empty()) {
    Vector gradient_change = changes.back().gradient;
    if (precondition) precondition(gradient_change);
    const double scale = changes.back().product / dot(changes.back().gradient, gradient_change);
    for (double& value : direction) value *= scale;
  }
  for (const Change& change : changes) {
    const double share = dot(change.gradient, direction) / change.product;
    direction = add(direction, shares.back() - share, change.point);
    shares.pop_back();
  }
  return direction;
}

}  // namespace

Minimum minimise(const Objective& objective, std::vector<double> start, double tolerance, int iterations,
                 const Preconditioner& precondition) {
  Minimum best{std::move(start)};
  Vector gradient(best.point.size()), next_gradient(best.point.size());
  best.value = objective(best.point, gradient);
  std::deque<Change> changes;
  for (; best.iterations < iterations; ++best.iterations) {
    best.converged = largest(gradient) <= tolerance;
    if (best.converged) break;
    const Vector direction = descent(gradient, changes, precondition);
    const double slope = dot(gradient, direction);
    double step = changes.empty() ? 1 / std::fmax(1.0, std::sqrt(dot(direction, direction))) : 1;
    Vector point;
    double value = 0;
    int halvings = 0;
    for (; halvings < most_halvings; ++halvings, step /= 2) {
      point = add(best.point, step, direction);
      value = objective(point, next_gradient);
      if (value <= best.value + sufficient * step * slope) break;
    }
    if (halvings == most_halvings) break;
    Change change{add(point, -1, best.point), add(next_gradient, -1, gradient)};
    change.product = dot(change.point, change.gradient);
    if (change.product > 0) changes.push_back(std::move(change));
    if (changes.size() > remembered) changes.pop_front();
    best.point = std::move(point);
    best.value = value;
    gradient.swap(next_gradient);
  }
  return best;
}

}  // namespace retort
