// SPDX-License-Identifier: Apache-2.0
#include "replay/kernel_engine.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>

#include "runtime/decision/check/invariants.h"
#include "runtime/decision/state.h"

namespace moe::replay {
namespace {

ir::Action action_of(uint8_t action) {
  switch (action) {
    case decision::kLoad:
      return ir::Action::load;
    case decision::kStream:
      return ir::Action::stream;
    case decision::kCpu:
      return ir::Action::cpu;
    case decision::kCpuLoad:
      return ir::Action::cpu_load;
    case decision::kDegrade:
      return ir::Action::degrade;
    case decision::kShared:
      return ir::Action::shared;
    case decision::kSkip:
      return ir::Action::skip;
    default:
      return ir::Action::hit;
  }
}

}  // namespace

void KernelEngine::FreeBlock::operator()(void* block) const { std::free(block); }

KernelEngine::KernelEngine(const decision::Params& params, Dispatch dispatch, void* state)
    : params_(params),
      dispatch_(std::move(dispatch)),
      state_(state),
      hints_(params.num_layers),
      hint_views_(params.num_layers) {
  decision::init_state(params_, state);
}

Result<KernelEngine> KernelEngine::create(const decision::Params& params, Dispatch dispatch) {
  const size_t bytes = decision::state_bytes(params);
  void* state = std::aligned_alloc(64, (bytes + 63) & ~size_t{63});
  if (state == nullptr) {
    return Error{Error::Kind::no_memory, "the policy's state needs " + std::to_string(bytes) + " bytes of memory"};
  }
  return KernelEngine(params, std::move(dispatch), state);
}

Result<KernelEngine> KernelEngine::create(const decision::Descriptor& descriptor) {
  const decision::Params* const params = descriptor.params;
  const decision::DispatchFn dispatch = descriptor.dispatch;
  if (!decision::kChecksInvariants) return create(*params, dispatch);
  return create(*params, [params, dispatch](void* state, const decision::Input* input, decision::Output* output) {
    return decision::checked(*params, state, *input, dispatch(state, input, output));
  });
}

Result<KernelEngine> KernelEngine::create_static(const decision::Params& params) {
  return create(params, [params](void* state, const decision::Input* input, decision::Output* output) {
    return decision::static_dispatch(params, state, input, output);
  });
}

bool KernelEngine::are_probabilities(std::span<const float> of, uint32_t num_tokens) const {
  if (of.empty()) return true;
  return of.size() == size_t{num_tokens} * params_.num_experts &&
         std::all_of(of.begin(), of.end(), [](float p) { return p >= 0.0f && p <= 1.0f; });
}

std::optional<ir::Decision> KernelEngine::decide(const ir::DispatchInput& input) {
  const size_t selections = size_t{input.num_tokens} * params_.top_k;
  const bool weighted = !input.weights.empty();
  if (input.layer >= params_.num_layers || input.top_k != params_.top_k || input.ids.size() != selections ||
      (weighted && input.weights.size() != selections) || !are_probabilities(input.probabilities, input.num_tokens)) {
    return std::nullopt;
  }
  dropped_.clear();
  for (uint32_t key : input.dropped) {
    if (key < params_.num_keys()) dropped_.push_back(key);  // a kernel trusts its caller
  }
  arrays_.make_room(decision::output_sizes(params_, input.num_tokens, static_cast<uint32_t>(dropped_.size())));
  for (uint32_t layer = 0; layer < params_.num_layers; ++layer) {
    const PendingHint& hint = hints_[layer];
    hint_views_[layer] = {hint.ids.data(), hint.probabilities.data(), static_cast<uint32_t>(hint.ids.size()), 0};
  }
  decision::Input in{};
  in.layer = input.layer;
  in.num_tokens = input.num_tokens;
  in.top_k = input.top_k;
  in.allow_padding = input.allow_padding;
  in.ids = input.ids.data();
  in.weights = weighted ? input.weights.data() : nullptr;
  in.dropped = dropped_.data();
  in.num_dropped = static_cast<uint32_t>(dropped_.size());
  in.hints = hint_views_.data();
  in.phase = static_cast<uint32_t>(input.phase);
  in.request = input.requests.empty() ? 0 : input.requests.front();
  in.probabilities = input.probabilities.empty() ? nullptr : input.probabilities.data();
  const ir::MeasuredInputs& m = input.measured;
  const decision::Measured measured{m.has_cost_model, 0,          m.queue_wait_ms, m.transfer_ms, m.cpu_setup_ms,
                                    m.cpu_token_ms,   m.stall_ms, m.queue_depth,   m.link_gbps,   m.tokens_per_s,
                                    m.kv_used};
  in.measured = &measured;
  decision::Output out = arrays_.output();
  if (dispatch_(state_.get(), &in, &out) != decision::kOk) return std::nullopt;
  hints_[input.layer] = {};

  ir::Decision decision;
  for (uint32_t i = 0; i < out.num_entries; ++i) {
    decision.experts.push_back(
        {out.expert[i], action_of(out.action[i]), out.num_selections[i], static_cast<double>(out.weight[i])});
  }
  decision.evicted.assign(out.evicted, out.evicted + out.num_evicted);
  decision.prefetched.assign(out.prefetched, out.prefetched + out.num_prefetched);
  decision.dropped.assign(out.dropped, out.dropped + out.num_dropped);
  for (uint32_t i = 0; i < out.num_moves; ++i) {
    decision.moves.push_back({out.moves[i].key, out.moves[i].from, out.moves[i].to});
  }
  for (uint32_t i = 0; i < out.num_copies; ++i) {
    const decision::CopyChoice& copy = out.copies[i];
    decision.precisions.push_back({copy.key, static_cast<ir::Dtype>(copy.dtype), copy.raised != 0});
  }
  for (uint32_t i = 0; i < out.num_fired; ++i) note_fired(out.fired[i], decision);
  return decision;
}

void KernelEngine::note_fired(uint32_t rule, ir::Decision& decision) const {
  const decision::Changes& changes = *params_.changes;
  decision.rules_fired.push_back(rule);
  const decision::AdaptRule& fired = changes.rules[rule];
  for (uint32_t i = 0; i < fired.num_actions; ++i) {
    const char* signal = changes.actions[fired.first_action + i].name;
    if (signal != nullptr) decision.signals.emplace_back(signal);
  }
}

void KernelEngine::hint(uint32_t layer, std::span<const uint32_t> ids, std::span<const float> probabilities) {
  if (layer >= params_.num_layers || ids.size() != probabilities.size()) return;
  std::set<uint32_t> seen;
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool in_range = ids[i] < params_.num_experts && probabilities[i] >= 0.0f && probabilities[i] <= 1.0f;
    if (!in_range || !seen.insert(ids[i]).second) return;
  }
  std::vector<size_t> order(ids.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
  PendingHint hint;
  for (size_t i : order) {
    hint.ids.push_back(ids[i]);
    hint.probabilities.push_back(probabilities[i]);
  }
  hints_[layer] = std::move(hint);
}

std::vector<uint32_t> KernelEngine::take_over(const KernelEngine& old) {
  std::vector<uint32_t> left = old.resident();
  left.resize(decision::adopt_state(old.params_, old.state(), params_, state_.get(), left.data()));
  return left;
}

std::vector<uint32_t> KernelEngine::resident() const {
  std::vector<uint32_t> keys;
  const uint32_t* const places = decision::places(params_, state_.get());
  for (uint32_t key = 0; key < params_.num_keys(); ++key) {
    if (places[key] != decision::kNone) keys.push_back(key);
  }
  return keys;
}

}  // namespace moe::replay
