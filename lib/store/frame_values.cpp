#include "store/frame_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "base/error.h"
#include "store/half.h"
#include "store/product_codebook.h"

namespace retort {
namespace {

constexpr float largest_code = 127;  // of i8, which is symmetric: -128 is not used

std::vector<std::byte> bytes_of(const void* values, std::size_t count) {
  std::vector<std::byte> bytes(count);
  if (count > 0) std::memcpy(bytes.data(), values, count);
  return bytes;
}

// f16 refuses what is beyond its range.
std::vector<std::byte> to_16_bit(const std::string& id, std::span<const float> values,
                                 const std::string& dtype) {
  std::vector<uint16_t> bits(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    bits[i] = dtype == "f16" ? f16_from_f32(values[i]) : bf16_from_f32(values[i]);
    if (dtype == "f16" && (bits[i] & 0x7fff) == 0x7c00)
      fail("{}: value {} is beyond f16; use --dtype f32 or bf16", id, values[i]);
  }
  return bytes_of(bits.data(), bits.size() * sizeof(uint16_t));
}

// A frame's largest value becomes 127 or -127, so a value is off by at most 1/254 of that.
void quantise(std::span<const float> frame, std::byte* out) {
  float largest = 0;
  for (const float value : frame) largest = std::max(largest, std::abs(value));
  const float scale = largest / largest_code;
  for (std::size_t j = 0; j < frame.size(); ++j) {
    const float code = scale > 0 ? std::nearbyint(frame[j] / scale) : 0;
    out[j] = static_cast<std::byte>(static_cast<int8_t>(std::clamp(code, -largest_code, largest_code)));
  }
  std::memcpy(out + frame.size(), &scale, sizeof(scale));
}

void dequantise(const std::byte* frame, int64_t dim, float* out) {
  float scale = 0;
  std::memcpy(&scale, frame + dim, sizeof(scale));
  for (int64_t j = 0; j < dim; ++j) out[j] = static_cast<float>(static_cast<int8_t>(frame[j])) * scale;
}

template <class T, class Convert>
void decode(const std::byte* bytes, int64_t count, float* out, const Convert& convert) {
  const auto* values = reinterpret_cast<const T*>(bytes);
  std::transform(values, values + count, out, convert);
}

}  // namespace

std::string part_descr(const StoreInfo& info) {
  if (info.dtype == "f32") return "<f4";
  if (info.dtype == "f16") return "<f2";
  if (info.dtype == "i32") return "<i4";
  if (info.dtype == "i8") return "|i1";
  if (info.dtype == "pq") return "|u1";
  return "<u2";
}

int64_t part_columns(const StoreInfo& info) {
  if (info.dtype == "pq") return info.subspaces;
  return info.dtype == "i8" ? info.dim + static_cast<int64_t>(sizeof(float)) : info.dim;
}

int64_t frame_bytes(const StoreInfo& info) {
  if (info.dtype == "i8" || info.dtype == "pq") return part_columns(info);
  return info.dim * (info.dtype == "f32" ? 4 : 2);
}

std::vector<std::byte> encode_frames(const StoreInfo& info, const std::string& id, const Matrix& frames) {
  if (info.dtype == "f32") return bytes_of(frames.data(), frames.values().size_bytes());
  if (info.dtype != "i8" && info.dtype != "pq") return to_16_bit(id, frames.values(), info.dtype);
  const auto width = static_cast<std::size_t>(part_columns(info));
  std::vector<std::byte> bytes(static_cast<std::size_t>(frames.rows()) * width);
  for (int64_t i = 0; i < frames.rows(); ++i) {
    std::byte* out = bytes.data() + static_cast<std::size_t>(i) * width;
    if (info.dtype == "pq")
      info.product->encode(frames.row(i).data(), out);
    else
      quantise(frames.row(i), out);
  }
  return bytes;
}

void decode_frames(const StoreInfo& info, const std::byte* bytes, int64_t frames, float* out) {
  const int64_t values = frames * info.dim;
  if (info.dtype == "f32") std::copy_n(reinterpret_cast<const float*>(bytes), values, out);
  if (info.dtype == "f16") decode<uint16_t>(bytes, values, out, f32_from_f16);
  if (info.dtype == "bf16") decode<uint16_t>(bytes, values, out, f32_from_bf16);
  if (info.dtype == "u16")
    decode<uint16_t>(bytes, values, out, [](uint16_t x) { return static_cast<float>(x); });
  if (info.dtype == "i32")
    decode<int32_t>(bytes, values, out, [](int32_t x) { return static_cast<float>(x); });
  if (info.dtype == "i8")
    for (int64_t i = 0; i < frames; ++i)
      dequantise(bytes + i * part_columns(info), info.dim, out + i * info.dim);
  if (info.dtype == "pq")
    for (int64_t i = 0; i < frames; ++i)
      if (!info.product->decode(bytes + i * part_columns(info), out + i * info.dim))
        fail("a stored frame has a code that is not below {}; check the store (retort-inspect --check)",
             info.clusters);
}

}  // namespace retort
