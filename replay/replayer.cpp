// SPDX-License-Identifier: Apache-2.0
#include "replay/replayer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "replay/future.h"

namespace moe::replay {
namespace {

/// Follows which residents are there only thanks to a prefetch that no access has used yet.
class PrefetchTracker {
 public:
  explicit PrefetchTracker(const ir::BoundPolicy& policy)
      : places_(policy.num_keys(), 0), unused_(policy.num_keys(), 0) {
    for (uint32_t key : policy.pins) places_[key] = 1;
  }
  /// Applies a decision; returns the keys whose prefetch was used by it.
  const std::vector<uint32_t>& apply(uint32_t first_key, const ir::Decision& decision) {
    used_.clear();
    for (const ir::ExpertDecision& expert : decision.experts) {
      const uint32_t key = first_key + expert.expert;
      const bool hit = expert.action == ir::Action::hit;
      if (hit && unused_[key] != 0) used_.push_back(key);
      unused_[key] = 0;  // used, or gone before this access
      if (expert.action == ir::Action::load || expert.action == ir::Action::cpu_load) places_[key] += 1;
    }
    // The lists do not say in which order a key left and came back; counting does: arrivals minus departures is what is
    // left.
    for (uint32_t key : decision.prefetched) places_[key] += 1;
    for (uint32_t key : decision.evicted) places_[key] -= 1;
    for (uint32_t key : decision.prefetched) unused_[key] = 1;
    for (uint32_t key : decision.evicted) {
      if (places_[key] == 0) unused_[key] = 0;
    }
    return used_;
  }

 private:
  std::vector<int8_t> places_;   ///< per key: 1 when resident
  std::vector<uint8_t> unused_;  ///< per key: 1 when resident by a prefetch not used yet
  std::vector<uint32_t> used_;
};

/// One replay in progress.
class Replay {
 public:
  Replay(const Trace& trace, const ir::BoundPolicy& policy, DecisionEngine& engine, DecisionWriter* decisions)
      : trace_(trace), policy_(policy), engine_(engine), decisions_(decisions), tracker_(policy) {
    result_.policy = policy.name;
    result_.tokens = trace.num_tokens;
    result_.expert_bytes = policy.shape.expert_bytes;
    result_.layers.resize(trace.num_layers);
    result_.rules_fired.resize(policy.adapt.size());
    if (needs_future(policy)) engine_.set_future(&future_.emplace(trace));
  }
  ~Replay() { engine_.set_future(nullptr); }

  Result<ReplayResult> run(uint64_t most) {
    for (uint64_t first = 0, end = 0; first < trace_.num_tokens; first = end) {
      end = trace_.step_end(first);
      if (end - first > UINT32_MAX) return Error{Error::Kind::unsupported, "a step has more than 2^32 tokens"};
      for (uint32_t layer = 0; layer < trace_.num_layers; ++layer) {
        if (result_.total.dispatches == most) return std::move(result_);
        give_hint(first, end, layer);
        if (!dispatch(first, end, layer)) {
          return Error{Error::Kind::invalid, fmt::format("the engine refuses dispatch {} (token {}, layer {})",
                                                         result_.total.dispatches, first, layer)};
        }
      }
    }
    return std::move(result_);
  }

 private:
  void give_hint(uint64_t first, uint64_t end, uint32_t layer) {
    if (trace_.lookahead_width == 0) return;
    hint_ids_.clear();
    hint_probs_.clear();
    std::map<uint32_t, size_t> position;
    for (uint64_t token = first; token < end; ++token) {
      const size_t offset = trace_.lookahead_offset(token, layer);
      for (size_t i = offset; i < offset + trace_.lookahead_width; ++i) {
        const uint16_t id = trace_.lookahead[i];
        if (id == kNoExpert) continue;
        const auto [found, is_new] = position.try_emplace(id, hint_ids_.size());
        if (is_new) {
          hint_ids_.push_back(id);
          hint_probs_.push_back(trace_.lookahead_probs[i]);
        } else {
          float& probability = hint_probs_[found->second];
          probability = std::max(probability, trace_.lookahead_probs[i]);
        }
      }
    }
    if (!hint_ids_.empty()) engine_.hint((layer + 1) % trace_.num_layers, hint_ids_, hint_probs_);
  }

