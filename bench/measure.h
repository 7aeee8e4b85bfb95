// SPDX-License-Identifier: Apache-2.0
// Google Benchmark's part of bench-dispatch.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "bench/rows.h"

namespace moe::bench {

/// Registers jit, static and hand of every row: "rules/lru/27x64x6/jit".
void register_rows(std::vector<Row>& rows);

/// Runs what is registered, in random interleaving, and prints Google Benchmark's own table to stderr if `verbose`.
/// Returns the times of each repetition in ns, by registered name.
std::map<std::string, std::vector<double>> run_registered(bool verbose);

/// nullopt: not measured.
std::optional<Times> times_of(std::map<std::string, std::vector<double>>& all, const std::string& name);

/// moe_dispatch through the C ABI, of lru with half of the experts resident. Registers it as "engine/...".
class EngineBench {
 public:
  explicit EngineBench(const Routing& routing);
  ~EngineBench();
  EngineBench(const EngineBench&) = delete;
  EngineBench& operator=(const EngineBench&) = delete;
  Result<void> start();
  /// In one timed stretch; the figures of "engine/..." are of so many dispatches.
  static constexpr uint32_t kBatch = 16;
  std::string name() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace moe::bench
