#include "nn/torch_losses.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "base/error.h"

using namespace retort;

namespace {

using Loss = std::function<at::Tensor(const at::Tensor&)>;

at::Tensor random(at::IntArrayRef shape, uint64_t seed) {
  torch::manual_seed(seed);
  return torch::randn(shape, at::kDouble);
}

at::Tensor random_labels(int64_t frames, int64_t classes) {
  torch::manual_seed(9);
  return torch::randint(classes, {frames}, at::kLong);
}

at::Tensor gradient(const Loss& loss, const at::Tensor& at) {
  const at::Tensor x = at.detach().clone().requires_grad_();
  loss(x).backward();
  return x.grad();
}

// Central differences, value by value; x is f64.
at::Tensor measured_gradient(const Loss& loss, const at::Tensor& at) {
  constexpr double step = 1e-5;
  const at::Tensor x = at.detach().clone().contiguous();
  const at::Tensor slopes = torch::zeros_like(x);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& value = x.data_ptr<double>()[i];
    const double centre = value;
    value = centre + step;
    const double above = loss(x).item<double>();
    value = centre - step;
    const double below = loss(x).item<double>();
    value = centre;
    slopes.data_ptr<double>()[i] = (above - below) / (2 * step);
  }
  return slopes;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  return (a - b).abs().max().item<double>();
}

struct Distance {
  const char* name;
  FrameLoss (*loss)(const at::Tensor&, const at::Tensor&, const at::Tensor&);
};

const Distance distances[] = {
    {"l1", l1_distance}, {"squared", squared_distance}, {"cosine", cosine_dissimilarity}};

// Two frames' logits (2, 3) whose first class has probability one, or zero.
at::Tensor certain_logits(double first) {
  return torch::tensor({{first, 0.5, -1.0}, {first, 2.0, 1.0}});
}

}  // namespace

TEST_CASE("distances are the formulas, frame by frame") {
  const at::Tensor p = torch::tensor({{{1.0, -2.0}, {3.0, 4.0}}});
  const at::Tensor t = torch::tensor({{{1.0, 2.0}, {6.0, 8.0}}});
  CHECK(l1_distance(p, t).sum.item<double>() == Approx(4.0 / 2 + 7.0 / 2));
  CHECK(squared_distance(p, t).sum.item<double>() == Approx(16.0 / 2 + 25.0 / 2));
  const double cosine = -3 / std::sqrt(5.0) / std::sqrt(5.0);
  CHECK(cosine_dissimilarity(p, t).sum.item<double>() ==
        Approx(std::log1p(std::exp(-cosine)) + std::log1p(std::exp(-1.0))));
  for (const Distance& distance : distances) CHECK(distance.loss(p, t, {}).frames == 2);
}

TEST_CASE("gradients are the slopes of the losses") {
  const at::Tensor p = random({2, 3, 5}, 1);
  const at::Tensor t = random({2, 3, 5}, 2);
  const at::Tensor counted = torch::tensor({1, 1, 0, 1, 0, 1}).view({2, 3}).to(at::kBool);
  const at::Tensor student = random({6, 5}, 3);
  const at::Tensor teacher = random({6, 5}, 4);
  const at::Tensor labels = random_labels(6, 5);
  const auto check = [](const char* name, const Loss& loss, const at::Tensor& at) {
    INFO(name);
    CHECK(largest_difference(gradient(loss, at), measured_gradient(loss, at)) < 1e-8);
  };
  for (const Distance& distance : distances)
    check(
        distance.name, [&](const at::Tensor& x) { return distance.loss(x, t, counted).sum; }, p);
  check(
      "cross-entropy", [&](const at::Tensor& x) { return cross_entropy(x, labels).sum; }, student);
  check(
      "distillation", [&](const at::Tensor& x) { return distillation(x, teacher, 3).sum; }, student);
  check(
      "target class",
      [&](const at::Tensor& x) { return decoupled_distillation(x, teacher, labels, 3).target_class.sum; },
      student);
  check(
      "other classes",
      [&](const at::Tensor& x) { return decoupled_distillation(x, teacher, labels, 3).other_classes.sum; },
      student);
}

