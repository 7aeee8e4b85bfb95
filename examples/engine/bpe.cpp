// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/bpe.h"

#include <queue>
#include <tuple>

namespace engine {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// One token of the word in progress. A node that was merged into its left neighbour has id -1.
struct Node {
  int32_t id;
  uint32_t previous, next;
};

// A merge that was possible when it was queued: stale if one of the two nodes has changed since.
struct Candidate {
  uint32_t rank;
  uint32_t left;
  int32_t left_id, right_id, merged;

  // Lowest rank first, then leftmost: std::priority_queue keeps the greatest on top.
  bool operator<(const Candidate& other) const { return std::tie(other.rank, other.left) < std::tie(rank, left); }
};

uint64_t key(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

void Bpe::add_merge(int32_t left, int32_t right, int32_t merged) {
  merges_.insert_or_assign(key(left, right), Merge{num_added_++, merged});
}

const Bpe::Merge* Bpe::find(int32_t left, int32_t right) const {
  const auto found = merges_.find(key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  const auto size = static_cast<uint32_t>(word.size());
  std::vector<Node> nodes(size);
  for (uint32_t i = 0; i < size; ++i) {
    nodes[i] = {byte_ids_[static_cast<unsigned char>(word[i])], i == 0 ? kNone : i - 1, i + 1 == size ? kNone : i + 1};
  }

  std::priority_queue<Candidate> queue;
  const auto consider = [&](uint32_t left) {
    if (left == kNone || nodes[left].next == kNone) return;
    const int32_t left_id = nodes[left].id;
    const int32_t right_id = nodes[nodes[left].next].id;
    if (const Merge* merge = find(left_id, right_id)) {
      queue.push({merge->rank, left, left_id, right_id, merge->merged});
    }
  };
  for (uint32_t i = 0; i < size; ++i) consider(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Node& left = nodes[best.left];
    const uint32_t right = left.next;
    if (left.id != best.left_id || right == kNone || nodes[right].id != best.right_id) continue;
    left.id = best.merged;
    left.next = nodes[right].next;
    nodes[right].id = -1;
    if (left.next != kNone) nodes[left.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (const Node& node : nodes) {
    if (node.id >= 0) ids.push_back(node.id);
  }
}

}  // namespace engine
