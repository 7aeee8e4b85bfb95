// SPDX-License-Identifier: Apache-2.0
// The objects that were made of math_functions.cpp and phases.cpp, put into this library's read-only data by the
// assembler; and where the same functions are in this process: from any_policy_kernels.cpp, and those very objects.
#include <algorithm>

#include "codegen/module.h"

#define MOE_EMBED(name, file)                           \
  asm(".pushsection .rodata\n"                          \
      ".balign 16\n"                                    \
      ".hidden " #name ", " #name                       \
      "_end\n"                                          \
      ".globl " #name ", " #name "_end\n" #name         \
      ":\n"                                             \
      ".incbin \"" MOE_OBJECTS_FOLDER file "\"\n" #name \
      "_end:\n"                                         \
      ".popsection\n")
MOE_EMBED(moe_math_object, "math_functions.o");
MOE_EMBED(moe_phases_v1, "phases_v1.o");
MOE_EMBED(moe_phases_v3, "phases_v3.o");
MOE_EMBED(moe_phases_v4, "phases_v4.o");

// What phases there are: of each level, of a rule, and of a rule that goes by an expression.
// clang-format off
#define MOE_PHASES_OF_LEVEL(what, level)                                                        \
  what(moe_phase_collect_##level) what(moe_phase_collect_tokens_##level)                        \
  what(moe_phase_sort_entries_##level) what(moe_phase_record_history_##level)                   \
  what(moe_phase_offer_windows_##level) what(moe_phase_sample_##level)                          \
  what(moe_phase_lirs_restore_##level)
#define MOE_EVICT_PHASES(what, rule, level)                                                     \
  what(moe_phase_drop_##rule##_##level) what(moe_phase_expire_##rule##_##level)
#define MOE_PHASES_OF_RULE(what, rule, level)                                                   \
  MOE_EVICT_PHASES(what, rule, level)                                                           \
  what(moe_phase_relieve_##rule##_##level) what(moe_phase_install_##rule##_##level)             \
  what(moe_phase_rule_##rule##_##level)
#define MOE_ALL_PHASES(what, level)                                                             \
  MOE_PHASES_OF_LEVEL(what, level)                                                              \
  MOE_PHASES_OF_RULE(what, lru, level) MOE_PHASES_OF_RULE(what, fifo, level)                    \
  MOE_PHASES_OF_RULE(what, lfu, level) MOE_PHASES_OF_RULE(what, score, level)                   \
  MOE_PHASES_OF_RULE(what, freq_threshold, level) MOE_PHASES_OF_RULE(what, sieve, level)        \
  MOE_PHASES_OF_RULE(what, s3_fifo, level) MOE_PHASES_OF_RULE(what, arc, level)                 \
  MOE_PHASES_OF_RULE(what, lirs, level) MOE_PHASES_OF_RULE(what, w_tinylfu, level)              \
  MOE_PHASES_OF_RULE(what, random, level) MOE_EVICT_PHASES(what, least, level)
// clang-format on

extern "C" {
extern const char moe_math_object[], moe_math_object_end[];
extern const char moe_phases_v1[], moe_phases_v1_end[];
extern const char moe_phases_v3[], moe_phases_v3_end[];
extern const char moe_phases_v4[], moe_phases_v4_end[];
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
// Of their types only that they are functions matters here.
#define MOE_DECLARE(function) void function();
MOE_ALL_PHASES(MOE_DECLARE, v1)
MOE_ALL_PHASES(MOE_DECLARE, v3)
MOE_ALL_PHASES(MOE_DECLARE, v4)
}

namespace moe::codegen {
namespace {

struct Named {
  std::string_view name;
  void (*function)();
};
#define MOE_NAMED(function) {#function, reinterpret_cast<void (*)()>(function)},
const Named kFunctions[] = {MOE_NAMED(moe_math_exp) MOE_NAMED(moe_math_log) MOE_NAMED(moe_math_log2)
                                MOE_NAMED(moe_math_sqrt) MOE_NAMED(moe_math_floor) MOE_NAMED(moe_math_sigmoid)
                                    MOE_NAMED(moe_math_fmod) MOE_NAMED(moe_math_min) MOE_NAMED(moe_math_max)
                                        MOE_NAMED(moe_math_pow) MOE_ALL_PHASES(MOE_NAMED, v1)
                                            MOE_ALL_PHASES(MOE_NAMED, v3) MOE_ALL_PHASES(MOE_NAMED, v4)};

std::string_view between(const char* begin, const char* end) { return {begin, static_cast<size_t>(end - begin)}; }

}  // namespace

std::vector<std::string_view> shared_objects() {
  return {between(moe_math_object, moe_math_object_end), between(moe_phases_v1, moe_phases_v1_end),
          between(moe_phases_v3, moe_phases_v3_end), between(moe_phases_v4, moe_phases_v4_end)};
}

uintptr_t shared_function(std::string_view name) {
  const Named* const end = std::end(kFunctions);
  const Named* const found = std::find_if(kFunctions, end, [&](const Named& each) { return each.name == name; });
  return found == end ? 0 : reinterpret_cast<uintptr_t>(found->function);
}

}  // namespace moe::codegen