TEST_CASE("frames that are not counted change neither loss nor gradient") {
  const at::Tensor p = random({2, 4, 6}, 1);
  const at::Tensor t = random({2, 4, 6}, 2);
  const at::Tensor counted = torch::tensor({1, 1, 1, 1, 1, 1, 0, 0}).view({2, 4}).to(at::kBool);
  const at::Tensor tail = counted.logical_not().unsqueeze(2);
  for (const Distance& distance : distances) {
    INFO(distance.name);
    const FrameLoss whole = distance.loss(p, t, counted);
    CHECK(whole.frames == 6);
    const FrameLoss first = distance.loss(p.narrow(0, 0, 1), t.narrow(0, 0, 1), {});
    const FrameLoss second =
        distance.loss(p.narrow(0, 1, 1).narrow(1, 0, 2), t.narrow(0, 1, 1).narrow(1, 0, 2), {});
    CHECK(whole.sum.item<double>() == Approx((first.sum + second.sum).item<double>()).epsilon(1e-12));

    const auto loss = [&](const at::Tensor& target) {
      return [&, target](const at::Tensor& x) { return distance.loss(x, target, counted).sum; };
    };
    const at::Tensor far = p.masked_fill(tail, 1e30);
    CHECK(torch::equal(loss(t.masked_fill(tail, -1e30))(far), whole.sum));
    const at::Tensor slopes = gradient(loss(t.masked_fill(tail, -1e30)), far);
    CHECK(torch::equal(slopes, gradient(loss(t), p)));
    CHECK(slopes.masked_select(tail).eq(0).all().item<bool>());
  }
}

TEST_CASE("a vector of zeros has no direction, and no gradient that is not finite") {
  const at::Tensor zeros = torch::zeros({1, 2, 4});
  const at::Tensor t = torch::ones({1, 2, 4});
  for (const Distance& distance : distances) {
    INFO(distance.name);
    for (const at::Tensor& target : {t, zeros})
      CHECK(gradient([&](const at::Tensor& x) { return distance.loss(x, target, {}).sum; }, zeros)
                .isfinite()
                .all()
                .item<bool>());
  }
  CHECK(cosine_dissimilarity(zeros, t).sum.item<double>() == Approx(2 * std::log(2.0)));
}

TEST_CASE("distillation is the divergence of softened distributions, and zero for equal ones") {
  const at::Tensor student = random({4, 7}, 5) * 4;
  const at::Tensor teacher = random({4, 7}, 6) * 4;
  const double temperature = 2.5;
  const at::Tensor p = at::softmax(teacher / temperature, 1);
  const at::Tensor q = at::softmax(student / temperature, 1);
  const FrameLoss loss = distillation(student, teacher, temperature);
  CHECK(loss.frames == 4);
  CHECK(loss.sum.item<double>() ==
        Approx((p * (p / q).log()).sum().item<double>() * temperature * temperature));
  CHECK(distillation(teacher, teacher, temperature).sum.item<double>() == Approx(0).margin(1e-12));
}

TEST_CASE("distillation is the target class plus the other classes as often as the teacher means them") {
  const at::Tensor labels = random_labels(20, 9);
  for (const double spread : {1.0, 10.0}) {
    const at::Tensor student = random({20, 9}, 7) * spread;
    const at::Tensor teacher = random({20, 9}, 8) * spread;
    for (const double temperature : {1.0, 4.0}) {
      const at::Tensor p = at::softmax(teacher / temperature, 1);
      for (int64_t i = 0; i < labels.numel(); ++i) {
        const auto frame = [&](const at::Tensor& rows) { return rows.narrow(0, i, 1); };
        const double whole = distillation(frame(student), frame(teacher), temperature).sum.item<double>();
        const DecoupledLoss parts =
            decoupled_distillation(frame(student), frame(teacher), frame(labels), temperature);
        const double others = 1 - p[i][labels[i]].item<double>();
        CHECK(parts.target_class.sum.item<double>() + others * parts.other_classes.sum.item<double>() ==
              Approx(whole).epsilon(1e-6));
      }
    }
  }
}

TEST_CASE("decoupled distillation stays finite where a probability is one or zero") {
  const at::Tensor labels = torch::zeros({2}, at::kLong);
  const std::vector<at::Tensor> cases = {certain_logits(1e4), certain_logits(-1e4), certain_logits(0.0)};
  for (const at::Tensor& student : cases) {
    for (const at::Tensor& teacher : cases) {
      for (const double temperature : {1.0, 4.0}) {
        const auto both = [&](const at::Tensor& x) {
          const DecoupledLoss parts = decoupled_distillation(x, teacher, labels, temperature);
          return parts.target_class.sum + parts.other_classes.sum;
        };
        CHECK(both(student).isfinite().item<bool>());
        const at::Tensor slopes = gradient(both, student);
        CHECK(slopes.isfinite().all().item<bool>());
        CHECK(slopes.abs().max().item<double>() < 10);  // each term's is at most T times a probability
      }
    }
  }
  // A student that is sure of what the teacher excludes pays the distance in logits.
  const DecoupledLoss wrong = decoupled_distillation(certain_logits(1e4), certain_logits(-1e4), labels, 1);
  CHECK(wrong.target_class.sum.item<double>() == Approx(2e4).epsilon(1e-3));
  CHECK(wrong.other_classes.sum.item<double>() == Approx(0).margin(1e-6));
}

