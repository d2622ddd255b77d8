#include "store/npy.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/scanner.h"
#include "store/half.h"

namespace retort {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr std::size_t largest_header = 1 << 20;

// Reads the Python dictionary of a header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& where) : scanner_(text, " \n"), where_(where) {}

  NpyHeader parse() {
    NpyHeader header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!scanner_.accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        header.descr = quoted();
        descr = true;
      } else if (key == "fortran_order" && !order) {
        header.fortran_order = boolean();
        order = true;
      } else if (key == "shape" && !shape) {
        header.shape = tuple();
        shape = true;
      } else {
        wrong();
      }
      if (!scanner_.accept(',') && scanner_.peek() != '}') wrong();
    }
    if (!descr || !order || !shape) wrong();
    return header;
  }

 private:
  [[noreturn]] void wrong() const { fail("{}: the .npy header cannot be understood", where_); }

  void expect(char wanted) {
    if (!scanner_.accept(wanted)) wrong();
  }
  std::string quoted() {
    const char quote = scanner_.peek();
    std::string_view text;
    if (quote != '\'' && quote != '"') wrong();
    scanner_.accept(quote);
    if (!scanner_.accept_until(quote, text)) wrong();
    return std::string(text);
  }
  bool boolean() {
    if (scanner_.accept("True")) return true;
    if (scanner_.accept("False")) return false;
    wrong();
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect('(');
    while (!scanner_.accept(')')) {
      int64_t value = 0;
      if (!scanner_.accept_number(value) || value < 0) wrong();
      values.push_back(value);
      if (!scanner_.accept(',') && scanner_.peek() != ')') wrong();
    }
    return values;
  }

  Scanner scanner_;
  const std::string& where_;
};

template <class T>
T value_at(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

float as_float(const std::string& descr, const std::byte* data, int64_t index) {
  if (descr == "<f4") return value_at<float>(data, index);
  if (descr == "<f8") return static_cast<float>(value_at<double>(data, index));
  if (descr == "<f2") return f32_from_f16(value_at<uint16_t>(data, index));
  if (descr == "<i8") return static_cast<float>(value_at<int64_t>(data, index));
  if (descr == "<i4") return static_cast<float>(value_at<int32_t>(data, index));
  if (descr == "<i2") return static_cast<float>(value_at<int16_t>(data, index));
  if (descr == "<u8") return static_cast<float>(value_at<uint64_t>(data, index));
  if (descr == "<u4") return static_cast<float>(value_at<uint32_t>(data, index));
  if (descr == "<u2") return static_cast<float>(value_at<uint16_t>(data, index));
  if (descr == "|i1") return static_cast<float>(value_at<int8_t>(data, index));
  return static_cast<float>(value_at<uint8_t>(data, index));
}

}  // namespace

int64_t NpyHeader::count() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

std::size_t NpyHeader::item_size() const {
  return static_cast<std::size_t>(static_cast<unsigned char>(descr.back()) - '0');
}

NpyHeader parse_npy_header(std::string_view bytes, const std::string& where) {
  if (bytes.size() < 12 || !bytes.starts_with(magic)) fail("{}: is no .npy file", where);
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) fail("{}: .npy version {} is not known (1 to 3)", where, version);
  uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, version == 1 ? 2 : 4);
  const std::size_t begin = version == 1 ? 10 : 12;
  if (length > largest_header || begin + length > bytes.size())
    fail("{}: the .npy header is cut short", where);
  NpyHeader header = HeaderParser(bytes.substr(begin, length), where).parse();
  header.data_offset = begin + length;
  static constexpr std::string_view known[] = {"<f4", "<f8", "<f2", "<i8", "<i4", "<i2",
                                               "|i1", "<u8", "<u4", "<u2", "|u1"};
  if (header.descr.starts_with('>'))
    fail("{}: values of type {} are big-endian; save them as the machine's own (array.astype('<{}'))", where,
         header.descr, header.descr.substr(1));
  if (std::find(std::begin(known), std::end(known), header.descr) == std::end(known))
    fail("{}: values of type {} are not supported ({})", where, one_line(header.descr),
         fmt::join(known, " "));
  uint64_t bytes_needed = header.item_size();
  for (const int64_t size : header.shape)
    if (__builtin_mul_overflow(bytes_needed, static_cast<uint64_t>(size), &bytes_needed))
      fail("{}: the array's shape is impossible", where);
  return header;
}

