// What norms add to variances where fairseq and transformers do not ask the config, but take PyTorch's
// default.
#pragma once

namespace retort {

inline constexpr double conv_norm_eps = 1e-5;     // norms of the conv stack
inline constexpr double batch_norm_eps = 1e-5;    // BatchNorm before a positional convolution
inline constexpr double stacked_norm_eps = 1e-5;  // norms between data2vec's positional convolutions

}  // namespace retort
