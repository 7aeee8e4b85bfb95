// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/decision_log.h"

namespace moe::core {
namespace {

using logfmt::pack;
using logfmt::words_for;

uint64_t digest_of(const decision::Output& output) {
  logfmt::Digest digest;
  const auto add_all = [&digest](const uint32_t* numbers, uint32_t count) {
    digest.add(count);
    for (uint32_t i = 0; i < count; ++i) digest.add(numbers[i]);
  };
  add_all(output.expert, output.num_entries);
  for (uint32_t i = 0; i < output.num_entries; ++i) digest.add(output.action[i]);
  add_all(output.evicted, output.num_evicted);
  add_all(output.prefetched, output.num_prefetched);
  add_all(output.fired, output.num_fired);
  return digest.value();
}

}  // namespace

uint32_t DecisionLog::add_policy(const moe_policy& policy) {
  const std::lock_guard lock(lock_);
  if (policies_.size() == kMostPolicies) policies_.erase(policies_.begin());
  policies_.push_back({num_policies_, policy.manifest, policy.program});
  return num_policies_++;
}

void DecisionLog::put_prologue(logfmt::Kind kind, uint8_t flags, uint64_t words, uint32_t layer) {
  ring_.begin(words);
  ring_.put(pack(static_cast<uint32_t>(words), uint32_t{kind} | uint32_t{flags} << 8));
  ring_.put(number_);
  ring_.put(pack(serial_, layer));
}

void DecisionLog::before(const Instance& instance, Hints& hints) {
  const bool due = ring_.written() - last_begin_ > ring_.capacity() / 4;
  if (begin_ == Begin::nothing && !due) return;
  if (begin_ == Begin::fresh) {
    put_prologue(logfmt::kStart, 0, logfmt::kPrologue, 0);
  } else if (can_hold(state_bytes_)) {
    put_prologue(logfmt::kState, 0, state_words(state_bytes_), 0);
    ring_.put_bytes(instance.state(), state_bytes_);
    hints.mark_all_fresh();  // they are no part of the state
  } else {
    return;
  }
  ring_.commit();
  begin_ = Begin::nothing;
  last_begin_ = ring_.written();
}

uint64_t DecisionLog::words_of(const decision::Input& input, const Hints& hints) const {
  const uint64_t selections = uint64_t{input.num_tokens} * input.top_k;
  uint64_t words = logfmt::kDispatchWords + words_for(2 * selections);
  if (input.weights) words += words_for(4 * selections);
  if (input.probabilities) words += words_for(uint64_t{4} * input.num_tokens * shape_.num_experts);
  words += words_for(uint64_t{4} * input.num_dropped);
  hints.for_each_fresh(
      [&](uint32_t, const decision::Hint& hint) { words += 1 + 2 * words_for(uint64_t{4} * hint.count); });
  return words;
}

void DecisionLog::put_ids(const decision::Input& input) {
  const uint32_t selections = input.num_tokens * input.top_k;
  for (uint32_t i = 0; i < selections; i += 4) {
    uint64_t word = 0;
    for (uint32_t j = 0; j < 4 && i + j < selections; ++j) {
      word |= uint64_t{static_cast<uint16_t>(input.ids[i + j])} << (16 * j);
    }
    ring_.put(word);
  }
}

void DecisionLog::record(const decision::Input& input, const decision::Output& output, Hints& hints) {
  const uint64_t words = words_of(input, hints);
  if (words > ring_.capacity() / 4) begin_ = Begin::state;  // a replay goes on behind it
  if (begin_ != Begin::nothing) {  // or has nowhere to begin: then nothing more is kept of this policy
    hints.forget_fresh();
    ++number_;
    return;
  }
  const uint64_t selections = uint64_t{input.num_tokens} * input.top_k;
  const auto flags =
      static_cast<uint8_t>((input.phase != 0 ? logfmt::kDecode : 0) | (input.weights ? logfmt::kWeights : 0) |
                           (input.probabilities ? logfmt::kProbabilities : 0));
  uint32_t num_hints = 0;
  hints.for_each_fresh([&](uint32_t, const decision::Hint&) { ++num_hints; });
  put_prologue(logfmt::kDispatch, flags, words, input.layer);
  ring_.put(pack(input.num_tokens, input.request));
  ring_.put(pack(input.num_dropped, num_hints));
  ring_.put(digest_of(output));
  put_ids(input);
  if (input.weights) ring_.put_bytes(input.weights, 4 * selections);
  if (input.probabilities) ring_.put_bytes(input.probabilities, size_t{4} * input.num_tokens * shape_.num_experts);
  ring_.put_bytes(input.dropped, size_t{4} * input.num_dropped);
  hints.for_each_fresh([&](uint32_t layer, const decision::Hint& hint) {
    ring_.put(pack(layer, hint.count));
    ring_.put_bytes(hint.ids, size_t{4} * hint.count);
    ring_.put_bytes(hint.probabilities, size_t{4} * hint.count);
  });
  ring_.commit();
  hints.forget_fresh();
  ++number_;
}

}  // namespace moe::core
