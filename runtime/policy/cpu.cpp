// SPDX-License-Identifier: Apache-2.0
#include "runtime/policy/cpu.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>

namespace moe {
namespace {

/// LLVM and the kernel spell features with different dots and underscores: "sse4.1", "sse4_1".
std::string bare(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c != '.' && c != '_' && c != '-') out += c;
  }
  return out;
}

struct Alias {
  std::string_view llvm;
  std::string_view kernel;
};
/// Where the kernel's word is another one altogether; both bare.
constexpr Alias kAliases[] = {
    {"64bit", "lm"},
    {"bmi", "bmi1"},
    {"crc32", "sse42"},
    {"evex512", "avx512f"},
    {"lzcnt", "abm"},
    {"pclmul", "pclmulqdq"},
    {"prfchw", "3dnowprefetch"},
    {"rdrnd", "rdrand"},
    {"sahf", "lahflm"},
    {"sha", "shani"},
    {"sse3", "pni"},
    {"x87", "fpu"},
};

/// What a policy cannot use: a kernel that does not enable shadow stacks does not list them, whatever the processor
/// has.
bool concerns_code(std::string_view bare_name) { return bare_name != "shstk"; }

/// The flags of the first processor, bare. They come from the kernel, which also knows whether it saves the registers.
std::set<std::string> machine_features() {
  std::ifstream info("/proc/cpuinfo");
  std::set<std::string> features;
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("flags", 0) != 0 && line.rfind("Features", 0) != 0) continue;
    std::istringstream words(line.substr(std::min(line.find(':') + 1, line.size())));
    for (std::string word; words >> word;) features.insert(bare(word));
    break;
  }
  return features;
}

/// nullopt: not the name of a level.
std::optional<bool> has_level(const std::string& cpu) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (cpu == "x86-64") return true;
  if (cpu == "x86-64-v2") return __builtin_cpu_supports("x86-64-v2") != 0;
  if (cpu == "x86-64-v3") return __builtin_cpu_supports("x86-64-v3") != 0;
  if (cpu == "x86-64-v4") return __builtin_cpu_supports("x86-64-v4") != 0;
#endif
  if (cpu == "generic") return true;
  return std::nullopt;
}

Error unsupported(const std::string& cpu, const std::string& reason) {
  return {Error::Kind::unsupported, "made for processor `" + cpu + "`: " + reason};
}

}  // namespace

Result<void> check_cpu(const std::string& cpu, const std::vector<std::string>& features) {
  const std::optional<bool> level = has_level(cpu);
  if (level && !*level) return unsupported(cpu, "this machine is not one; compile it again for this machine");
  if (!level && features.empty()) {
    return unsupported(cpu, "it lists no features, so whether this machine can run it is unknown");
  }
  if (features.empty()) return {};
  const std::set<std::string> have = machine_features();
  for (const std::string& feature : features) {
    std::string name = bare(feature);
    for (const Alias& alias : kAliases) {
      if (name == alias.llvm) name = alias.kernel;
    }
    if (concerns_code(name) && !have.contains(name)) return unsupported(cpu, "this machine lacks `" + feature + "`");
  }
  return {};
}

}  // namespace moe
