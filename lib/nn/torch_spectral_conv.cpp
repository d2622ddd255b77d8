#include "nn/torch_spectral_conv.h"

namespace retort {
namespace {

constexpr int64_t narrowest_kernel = 32;

// Samples of a transform: the power of two that leaves at least half of a block as outputs.
int64_t block_length(int64_t kernel) {
  int64_t length = 1;
  while (length < 2 * kernel) length *= 2;
  return length;
}

}  // namespace

bool spectra_are_faster(const at::Tensor& weight) {
  return weight.device().is_cpu() && weight.size(2) >= narrowest_kernel;
}

at::Tensor kernel_spectra(const at::Tensor& weight, int64_t groups) {
  const int64_t outputs = weight.size(0) / groups;
  const at::Tensor spectra = at::fft_rfft(weight, block_length(weight.size(2)), /*dim=*/2);
  return spectra.view({groups, outputs, weight.size(1), -1}).permute({3, 0, 2, 1}).contiguous();
}

at::Tensor convolve_spectra(const at::Tensor& x, const at::Tensor& spectra, int64_t kernel) {
  const int64_t batch = x.size(0), frames = x.size(2);
  const int64_t bins = spectra.size(0), groups = spectra.size(1);
  const int64_t length = block_length(kernel);
  const int64_t step = length - kernel + 1;  // outputs of a block that no sample wraps round into
  const int64_t blocks = (frames + step - 1) / step;
  const int64_t before = kernel / 2;

  const at::Tensor padded = at::constant_pad_nd(x.to(at::toRealValueType(spectra.scalar_type())),
                                                {before, (blocks - 1) * step + length - before - frames});
  const at::Tensor inputs = at::fft_rfft(padded.unfold(2, length, step), length, /*dim=*/3)
                                .view({batch, groups, spectra.size(2), blocks, bins})
                                .permute({4, 1, 0, 3, 2})
                                .reshape({bins * groups, batch * blocks, spectra.size(2)});
  // A sum of products with x to the right of the kernel's middle is a product with the conjugate of the
  // kernel's spectrum, of which the inputs' is less to write.
  const at::Tensor products = at::bmm(inputs.conj(), spectra.flatten(0, 1))
                                  .conj()
                                  .view({bins, groups, batch, blocks, spectra.size(3)})
                                  .permute({2, 1, 4, 3, 0});
  return at::fft_irfft(products, length, /*dim=*/4)
      .narrow(4, 0, step)
      .reshape({batch, groups * spectra.size(3), blocks * step})
      .narrow(2, 0, frames)
      .to(x.scalar_type());
}

}  // namespace retort