TEST_CASE("the label's own logit is no part of the other classes") {
  const at::Tensor labels = random_labels(5, 6);
  const at::Tensor student = random({5, 6}, 11);
  const at::Tensor teacher = random({5, 6}, 12);
  const auto others = [&](const at::Tensor& x) {
    return decoupled_distillation(x, teacher, labels, 2).other_classes.sum;
  };
  const at::Tensor moved = student.scatter_add(1, labels.unsqueeze(1), torch::full({5, 1}, 3.0, at::kDouble));
  CHECK(others(moved).item<double>() == Approx(others(student).item<double>()).epsilon(1e-12));
  CHECK(gradient(others, student).gather(1, labels.unsqueeze(1)).eq(0).all().item<bool>());
}

TEST_CASE("losses of bf16 tensors are taken in f32, under autocast too") {
  const at::Tensor p = random({2, 6, 32}, 1).to(at::kBFloat16);
  const at::Tensor t = random({2, 6, 32}, 2).to(at::kBFloat16);
  const at::Tensor student = random({6, 32}, 3).to(at::kBFloat16);
  const at::Tensor teacher = random({6, 32}, 4).to(at::kBFloat16);
  const at::Tensor labels = random_labels(6, 32);
  const auto losses = [&](const auto& as) {
    std::vector<at::Tensor> sums;
    for (const Distance& distance : distances) sums.push_back(distance.loss(as(p), as(t), {}).sum);
    sums.push_back(cross_entropy(as(student), labels).sum);
    sums.push_back(distillation(as(student), as(teacher), 2).sum);
    const DecoupledLoss parts = decoupled_distillation(as(student), as(teacher), labels, 2);
    sums.push_back(parts.target_class.sum);
    sums.push_back(parts.other_classes.sum);
    sums.push_back(codebook_logits(as(student), as(teacher), 1));
    return sums;
  };
  const auto expected = losses([](const at::Tensor& x) { return x.to(at::kFloat); });
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto found = losses([](const at::Tensor& x) { return x; });
  at::autocast::set_autocast_enabled(at::kCPU, false);
  for (size_t i = 0; i < found.size(); ++i) {
    INFO(i);
    CHECK(found[i].scalar_type() == at::kFloat);
    CHECK(torch::equal(found[i], expected[i]));
  }
}

TEST_CASE("codebook logits are scaled squared distances, far from the origin as well") {
  const at::Tensor offset = 1000 * random({1, 8}, 20);
  const at::Tensor frames = (random({7, 8}, 21) + offset).to(at::kFloat);
  const at::Tensor centroids = (random({5, 8}, 22) + offset).to(at::kFloat);
  const at::Tensor expected =
      -(frames.unsqueeze(1) - centroids.unsqueeze(0)).to(at::kDouble).square().sum(-1) / 4;
  const at::Tensor logits = codebook_logits(frames, centroids, 4);
  CHECK(logits.scalar_type() == at::kFloat);
  CHECK(largest_difference(logits.to(at::kDouble), expected) < 1e-4 * expected.abs().max().item<double>());
  CHECK(torch::equal(logits.argmax(1), expected.argmax(1)));
  CHECK(codebook_logits(centroids, centroids, 4).diagonal().le(0).all().item<bool>());
}

TEST_CASE("what does not fit is refused") {
  const at::Tensor x = torch::zeros({1, 3, 4});
  for (const Distance& distance : distances) {
    CHECK_THROWS_AS(distance.loss(x, torch::zeros({1, 1, 4}), {}), Error);
    CHECK_THROWS_AS(distance.loss(x, x, torch::ones({3}, at::kBool)), Error);
  }
  const at::Tensor logits = torch::zeros({3, 4});
  const at::Tensor labels = torch::zeros({3}, at::kLong);
  CHECK_THROWS_AS(distillation(logits, torch::zeros({1, 4}), 1), Error);
  CHECK_THROWS_AS(distillation(logits, logits, 0), Error);
  CHECK_THROWS_AS(decoupled_distillation(logits, logits, labels, -1), Error);
  CHECK_THROWS_AS(decoupled_distillation(logits, torch::zeros({1, 4}), labels, 1), Error);
  CHECK_THROWS_AS(codebook_logits(logits, torch::zeros({2, 3}), 1), Error);
  CHECK_THROWS_AS(codebook_logits(logits, logits, 0), Error);
}
