#include "store/kaldi_value.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/error.h"

namespace retort {
namespace {

using Traits = std::streambuf::traits_type;

constexpr std::size_t chunk_bytes = 1 << 20;  // read before more memory is asked for
constexpr std::size_t longest_key = 1 << 12;
constexpr std::size_t longest_word = 128;              // of a number in text
static_assert(std::numeric_limits<float>::is_iec559);  // doubles beyond f32 become infinite
constexpr uint64_t most_values = uint64_t{1} << 40;

bool is_blank(int c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

// Reads one value from bytes that may end, or lie, anywhere.
class ValueReader {
 public:
  explicit ValueReader(std::streambuf& bytes) : bytes_(bytes) {}

  KaldiValue read() {
    if (bytes_.sgetc() != 0) return text();
    bytes_.sbumpc();
    if (bytes_.sbumpc() != 'B') fail("a zero byte is not followed by B, so this is no Kaldi value");
    return bytes_.sgetc() == sizeof(int32_t) ? integers() : binary();
  }

 private:
  // ---- binary

  KaldiValue binary() {
    const std::string token = read_token();
    KaldiValue value;
    if (token == "FV" || token == "DV") {
      value.kind = KaldiValue::Kind::vector;
      value.matrix = token == "FV" ? vector_of<float>() : vector_of<double>();
    } else if (token == "FM") {
      value.matrix = matrix_of<float>();
    } else if (token == "DM") {
      value.matrix = matrix_of<double>();
    } else if (token == "CM" || token == "CM2" || token == "CM3") {
      value.matrix = compressed(token);
    } else {
      fail(
          "holds a value of type {}; matrices (FM DM CM CM2 CM3), vectors (FV DV) and vectors of int32 are "
          "read",
          one_line(token));
    }
    return value;
  }

  std::string read_token() {
    constexpr std::size_t longest_token = 16;
    std::string token;
    for (int c = bytes_.sbumpc(); c != ' '; c = bytes_.sbumpc()) {
      if (c == Traits::eof()) fail("is cut short");
      token += Traits::to_char_type(c);
      if (token.size() > longest_token) break;
    }
    return token;
  }

  int32_t read_size() {
    if (const int bytes = bytes_.sbumpc(); bytes != sizeof(int32_t)) {
      if (bytes == Traits::eof()) fail("is cut short");
      fail("a size of {} bytes where one of 4 was expected", bytes);
    }
    int32_t size = 0;
    read_exactly(&size, sizeof size);
    return size;
  }

  void read_exactly(void* out, std::size_t size) {
    if (bytes_.sgetn(static_cast<char*>(out), static_cast<std::streamsize>(size)) !=
        static_cast<std::streamsize>(size))
      fail("is cut short");
  }

  // `count` items, with memory for no more than are there (and a chunk).
  template <class T>
  std::vector<T> read_items(uint64_t count) {
    if (count > most_values) fail("states {} values, which cannot be", count);
    std::vector<T> items;
    while (items.size() < count) {
      const std::size_t had = items.size();
      const auto more = static_cast<std::size_t>(std::min<uint64_t>(count - had, chunk_bytes / sizeof(T)));
      items.resize(had + more);
      const std::streamsize got = bytes_.sgetn(reinterpret_cast<char*>(items.data() + had),
                                               static_cast<std::streamsize>(more * sizeof(T)));
      if (static_cast<std::size_t>(got) != more * sizeof(T))
        fail("is cut short ({} of {} bytes of values are there)",
             had * sizeof(T) + static_cast<std::size_t>(got), count * sizeof(T));
    }
    return items;
  }

  static void check_shape(int32_t rows, int32_t columns) {
    if (rows < 0 || columns < 0 || (rows > 0 && columns == 0))
      fail("states {} rows of {} values, which cannot be", rows, columns);
  }

  template <class T>
  Matrix floats(int32_t rows, int32_t columns) {
    const uint64_t count = static_cast<uint64_t>(rows) * static_cast<uint64_t>(columns);
    if constexpr (std::is_same_v<T, float>) return {rows, columns, read_items<float>(count)};
    const std::vector<T> values = read_items<T>(count);
    std::vector<float> rounded(values.size());
    std::transform(values.begin(), values.end(), rounded.begin(),
                   [](T value) { return static_cast<float>(value); });
    return {rows, columns, std::move(rounded)};
  }

  template <class T>
  Matrix matrix_of() {
    const int32_t rows = read_size();
    const int32_t columns = read_size();
    check_shape(rows, columns);
    return floats<T>(rows, columns);
  }

  template <class T>
  Matrix vector_of() {
    const int32_t size = read_size();
    if (size < 0) fail("states {} values, which cannot be", size);
    return size == 0 ? Matrix() : floats<T>(1, size);
  }

  struct CompressedHeader {
    float least = 0;
    float range = 0;
    int32_t rows = 0;
    int32_t columns = 0;
  };

  Matrix compressed(const std::string& token) {
    CompressedHeader header;
    read_exactly(&header, sizeof header);
    check_shape(header.rows, header.columns);
    if (header.columns == 0) skip_tail_of_empty();
    if (header.rows == 0 || header.columns == 0) return {};
    if (token == "CM") return with_percentiles(header);
    return token == "CM2" ? scaled<uint16_t>(header) : scaled<uint8_t>(header);
  }

  // Kaldi writes an empty CM with four zero bytes more than it reads.
  void skip_tail_of_empty() {
    for (int i = 0; i < 4 && bytes_.sgetc() == 0; ++i) bytes_.sbumpc();
  }

  // CM2 and CM3: row-major, steps of range / 65535 or range / 255. The arithmetic is Kaldi's, in floats.
  template <class T>
  Matrix scaled(const CompressedHeader& header) {
    const std::vector<T> codes =
        read_items<T>(static_cast<uint64_t>(header.rows) * static_cast<uint64_t>(header.columns));
    const auto step =
        static_cast<float>(static_cast<double>(header.range) * (1.0 / std::numeric_limits<T>::max()));
    std::vector<float> values(codes.size());
    std::transform(codes.begin(), codes.end(), values.begin(),
                   [&](T code) { return header.least + static_cast<float>(code) * step; });
    return {header.rows, header.columns, std::move(values)};
  }

  // CM: four percentiles per column, then a byte per value, column by column, which interpolates between
  // them.
  Matrix with_percentiles(const CompressedHeader& header) {
    const auto columns = static_cast<std::size_t>(header.columns);
    const auto rows = static_cast<std::size_t>(header.rows);
    const std::vector<uint16_t> percentiles = read_items<uint16_t>(4 * columns);
    const std::vector<uint8_t> codes = read_items<uint8_t>(static_cast<uint64_t>(rows) * columns);
    Matrix matrix(header.rows, header.columns);
    for (std::size_t column = 0; column < columns; ++column) {
      float p[4];
      for (std::size_t i = 0; i < 4; ++i)
        p[i] = header.least +
               header.range * 1.52590218966964e-05F * static_cast<float>(percentiles[4 * column + i]);
      for (std::size_t row = 0; row < rows; ++row)
        matrix.data()[row * columns + column] = between(p, codes[column * rows + row]);
    }
    return matrix;
  }

  static float between(const float (&p)[4], uint8_t code) {
    if (code <= 64) return static_cast<float>(p[0] + (p[1] - p[0]) * static_cast<float>(code) * (1 / 64.0));
    if (code <= 192)
      return static_cast<float>(p[1] + (p[2] - p[1]) * static_cast<float>(code - 64) * (1 / 128.0));
    return static_cast<float>(p[2] + (p[3] - p[2]) * static_cast<float>(code - 192) * (1 / 63.0));
  }

  // Each with its size, 4, before it.
  KaldiValue integers() {
    constexpr std::size_t item = 1 + sizeof(int32_t);
    const int32_t size = read_size();
    if (size < 0) fail("states {} labels, which cannot be", size);
    const std::vector<uint8_t> bytes = read_items<uint8_t>(static_cast<uint64_t>(size) * item);
    KaldiValue value;
    value.kind = KaldiValue::Kind::integers;
    value.integers.resize(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < value.integers.size(); ++i) {
      if (bytes[i * item] != sizeof(int32_t)) fail("value {} is no int32", i);
      std::memcpy(&value.integers[i], &bytes[i * item + 1], sizeof(int32_t));
    }
    return value;
  }

  // ---- text

  KaldiValue text() {
    while (bytes_.sgetc() == ' ' || bytes_.sgetc() == '\t') bytes_.sbumpc();
    if (bytes_.sgetc() != '[') return integer_line();
    bytes_.sbumpc();
    return bracketed();
  }

  // Numbers to the end of the line.
  KaldiValue integer_line() {
    KaldiValue value;
    value.kind = KaldiValue::Kind::integers;
    for (;;) {
      const int c = bytes_.sgetc();
      if (c == Traits::eof()) {
        if (value.integers.empty()) fail("is cut short");
        return value;  // of a file without its last newline
      }
      if (is_blank(c)) {
        bytes_.sbumpc();
        if (c == '\n') return value;
        continue;
      }
      const std::string word = read_word();
      int32_t number = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
      if (error != std::errc() || end != word.data() + word.size())
        fail("holds {} where a matrix, a vector or a list of int32 was expected", one_line(word));
      value.integers.push_back(number);
    }
  }

  // What follows a "[": rows ended by newlines or semicolons, up to a "]".
  KaldiValue bracketed() {
    KaldiValue value;
    value.kind = KaldiValue::Kind::vector;
    std::vector<float> values;
    int64_t rows = 0;
    std::size_t row_begin = 0;
    const auto end_row = [&] {
      const std::size_t width = values.size() - row_begin;
      if (width == 0) return;
      ++rows;
      if (width * static_cast<std::size_t>(rows) != values.size())
        fail("row {} has {} values, those before have {}", rows - 1, width,
             row_begin / static_cast<std::size_t>(rows - 1));
      row_begin = values.size();
    };
    for (;;) {
      const int c = bytes_.sgetc();
      if (c == Traits::eof()) fail("is cut short (no ] at its end)");
      if (c == ']') break;
      if (c == '\n' || c == ';') {
        value.kind = KaldiValue::Kind::matrix;
        end_row();
      }
      if (c == ';' || is_blank(c))
        bytes_.sbumpc();
      else
        values.push_back(parse_float(read_word()));
    }
    end_row();
    skip_line_end();
    if (rows == 0) value.kind = KaldiValue::Kind::matrix;
    const int64_t columns = rows == 0 ? 0 : static_cast<int64_t>(values.size()) / rows;
    value.matrix = Matrix(rows, columns, std::move(values));
    return value;
  }

  // The "]" and the line end after it.
  void skip_line_end() {
    bytes_.sbumpc();
    if (bytes_.sgetc() == '\r') bytes_.sbumpc();
    if (bytes_.sgetc() == '\n') bytes_.sbumpc();
  }

  std::string read_word() {
    std::string word;
    for (int c = bytes_.sgetc(); c != Traits::eof() && !is_blank(c) && c != ']' && c != ';';
         c = bytes_.snextc()) {
      word += Traits::to_char_type(c);
      if (word.size() > longest_word) fail("holds {}, which is no number", one_line(word));
    }
    return word;
  }

  // "1", "-0.5", "+1e-3", "nan", "-inf", as in C.
  static float parse_float(const std::string& word) {
    float number = 0;
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, number);
    if (error == std::errc() && stop == end) return number;
    // A plus sign, or what is too small or too large for a float.
    char* last = nullptr;
    errno = 0;
    number = std::strtof(word.c_str(), &last);
    if (word.empty() || last != end) fail("holds {}, which is no number", one_line(word));
    if (errno == ERANGE && std::isinf(number)) fail("holds {}, which is beyond f32", word);
    return number;
  }

  std::streambuf& bytes_;
};

void append_size(std::string& bytes, int64_t size) {
  const auto narrow = static_cast<int32_t>(size);
  bytes += '\x04';
  bytes.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
}

}  // namespace

KaldiValue read_kaldi_value(std::streambuf& bytes) {
  return ValueReader(bytes).read();
}

std::string KaldiArchive::read_key() {
  std::string key;
  int c = bytes_.sgetc();
  while (is_blank(c)) c = bytes_.snextc();
  for (; c != Traits::eof() && !is_blank(c); c = bytes_.snextc()) {
    key += Traits::to_char_type(c);
    if (key.size() > longest_key || std::iscntrl(c) != 0)
      fail("entry {} has no key but {}; this is no Kaldi archive, or it is damaged before this", entries_,
           one_line(key));
  }
  if (!key.empty() && c == Traits::eof()) fail("{}: is cut short after its key", one_line(key));
  return key;
}

std::optional<KaldiEntry> KaldiArchive::next() {
  KaldiEntry entry;
  entry.key = read_key();
  if (entry.key.empty()) return std::nullopt;
  // A newline stays: it is the end of an empty list of labels.
  if (const int c = bytes_.sgetc(); c == ' ' || c == '\t') bytes_.sbumpc();
  try {
    entry.value = read_kaldi_value(bytes_);
  } catch (const Error& error) {
    fail("{}: {}", one_line(entry.key), error.what());
  }
  ++entries_;
  return entry;
}

std::string kaldi_bytes(const Matrix& matrix, bool binary) {
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  if (matrix.rows() > most || matrix.columns() > most)
    fail("{} x {} values are more than a Kaldi matrix can hold", matrix.rows(), matrix.columns());
  std::string bytes;
  if (binary) {
    // Kaldi takes 0 x 0 alone for empty.
    bytes.assign("\0BFM ", 5);
    append_size(bytes, matrix.rows());
    append_size(bytes, matrix.rows() == 0 ? 0 : matrix.columns());
    bytes.append(reinterpret_cast<const char*>(matrix.data()), matrix.values().size_bytes());
    return bytes;
  }
  bytes.assign(" [");
  for (int64_t row = 0; row < matrix.rows(); ++row)
    // With a decimal point always (#): kaldiio takes "1" for an integer, and all that follow it too.
    fmt::format_to(std::back_inserter(bytes), "\n  {:#}", fmt::join(matrix.row(row), " "));
  bytes.append(" ]\n");
  return bytes;
}

std::string kaldi_bytes(std::span<const int32_t> integers, bool binary) {
  if (integers.size() > static_cast<std::size_t>(std::numeric_limits<int32_t>::max()))
    fail("{} labels are more than a Kaldi vector can hold", integers.size());
  if (!binary) return fmt::format("{}\n", fmt::join(integers, " "));
  std::string bytes("\0B", 2);
  bytes.reserve(2 + 5 * (integers.size() + 1));
  append_size(bytes, static_cast<int64_t>(integers.size()));
  for (const int32_t integer : integers) append_size(bytes, integer);
  return bytes;
}

}  // namespace retort
