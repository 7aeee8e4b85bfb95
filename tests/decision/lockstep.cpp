// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/lockstep.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codegen/native.h"
#include "ir/interpreter.h"
#include "replay/kernel_engine.h"
#include "runtime/decision/check/invariants.h"

namespace moe::test {
namespace {

using replay::KernelEngine;

std::string describe(const std::optional<ir::Decision>& decision) {
  if (!decision) return "invalid";
  std::string text = "experts";
  for (const ir::ExpertDecision& e : decision->experts) {
    text += fmt::format(" {}:{}x{}w{}", e.expert, ir::to_word(e.action), e.num_selections, e.weight);
  }
  for (const ir::TierMove& move : decision->moves) text += fmt::format(" {}:{}>{}", move.key, move.from, move.to);
  for (const ir::PrecisionChoice& copy : decision->precisions) {
    text += fmt::format(" {}={}{}", copy.key, ir::to_word(copy.dtype), copy.raised ? "^" : "");
  }
  return text + fmt::format(" evicted [{}] prefetched [{}] dropped [{}] fired [{}] signals [{}]",
                            fmt::join(decision->evicted, ","), fmt::join(decision->prefetched, ","),
                            fmt::join(decision->dropped, ","), fmt::join(decision->rules_fired, ","),
                            fmt::join(decision->signals, ","));
}

std::string describe(const std::vector<uint32_t>& keys) { return fmt::format("[{}]", fmt::join(keys, ",")); }

ir::DispatchInput input_of(const RandomDispatch& step, uint32_t top_k) {
  ir::DispatchInput input;
  input.layer = step.layer;
  input.num_tokens = step.num_tokens;
  input.top_k = top_k;
  input.ids = step.ids;
  input.weights = step.weights;
  input.dropped = step.dropped;
  input.allow_padding = step.allow_padding;
  input.phase = step.phase;
  input.requests = step.requests;
  input.measured = step.measured;
  input.probabilities = step.probabilities;
  return input;
}

/// Decides by the kernels that serve every policy and by the JIT's in turns, on one state: the second take over from
/// the first when they are compiled.
Result<KernelEngine> create_in_turns(const Contender& policy) {
  return KernelEngine::create(policy.for_any().params(), [&policy, any = true](void* state, const decision::Input* in,
                                                                               decision::Output* out) mutable {
    any = !any;
    return any ? policy.jit().dispatch(state, in, out) : policy.for_any().dispatch(state, in, out);
  });
}

/// A kernel in the race: always the JIT's, the static one wherever there is one, or those for every policy in turns
/// with the JIT's.
struct Side {
  enum class Kind { jit, prefers_static, in_turns };
  const char* name;
  Kind kind;
  std::optional<KernelEngine> engine;

  bool is_static(const Contender& policy) const {
    return kind == Kind::prefers_static && policy.for_static() != nullptr;
  }
  bool start(const Contender& policy) {
    auto made = kind == Kind::in_turns ? create_in_turns(policy)
                : is_static(policy)    ? KernelEngine::create_static(*policy.for_static())
                                       : KernelEngine::create(policy.jit());
    if (!made.ok()) return false;
    engine.emplace(std::move(made).value());
    return true;
  }
  std::string broken(uint32_t layer) const {
    const decision::Violation found = decision::find_violation(engine->params(), engine->state(), layer);
    if (!found) return "";
    return fmt::format("invariant of {}: {}, layer {}, expert {}", name, decision::to_words(found.what),
                       static_cast<int32_t>(found.layer), static_cast<int32_t>(found.expert));
  }
};

class Race {
 public:
  Race(const Contenders& policies, Tally& tally) : policies_(policies), tally_(tally) {
    sides_.push_back({"JIT", Side::Kind::jit, {}});
    sides_.push_back({"the kernels for every policy, and JIT", Side::Kind::in_turns, {}});
    bool has_static = false;
    for (const auto& policy : policies) has_static |= policy->for_static() != nullptr;
    if (has_static) sides_.push_back({"static", Side::Kind::prefers_static, {}});
  }

  std::string start() {
    oracle_ = std::make_unique<ir::Interpreter>(policies_[0]->policy());
    for (Side& side : sides_) {
      if (!side.start(*policies_[0])) return "no memory";
    }
    return compare_residents(decision::kNone);
  }

  std::string step(const Step& step) { return step.swap_to ? swap(*step.swap_to) : dispatch(step.dispatch); }

