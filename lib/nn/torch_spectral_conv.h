// Wide convolutions over time as products of spectra.
#pragma once

#include <ATen/ATen.h>

namespace retort {

// Whether spectra are faster than at::conv1d for kernels like this weight (channels, channels in per group,
// kernel): wide ones on a CPU, where LibTorch copies the input once per tap.
bool spectra_are_faster(const at::Tensor& weight);

// What convolve_spectra() wants of a weight (channels, channels in per group, kernel): (bins, groups,
// channels in, channels out per group), complex.
at::Tensor kernel_spectra(const at::Tensor& weight, int64_t groups);

// Output t of a kernel of `kernel` taps sees inputs t - kernel / 2 to t - kernel / 2 + kernel - 1, zero
// outside; the spectra are those of kernel_spectra(). (batch, channels, frames) to as many frames, in the
// type of x. Overlap-save (Oppenheim and Schafer, Discrete-Time Signal Processing, section 8.7.3), with
// gradient.
at::Tensor convolve_spectra(const at::Tensor& x, const at::Tensor& spectra, int64_t kernel);

}  // namespace retort
