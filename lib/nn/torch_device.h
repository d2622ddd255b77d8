// Where LibTorch computes, and with how many threads.
#pragma once

#include <ATen/Parallel.h>
#include <c10/core/Device.h>

#include <string>

namespace retort {

// "cpu", "cuda", "cuda:1"; an Error if this build or machine has no such device. "cuda" is the GPU of this
// number, or the only one that the process sees.
at::Device parse_device(const std::string& text, int local_rank = 0);

// Keeps LibTorch's operators on the thread that calls them, for code that gives each thread work of its own.
class OneThreadPerOperator {
 public:
  OneThreadPerOperator() { at::set_num_threads(1); }
  ~OneThreadPerOperator() { at::set_num_threads(before_); }
  OneThreadPerOperator(const OneThreadPerOperator&) = delete;
  OneThreadPerOperator& operator=(const OneThreadPerOperator&) = delete;

 private:
  const int before_ = at::get_num_threads();
};

}  // namespace retort
