// SPDX-License-Identifier: Apache-2.0
// A policy as one more system: the reference interpreter, behind the interface of the models.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/oracles/routing.h"

namespace moe::oracle {

/// What a policy is bound with.
struct Binding {
  Shape shape;
  std::vector<std::pair<std::string, std::string>> settings;  ///< params, as of `--set`
  uint32_t slots = 0;                                         ///< of the cache; 0: as the policy says
  std::vector<std::vector<double>> frequency;                 ///< of a profile; empty: none
};

/// The policy of `path`, ready to decide. nullptr when it does not compile or bind; then `findings` says why.
std::unique_ptr<System> make_policy_engine(const std::string& path, const Binding& binding, std::string& findings);

}  // namespace moe::oracle
