// SPDX-License-Identifier: Apache-2.0
// Internal to check_params.
#pragma once
#include <string>

#include "runtime/base/result.h"
#include "runtime/decision/abi.h"

namespace moe {

/// Remembers the first field that is out of range.
class Checker {
 public:
  void range(uint64_t value, uint64_t low, uint64_t high, const char* name) {
    if (value >= low && value <= high) return;
    found(std::string("`") + name + "` is " + std::to_string(value) + ", not in " + std::to_string(low) + ".." +
          std::to_string(high));
  }
  /// NaN is in no range.
  void above(double value, double low, double high, const char* name) {
    if (value > low && value <= high) return;
    found(std::string("`") + name + "` is " + std::to_string(value) + ", not in (" + std::to_string(low) + ", " +
          std::to_string(high) + "]");
  }
  void found(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }
  bool good() const { return problem_.empty(); }
  Result<void> result() const {
    if (good()) return {};
    return Error{Error::Kind::invalid, "the policy's params: " + problem_};
  }

 private:
  std::string problem_;
};

/// The tables of tiers, which a kernel reads without looking.
void check_tiers(const decision::Params& params, Checker& checker);

}  // namespace moe
