// SPDX-License-Identifier: Apache-2.0
// Eviction rules that are more than a number per resident: sieve, s3_fifo, arc, lirs, w_tinylfu, as their papers give
// them with entries of size 1. Reference implementations: lists and maps, linear scans, read beside the paper.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/policy.h"

namespace moe::ir {

/// The order that such a rule keeps over the residents of one cache instance (or of one segment of it).
///
/// Calls, in this order for an access: hit(key) of a resident; or miss(key), then, when there is no free place,
/// victim(), leave(victim), and insert(key) if it is admitted. A prefetch calls miss and insert as a miss does.
/// Pinned keys are members like all others; the caller never accepts them as victims.
class QueueRule {
 public:
  /// Whether a member may leave now (it is neither pinned nor protected).
  using MayLeave = std::function<bool(uint32_t key)>;
  virtual ~QueueRule() = default;

  virtual void hit(uint32_t key) = 0;
  /// `key` is not a member and was asked for: ghost lists and sketches take notice. Admission may still fail.
  virtual void miss(uint32_t key) = 0;
  /// Who leaves to make place for `newcomer`: the first in the rule's own order that may. May rearrange the order as
  /// the paper says (reference bits, second chances, moves between queues). nullopt: nobody may.
  virtual std::optional<uint32_t> victim(uint32_t newcomer, const MayLeave& may_leave) = 0;
  virtual void insert(uint32_t key) = 0;
  /// The member is gone. `as_victim`: this rule chose it, so ghosts remember it; otherwise (time to live, pressure,
  /// a failed load, another segment) it is forgotten.
  virtual void leave(uint32_t key, bool as_victim) = 0;
  /// The capacity changed; members beyond it leave through victim() afterwards.
  virtual void resize(uint32_t capacity) = 0;
  /// A member as an explanation shows it.
  struct Member {
    uint32_t key = 0;
    std::string_view queue;  ///< the paper's name
    std::string note{};      ///< what else the rule keeps of it: "visited", "hits 2"
  };
  /// Queue after queue, each from the end that it gives from.
  virtual std::vector<Member> members() const { return {}; }
  /// What else says which queue gives, or "": "p = 2".
  virtual std::string standing() const { return {}; }
  /// Whether the invariants hold that each rule states at its class. For tests: linear or worse.
  virtual bool consistent() const = 0;
};

/// nullptr for rules that are a number per resident (lru, lfu, ..., least).
std::unique_ptr<QueueRule> make_queue_rule(Eviction rule, uint32_t capacity);

}  // namespace moe::ir
