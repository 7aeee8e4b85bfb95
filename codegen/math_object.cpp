// SPDX-License-Identifier: Apache-2.0
// The object that was made of math_functions.cpp, put into this library's read-only data by the assembler; and where
// the same functions are in this process, from any_policy_kernels.cpp.
#include <utility>

#include "codegen/module.h"

asm(".pushsection .rodata\n"
    ".balign 16\n"
    ".hidden moe_math_object, moe_math_object_end\n"
    ".globl moe_math_object, moe_math_object_end\n"
    "moe_math_object:\n"
    ".incbin \"" MOE_MATH_OBJECT_FILE
    "\"\n"
    "moe_math_object_end:\n"
    ".popsection\n");

extern "C" {
extern const char moe_math_object[];
extern const char moe_math_object_end[];
double moe_math_exp(double x);
double moe_math_log(double x);
double moe_math_log2(double x);
double moe_math_sqrt(double x);
double moe_math_floor(double x);
double moe_math_sigmoid(double x);
double moe_math_fmod(double x, double y);
double moe_math_min(double x, double y);
double moe_math_max(double x, double y);
double moe_math_pow(double x, double y);
}

namespace moe::codegen {

std::string_view math_object() { return {moe_math_object, static_cast<size_t>(moe_math_object_end - moe_math_object)}; }

uintptr_t math_function(std::string_view name) {
  using One = double (*)(double);
  using Two = double (*)(double, double);
  static constexpr std::pair<std::string_view, One> kOne[] = {
      {"moe_math_exp", moe_math_exp},   {"moe_math_log", moe_math_log},     {"moe_math_log2", moe_math_log2},
      {"moe_math_sqrt", moe_math_sqrt}, {"moe_math_floor", moe_math_floor}, {"moe_math_sigmoid", moe_math_sigmoid}};
  static constexpr std::pair<std::string_view, Two> kTwo[] = {{"moe_math_fmod", moe_math_fmod},
                                                              {"moe_math_min", moe_math_min},
                                                              {"moe_math_max", moe_math_max},
                                                              {"moe_math_pow", moe_math_pow}};
  for (const auto& [its, function] : kOne) {
    if (its == name) return reinterpret_cast<uintptr_t>(function);
  }
  for (const auto& [its, function] : kTwo) {
    if (its == name) return reinterpret_cast<uintptr_t>(function);
  }
  return 0;
}

}  // namespace moe::codegen
