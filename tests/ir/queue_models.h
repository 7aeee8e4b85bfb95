// SPDX-License-Identifier: Apache-2.0
// The queue rules a second time, written from the papers without their lists: every key has a record (where it is, when
// it got there, a number), and each question is answered by a search over all records.
#pragma once
#include <memory>

#include "ir/queue_rule.h"

namespace moe::ir::test {

std::unique_ptr<QueueRule> make_model(Eviction rule, uint32_t capacity);

/// Hits of a LIRS cache as libCacheSim 0.3.5 has it: when a resident HIR member outside the stack is hit, it demotes
/// the bottom LIR member as well, which the paper does not; with a Q of one place this throws the member that was just
/// hit out of Q, where it goes on as a resident that is counted nowhere.
class LibCacheSimLirs {
 public:
  explicit LibCacheSimLirs(uint32_t capacity);
  ~LibCacheSimLirs();
  bool access(uint32_t key);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moe::ir::test
