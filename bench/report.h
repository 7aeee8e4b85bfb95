// SPDX-License-Identifier: Apache-2.0
// bench-dispatch's results as a table and as JSON.
#pragma once
#include "bench/rows.h"

namespace moe::bench {

struct Report {
  Rows rows;
  std::optional<Times> engine;  ///< of one moe_dispatch
  std::string python;           ///< what it was, or "skipped: why"
};

void print_table(const Report& report);
void print_json(const Report& report);

}  // namespace moe::bench
