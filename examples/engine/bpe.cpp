// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/bpe.h"

#include <fmt/core.h>

#include <queue>
#include <tuple>

#include "examples/engine/error.h"
#include "examples/engine/unicode.h"

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

Bpe::Bpe(Vocabulary vocabulary, Options options) : vocabulary_(std::move(vocabulary)), options_(std::move(options)) {
  if (options_.unk_token) unk_id_ = find(*options_.unk_token);
  if (!options_.byte_fallback) return;
  for (size_t byte = 0; byte < byte_ids_.size(); ++byte) byte_ids_[byte] = find(fmt::format("<0x{:02X}>", byte));
}

std::optional<int32_t> Bpe::find(std::string_view token) const {
  const auto found = vocabulary_.find(token);
  return found == vocabulary_.end() ? std::nullopt : std::optional(found->second);
}

void Bpe::add_merge(int32_t left, int32_t right, int32_t merged) {
  merges_.insert_or_assign(key(left, right), Merge{num_added_++, merged});
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const auto found = merges_.find(key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const auto whole = find(word)) return ids.push_back(*whole);
  }
  merge(characters(word), ids);
}

std::vector<int32_t> Bpe::characters(std::string_view word) const {
  std::vector<int32_t> ids;
  bool unknown = false;  // an unk_token is due
  const auto flush = [&] {
    if (unknown) ids.push_back(*unk_id_);
    unknown = false;
  };
  for (size_t i = 0; i < word.size();) {
    const std::string_view character = word.substr(i, utf8_length(word.substr(i)));
    i += character.size();
    if (const auto id = find(character)) {
      flush();
      ids.push_back(*id);
      continue;
    }
    // The reference library writes bytes before an unk_token that is due, and so does this.
    if (append_bytes(character, ids) || !options_.unk_token) continue;
    if (!unk_id_) {
      throw data_error(fmt::format("the tokenizer has no token for `{}`, and its `unk_token` `{}` is none", character,
                                   *options_.unk_token));
    }
    if (!options_.fuse_unk) flush();
    unknown = true;
  }
  flush();
  return ids;
}

bool Bpe::append_bytes(std::string_view character, std::vector<int32_t>& ids) const {
  const auto id = [&](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  for (const char c : character) {
    if (!id(c)) return false;
  }
  for (const char c : character) ids.push_back(*id(c));
  return true;
}

void Bpe::merge(const std::vector<int32_t>& characters, std::vector<int32_t>& ids) const {
  const auto size = static_cast<uint32_t>(characters.size());
  std::vector<Node> nodes(size);
  for (uint32_t i = 0; i < size; ++i) {
    nodes[i] = {characters[i], i == 0 ? kNone : i - 1, i + 1 == size ? kNone : i + 1};
  }

  std::priority_queue<Candidate> queue;
  const auto consider = [&](uint32_t left) {
    if (left == kNone || nodes[left].next == kNone) return;
    const int32_t left_id = nodes[left].id;
    const int32_t right_id = nodes[nodes[left].next].id;
    if (const Merge* merge = find_merge(left_id, right_id)) {
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
