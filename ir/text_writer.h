// SPDX-License-Identifier: Apache-2.0
// The lines of canonical text, and the parts of a policy that are printed with them.
#pragma once
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "ir/policy.h"

namespace moe::ir {

class TextWriter {
 public:
  void open(std::string_view head) {
    line(fmt::format("{} {{", head));
    indent_ += 2;
  }
  /// `tail`: after the brace.
  void close(std::string_view tail = "") {
    indent_ -= 2;
    line(fmt::format("}}{}", tail));
  }
  void line(std::string_view text) { text_ += fmt::format("{:{}}{}\n", "", indent_, text); }
  void key(std::string_view name, std::string_view value) { line(fmt::format("{} = {}", name, value)); }
  void key(std::string_view name, uint64_t value) { key(name, fmt::format("{}", value)); }
  void number(std::string_view name, double value) { key(name, print_number(value)); }
  void flag(std::string_view name, bool value) { key(name, value ? "true" : "false"); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  int indent_ = 0;
};

void write_overrides(const std::vector<Assignment>& overrides, TextWriter& writer);
void write_assignment(const Assignment& assignment, TextWriter& writer);
void write_adapt(const Policy& policy, TextWriter& writer);  ///< the rules and `choose`
void write_memory(const MemoryRule& memory, TextWriter& writer);
void write_tiers(const TiersRule& tiers, TextWriter& writer);
void write_band(const Band& band, TextWriter& writer);

}  // namespace moe::ir
