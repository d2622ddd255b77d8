// Products by a CPU's tile unit, or by its emulation.
#pragma once

#include "kernels/amx_tiles.h"
#include "kernels/product_rows.h"
#include "kernels/quantised_rows.h"

namespace retort {

// As multiply() of product.h, in bf16.
template <class Unit>
RETORT_INLINE void multiply_by_unit(const Panels& matrix, const Product& product) {
  static thread_local std::vector<uint16_t> rounded;
  const ConfiguredUnit<Unit> unit;
  multiply_rounded<AmxBf16Tile<Unit, 2>, AmxBf16Tile<Unit, 1>>(matrix, product, amx_rows_behind, rounded);
}

// As that of quantised_product.h.
template <class Unit>
RETORT_INLINE void multiply_by_unit(const QuantisedMatrix& matrix, const Product& product) {
  static thread_local QuantisedFrames frames;
  const ConfiguredUnit<Unit> unit;
  multiply_quantised<AmxInt8Tile<Unit, 2>, AmxInt8Tile<Unit, 1>>(matrix, product, amx_rows_behind, frames);
}

}  // namespace retort