  // False when the engine refuses.
  bool dispatch(uint64_t first, uint64_t end, uint32_t layer) {
    ids_.clear();
    weights_.clear();
    for (uint64_t token = first; token < end; ++token) {
      const size_t offset = trace_.offset(token, layer);
      for (size_t i = offset; i < offset + trace_.top_k; ++i) ids_.push_back(trace_.experts[i]);
      if (trace_.weights.empty()) continue;
      for (size_t i = offset; i < offset + trace_.top_k; ++i) weights_.push_back(trace_.weights[i]);
    }
    dropped_.clear();
    for (; next_dropped_ < trace_.dropped.size(); ++next_dropped_) {
      const DroppedLoad& dropped = trace_.dropped[next_dropped_];
      if (dropped.dispatch > result_.total.dispatches) break;
      dropped_.push_back(dropped.layer * trace_.num_experts + dropped.expert);
    }
    ir::DispatchInput input;
    input.layer = layer;
    input.num_tokens = static_cast<uint32_t>(end - first);
    input.top_k = trace_.top_k;
    input.ids = ids_;
    input.weights = weights_;
    input.dropped = dropped_;
    input.allow_padding = true;
    const bool prefill = !trace_.phases.empty() && trace_.phases[first] == 0;
    input.phase = prefill ? ir::Phase::prefill : ir::Phase::decode;
    if (!trace_.requests.empty()) input.requests = std::span(trace_.requests).subspan(first, end - first);
    if (future_) future_->begin_dispatch();
    const std::optional<ir::Decision> decision = engine_.decide(input);
    if (!decision) return false;
    if (decisions_ != nullptr) {
      decisions_->write(result_.total.dispatches, first, layer, trace_.num_experts, *decision);
    }
    count(layer, *decision);
    return true;
  }

  void count(uint32_t layer, const ir::Decision& decision) {
    for (Counts* counts : {&result_.total, &result_.layers[layer]}) {
      counts->dispatches += 1;
      for (const ir::ExpertDecision& expert : decision.experts) count_access(*counts, expert);
      counts->dropped += decision.dropped.size();
      counts->tier_moves += decision.moves.size();
    }
    for (const ir::PrecisionChoice& choice : decision.precisions) {
      result_.copies[static_cast<size_t>(choice.dtype)] += 1;
      result_.raised += choice.raised ? 1 : 0;
    }
    for (const uint32_t rule : decision.rules_fired) result_.rules_fired[rule] += 1;
    const auto count_keys = [&](const std::vector<uint32_t>& keys, uint64_t Counts::* field) {
      result_.total.*field += keys.size();
      for (uint32_t key : keys) result_.layers[key / trace_.num_experts].*field += 1;
    };
    count_keys(decision.evicted, &Counts::evictions);
    count_keys(decision.prefetched, &Counts::prefetched);
    count_keys(tracker_.apply(layer * trace_.num_experts, decision), &Counts::prefetch_used);
  }

  static void count_access(Counts& counts, const ir::ExpertDecision& expert) {
    counts.accesses += 1;
    counts.selections += expert.num_selections;
    switch (expert.action) {
      case ir::Action::hit:
        counts.hits += 1;
        break;
      case ir::Action::load:
        counts.loads += 1;
        break;
      case ir::Action::stream:
        counts.streams += 1;
        break;
      case ir::Action::cpu:
        counts.cpu += 1;
        break;
      case ir::Action::cpu_load:
        counts.cpu += 1;
        counts.loads += 1;
        break;
      case ir::Action::degrade:
        counts.degraded += 1;
        break;
      case ir::Action::shared:
        counts.shared += 1;
        break;
      case ir::Action::skip:
        counts.skipped += 1;
        break;
    }
  }

  const Trace& trace_;
  const ir::BoundPolicy& policy_;
  DecisionEngine& engine_;
  DecisionWriter* decisions_;
  PrefetchTracker tracker_;
  ReplayResult result_;
  std::optional<TraceFuture> future_;
  size_t next_dropped_ = 0;
  // Buffers that live over dispatches.
  std::vector<int32_t> ids_;
  std::vector<float> weights_;
  std::vector<uint32_t> dropped_;
  std::vector<uint32_t> hint_ids_;
  std::vector<float> hint_probs_;
};

}  // namespace

Result<ReplayResult> replay(const Trace& trace, const ir::BoundPolicy& policy, DecisionEngine& engine,
                            DecisionWriter* decisions, uint64_t most) {
  const ir::ModelShape& shape = policy.shape;
  if (shape.num_layers != trace.num_layers || shape.num_experts != trace.num_experts) {
    return Error{Error::Kind::invalid,
                 fmt::format("the trace has {} layers of {} experts, but policy `{}` is bound to {} layers of {}",
                             trace.num_layers, trace.num_experts, policy.name, shape.num_layers, shape.num_experts)};
  }
  return Replay(trace, policy, engine, decisions).run(most);
}

}  // namespace moe::replay
