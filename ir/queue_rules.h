// SPDX-License-Identifier: Apache-2.0
// What the files queue_*.cpp share: one constructor per rule, and operations on short lists of keys.
#pragma once
#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>

#include "ir/queue_rule.h"

namespace moe::ir {

std::unique_ptr<QueueRule> make_sieve(uint32_t capacity);
std::unique_ptr<QueueRule> make_s3_fifo(uint32_t capacity);
std::unique_ptr<QueueRule> make_arc(uint32_t capacity);
std::unique_ptr<QueueRule> make_lirs(uint32_t capacity);
std::unique_ptr<QueueRule> make_w_tinylfu(uint32_t capacity);

/// Keys from the one that leaves first (front) to the one that came last (back). No key twice.
using KeyList = std::list<uint32_t>;

inline bool contains(const KeyList& list, uint32_t key) {
  return std::find(list.begin(), list.end(), key) != list.end();
}

/// False if it was not there.
inline bool erase(KeyList& list, uint32_t key) { return list.remove(key) != 0; }

inline void move_to_back(KeyList& list, uint32_t key) {
  list.splice(list.end(), list, std::find(list.begin(), list.end(), key));
}

inline uint32_t take_front(KeyList& list) {
  const uint32_t key = list.front();
  list.pop_front();
  return key;
}

inline std::optional<uint32_t> first_that_may(const KeyList& list, const QueueRule::MayLeave& may_leave) {
  const auto found = std::find_if(list.begin(), list.end(), may_leave);
  if (found == list.end()) return std::nullopt;
  return *found;
}

/// floor(percent of whole), at least 1.
inline uint32_t share_of(uint32_t whole, uint32_t percent) {
  return std::max(1U, static_cast<uint32_t>(uint64_t{whole} * percent / 100));
}

/// Whether no key is in two of the lists, or twice in one.
template <typename... Lists>
bool disjoint(const Lists&... lists) {
  KeyList all;
  (all.insert(all.end(), lists.begin(), lists.end()), ...);
  all.sort();
  return std::adjacent_find(all.begin(), all.end()) == all.end();
}

}  // namespace moe::ir