std::string npy_header(const std::string& descr, const std::vector<int64_t>& shape) {
  std::string dims;
  for (std::size_t i = 0; i < shape.size(); ++i) dims += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  if (shape.size() == 1) dims += ",";
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, dims);
  // As NumPy does, leave room for the first dimension to grow to 21 digits; then pad to a multiple of 64 with
  // the newline.
  const std::size_t first_digits = shape.empty() ? 0 : fmt::formatted_size("{}", shape[0]);
  dict.append(21 - std::min<std::size_t>(21, first_digits), ' ');
  constexpr std::size_t preamble = 10;
  const std::size_t total = (preamble + dict.size() + 1 + 63) / 64 * 64;
  dict.append(total - preamble - dict.size() - 1, ' ');
  dict += '\n';
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(dict.size() & 255), static_cast<char>(dict.size() >> 8)};
  return header + dict;
}

NpyFile::NpyFile(const std::filesystem::path& path) : name_(path.string()), file_(path) {
  header_ = parse_npy_header({reinterpret_cast<const char*>(file_.data()), file_.size()}, name_);
  const std::size_t wanted = static_cast<std::size_t>(header_.count()) * header_.item_size();
  if (file_.size() - header_.data_offset < wanted)
    fail("{}: is cut short ({} bytes of values, {} expected)", name_, file_.size() - header_.data_offset,
         wanted);
  if (file_.size() - header_.data_offset > wanted)
    fail("{}: {} bytes follow the array", name_, file_.size() - header_.data_offset - wanted);
  if (header_.shape.empty() || header_.shape.size() > 2)
    fail("{}: has {} dimensions, 1 or 2 were expected", name_, header_.shape.size());
}

int64_t NpyFile::rows() const {
  return header_.shape[0];
}
int64_t NpyFile::columns() const {
  return header_.shape.size() == 2 ? header_.shape[1] : 1;
}

void NpyFile::read_rows(int64_t first, int64_t count, float* out) const {
  if (first < 0 || count < 0 || first + count > rows())
    fail("{}: rows {} to {} were asked of {}", name_, first, first + count, rows());
  const int64_t width = columns();
  if (count * width == 0) return;  // `out` may be null
  if (header_.descr == "<f4" && !header_.fortran_order) {
    std::memcpy(out, data() + static_cast<std::size_t>(first * width) * sizeof(float),
                static_cast<std::size_t>(count * width) * sizeof(float));
    return;
  }
  for (int64_t row = 0; row < count; ++row)
    for (int64_t column = 0; column < width; ++column) {
      const int64_t index =
          header_.fortran_order ? column * rows() + first + row : (first + row) * width + column;
      out[row * width + column] = as_float(header_.descr, data(), index);
    }
}

void NpyFile::forget_rows(int64_t first, int64_t count) const {
  if (header_.fortran_order) return;
  const auto width = static_cast<std::size_t>(columns()) * header_.item_size();
  forget(static_cast<std::size_t>(first) * width, static_cast<std::size_t>(count) * width);
}

Matrix read_npy_matrix(const std::filesystem::path& path) {
  const NpyFile file(path);
  Matrix matrix(file.rows(), file.columns());
  file.read_rows(0, file.rows(), matrix.data());
  return matrix;
}

void write_npy_matrix(const std::filesystem::path& path, const Matrix& matrix) {
  AtomicFile file(path);
  file.write(npy_header("<f4", {matrix.rows(), matrix.columns()}));
  file.write(matrix.data(), static_cast<std::size_t>(matrix.rows() * matrix.columns()) * sizeof(float));
  file.commit();
}

}  // namespace retort
