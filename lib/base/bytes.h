// Values as the bytes that they are in memory, one after the other.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace retort {

template <class T>
void append_values(const std::vector<T>& values, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Takes as many values as `values` has from the front of `bytes`. Too few are an Error that starts with
// `where`.
template <class T>
void take_values(std::string_view& bytes, const std::string& where, std::vector<T>& values) {
  const std::size_t size = values.size() * sizeof(T);
  if (bytes.size() < size) fail("{}: holds fewer values than expected", where);
  if (size > 0) std::memcpy(values.data(), bytes.data(), size);
  bytes.remove_prefix(size);
}

}  // namespace retort
