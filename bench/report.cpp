// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace moe::bench {
namespace {

double accesses_per_second(const Row& row) { return row.routing->shape.top_k * 1e9 / row.jit_times->median; }

/// "123.4 0.87", the JIT's median over the other's; how many times faster with `inverse`.
std::string beside(const Row& row, const std::optional<Times>& other) {
  if (!other) return fmt::format("{:>16}", "-");
  return fmt::format("{:>9.1f} {:>6.3f}", other->median, row.jit_times->median / other->median);
}

std::string python_columns(const Row& row) {
  if (!row.python_times) return "";
  return fmt::format("{:>10.0f} {:>6.0f}x {:>6.3f}", row.python_times->median,
                     row.python_times->median / row.jit_times->median, row.python_hit_rate);
}

void print_rows(const std::vector<Row>& rows) {
  fmt::print("{:<10} {:<24} {:<9} {:>9} {:>9} {:>8} {:>6} {:>16} {:>16} {:>25}\n", "", "policy", "shape", "ns median",
             "least", "M acc/s", "hits", "static ns ratio", "by hand ns ratio", "Python ns, times, hits");
  for (const Row& row : rows) {
    if (!row.jit_times) continue;
    fmt::print("{:<10} {:<24} {:<9} {:>9.1f} {:>9.1f} {:>8.1f} {:>6.3f} {} {} {}\n", row.group, row.policy,
               name_of(row.routing->shape), row.jit_times->median, row.jit_times->least, accesses_per_second(row) / 1e6,
               row.summary.hit_rate, beside(row, row.compiled_times), beside(row, row.by_hand_times),
               python_columns(row));
  }
}

/// The largest of what `ratio` gives of the rows, and whose it is; ratio < 0: the row has none.
template <class Ratio>
void print_worst(const Report& report, const char* what, double limit, Ratio ratio) {
  const Row* worst = nullptr;
  size_t above = 0, count = 0;
  for (const Row& row : report.rows.rows) {
    const double value = row.jit_times ? ratio(row) : -1;
    if (value < 0) continue;
    ++count;
    above += value > limit;
    if (worst == nullptr || value > ratio(*worst)) worst = &row;
  }
  if (worst == nullptr) return;
  fmt::print("{:<58} {:>8.3f} at most, {} ({} of {} rows above {})\n", what, ratio(*worst), worst->name(), above, count,
             limit);
}

void print_limit(const char* what, double value, double limit) {
  fmt::print("{:<58} {:>8.1f} ns, limit {:.0f}: {}\n", what, value, limit, value <= limit ? "holds" : "exceeded");
}

const Row* find(const Report& report, const std::string& name) {
  for (const Row& row : report.rows.rows) {
    if (row.name() == name && row.jit_times) return &row;
  }
  return nullptr;
}

void print_python_limits(const Report& report) {
  std::vector<double> times;
  for (const Row& row : report.rows.rows) {
    if (row.jit_times && row.python_times) times.push_back(row.python_times->median / row.jit_times->median);
  }
  if (times.empty()) return;
  std::sort(times.begin(), times.end());
  fmt::print("{:<58} {:>8.0f} x at least, {:.0f} x on the median (limits 50 and 200): {}\n",
             "the Python package over the JIT", times.front(), times[times.size() / 2],
             times.front() >= 50 && times[times.size() / 2] >= 200 ? "holds" : "missed");
}

void print_limits(const Report& report) {
  print_worst(report, "JIT over the same kernel compiled statically", 1.05, [](const Row& row) {
    return row.compiled_times ? row.jit_times->median / row.compiled_times->median : -1;
  });
  print_worst(report, "JIT over the same policy written by hand", 1.1, [](const Row& row) {
    return row.by_hand_times ? row.jit_times->median / row.by_hand_times->median : -1;
  });
  print_python_limits(report);
  const auto limit = [&](const char* what, const std::string& name, double most) {
    if (const Row* const row = find(report, name)) print_limit(what, row->jit_times->median, most);
  };
  limit("lru, one cache of 864", "rules/lru/27x64x6", 60);
  limit("lru, 16 slots a layer", "policies/lru_basic/27x64x6", 60);
  limit("composed with triggers and adapt", "policies/composed_full_adapt/27x64x6", 500);
  if (const Row* const row = find(report, "limits/least_five/27x64x6")) {
    print_limit("least(E) of five terms over 432, whole dispatch per victim",
                row->jit_times->median / row->summary.evicted, 1000);
  }
  if (report.engine) print_limit("a whole moe_dispatch, lru", report.engine->median, 250);
}

nlohmann::json json_of(const std::optional<Times>& times) {
  if (!times) return nullptr;
  return {{"median", times->median}, {"least", times->least}};
}

}  // namespace

void print_table(const Report& report) {
  print_rows(report.rows.rows);
  if (report.engine) {
    fmt::print("{:<10} {:<24} {:<9} {:>9.1f} {:>9.1f}\n", "engine", "lru, a whole moe_dispatch", "27x64x6",
               report.engine->median, report.engine->least);
  }
  fmt::print("\nPython: {}\n", report.python);
  for (const std::string& left_out : report.rows.left_out) fmt::print("no native code: {}\n", left_out);
  fmt::print("\n");
  print_limits(report);
}

void print_json(const Report& report) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : report.rows.rows) {
    if (!row.jit_times) continue;
    rows.push_back({{"group", row.group},
                    {"policy", row.policy},
                    {"shape", name_of(row.routing->shape)},
                    {"hit_rate", row.summary.hit_rate},
                    {"evicted_per_dispatch", row.summary.evicted},
                    {"accesses_per_s", accesses_per_second(row)},
                    {"jit_ns", json_of(row.jit_times)},
                    {"static_ns", json_of(row.compiled_times)},
                    {"by_hand_ns", json_of(row.by_hand_times)},
                    {"python_ns", json_of(row.python_times)},
                    {"python_hit_rate", row.python_times ? nlohmann::json(row.python_hit_rate) : nullptr}});
  }
  fmt::print("{}\n", nlohmann::json{{"rows", rows},
                                    {"moe_dispatch_ns", json_of(report.engine)},
                                    {"python", report.python},
                                    {"left_out", report.rows.left_out}}
                         .dump(1));
}

}  // namespace moe::bench
