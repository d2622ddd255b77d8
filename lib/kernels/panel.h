// How matrices are laid out for products: in panels of sixteen columns.
#pragma once

#include <cstdint>

namespace retort {

// A panel is (length, 16): the sixteen columns' first values, then their second ones, and so on.
inline constexpr int64_t panel_width = 16;

constexpr int64_t panels_of(int64_t columns) {
  return (columns + panel_width - 1) / panel_width;
}

}  // namespace retort