 private:
  std::string swap(uint32_t to) {
    if (!policies_[current_]->may_swap() || !policies_[to]->may_swap()) return "";
    current_ = to;
    ++tally_.swaps;
    auto next = std::make_unique<ir::Interpreter>(policies_[to]->policy());
    const std::vector<uint32_t> expected = next->take_over(*oracle_);
    oracle_ = std::move(next);
    for (Side& side : sides_) {
      const KernelEngine old = *std::exchange(side.engine, std::nullopt);
      if (!side.start(*policies_[to])) return "no memory";
      const std::vector<uint32_t> left = side.engine->take_over(old);
      if (left != expected) {
        return fmt::format("swap to {}\n  interpreter: left {}\n  {}: left {}", to, describe(expected), side.name,
                           describe(left));
      }
    }
    return compare_residents(decision::kNone);
  }

  std::string dispatch(const RandomDispatch& step) {
    const Contender& policy = *policies_[current_];
    ++tally_.dispatches;
    for (const auto& hint : step.hints) {
      oracle_->hint(hint.layer, hint.ids, hint.probabilities);
      for (Side& side : sides_) side.engine->hint(hint.layer, hint.ids, hint.probabilities);
    }
    const ir::DispatchInput input = input_of(step, policy.policy().shape.top_k);
    const std::optional<ir::Decision> expected = oracle_->dispatch(input);
    for (Side& side : sides_) {
      if (side.is_static(policy)) ++tally_.of_static;
      const std::optional<ir::Decision> actual = side.engine->decide(input);
      if (expected == actual) continue;
      return fmt::format("layer {}\n  interpreter: {}\n  {}: {}", step.layer, describe(expected), side.name,
                         describe(actual));
    }
    if (expected) tally_.add(*expected);
    return compare_residents(expected ? step.layer : decision::kNone);
  }

  std::string compare_residents(uint32_t layer) {
    const std::vector<uint32_t> expected = oracle_->resident();
    for (const Side& side : sides_) {
      const std::vector<uint32_t> actual = side.engine->resident();
      if (expected != actual) {
        return fmt::format("residents\n  interpreter: {}\n  {}: {}", describe(expected), side.name, describe(actual));
      }
      const std::string broken = side.broken(layer);
      if (!broken.empty()) return broken;
    }
    return "";
  }

  const Contenders& policies_;
  Tally& tally_;
  uint32_t current_ = 0;
  std::unique_ptr<ir::Interpreter> oracle_;
  std::vector<Side> sides_;
};

}  // namespace

void Tally::add(const Contenders& compiled) {
  for (const auto& policy : compiled) {
    ++policies;
    with_static += policy->for_static() != nullptr;
    with_changes += policy->has_changes();
  }
}

void Tally::add(const ir::Decision& decision) {
  moves += decision.moves.size();
  copies += decision.precisions.size();
  for (const ir::PrecisionChoice& copy : decision.precisions) raised += copy.raised ? 1 : 0;
  for (const ir::ExpertDecision& expert : decision.experts) ++actions[static_cast<size_t>(expert.action)];
}

std::string Tally::text() const {
  const auto of = [this](ir::Action action) { return actions[static_cast<size_t>(action)]; };
  return fmt::format(
      "{} policies, {} with static kernels, {} that change; {} dispatches ({} by static kernels too), {} swaps; {} "
      "hits, {} loads, {} streams, {} cpu, {} cpu_load, {} "
      "degraded; {} moves between tiers, {} copies, {} of them raised",
      policies, with_static, with_changes, dispatches, of_static, swaps, of(ir::Action::hit), of(ir::Action::load),
      of(ir::Action::stream), of(ir::Action::cpu), of(ir::Action::cpu_load), of(ir::Action::degrade), moves, copies,
      raised);
}

std::shared_ptr<const Contender> Contender::compile(ir::BoundPolicy policy, std::string& error) {
  auto made = std::make_shared<Contender>();
  made->policy_ = std::move(policy);
  auto code = codegen::jit(made->policy_, {});
  if (!code.ok()) {
    error = code.error().message;
    return nullptr;
  }
  made->code_ = std::move(code).value();
  auto any = codegen::AnyPolicy::make(made->policy_);
  if (!any.ok()) {
    error = any.error().message;
    return nullptr;
  }
  made->any_ = std::move(any).value();
  made->has_static_ = codegen::has_static_kernel(made->policy_);
  if (made->has_static_) made->static_params_ = codegen::make_params(made->policy_);
  return made;
}

std::string first_difference(const Contenders& policies, const std::vector<Step>& steps, Tally& tally) {
  Race race(policies, tally);
  std::string found = race.start();
  if (!found.empty()) return "at the start: " + found;
  for (size_t i = 0; i < steps.size(); ++i) {
    found = race.step(steps[i]);
    if (!found.empty()) return fmt::format("step {}: {}", i, found);
  }
  return "";
}

}  // namespace moe::test
