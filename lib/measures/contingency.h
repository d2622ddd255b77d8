// Tables of frames by two labels, and the information in them.
#pragma once

#include <cstdint>
#include <vector>

namespace retort {

// counts[row label][column label]; all rows have the same length.
using ContingencyTable = std::vector<std::vector<int64_t>>;

std::vector<int64_t> row_sums(const ContingencyTable& counts);
std::vector<int64_t> column_sums(const ContingencyTable& counts);
int64_t sum_of(const std::vector<int64_t>& counts);
// How many are not 0.
int64_t used(const std::vector<int64_t>& counts);

// In nats.
double entropy(const std::vector<int64_t>& counts);
// I = sum over rows r and columns c of n(r,c)/N * log(n(r,c) N / (n(r) n(c))), in nats.
double mutual_information(const ContingencyTable& counts);

}  // namespace retort
