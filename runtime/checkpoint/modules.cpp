// SPDX-License-Identifier: Apache-2.0
#include "runtime/checkpoint/modules.h"

#include <fnmatch.h>

#include <algorithm>
#include <string_view>

namespace moe::checkpoint {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kRouters[] = {"gate", "router", "shared_expert_gate"};
constexpr std::string_view kEmbeddings[] = {"wte", "wpe"};

std::string_view last_component(std::string_view module) { return module.substr(module.rfind('.') + 1); }

template <size_t N>
bool is_one_of(std::string_view word, const std::string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// `...experts.N` or `...experts.N.PART`.
bool is_expert(std::string_view module) {
  constexpr std::string_view kExperts = "experts.";
  for (size_t at = module.find(kExperts); at != module.npos; at = module.find(kExperts, at + 1)) {
    const size_t number = at + kExperts.size();
    const bool whole_word = at == 0 || module[at - 1] == '.';
    if (whole_word && number < module.size() && module[number] >= '0' && module[number] <= '9') return true;
  }
  return false;
}

}  // namespace

std::string module_of(const store::Tensor& tensor) {
  return tensor.name.substr(0, tensor.name.size() - kWeight.size());
}

bool is_quantizable(const store::Tensor& tensor, bool experts_only, const std::vector<std::string>& excluded) {
  if (tensor.dtype == MOE_OTHER || tensor.shape.size() != 2 || tensor.size_bytes == 0) return false;
  if (!tensor.name.ends_with(kWeight) || tensor.name.size() == kWeight.size()) return false;
  const std::string module = module_of(tensor);
  const std::string_view last = last_component(module);
  if (last.find("embed") != last.npos || is_one_of(last, kEmbeddings) || is_one_of(last, kRouters)) return false;
  if (experts_only && !is_expert(module)) return false;
  return std::none_of(excluded.begin(), excluded.end(),
                      [&](const std::string& glob) { return fnmatch(glob.c_str(), module.c_str(), 0) == 0; });
}

}  // namespace moe::checkpoint
