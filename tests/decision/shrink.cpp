// SPDX-License-Identifier: Apache-2.0
#include "tests/decision/shrink.h"

#include <algorithm>

namespace moe::test {
namespace {

class Shrinker {
 public:
  Shrinker(Case failing, const Fails& fails, const ShrinkLimits& limits)
      : best_(std::move(failing)), fails_(fails), end_(Clock::now() + limits.time) {}

  Case run() {
    do {
      progress_ = false;
      drop_steps();
      drop_policies();
      drop_statements();
      simplify_dispatches();
      shrink_shape();
    } while (progress_ && !is_over());
    return std::move(best_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool is_over() const { return Clock::now() >= end_; }

  bool try_out(Case candidate) {
    if (is_over() || !fails_(candidate)) return false;
    best_ = std::move(candidate);
    progress_ = true;
    return true;
  }

  /// Changes a copy; true: it still fails, and is the best one now.
  template <class Change>
  bool try_with(Change change) {
    Case candidate = best_;
    change(candidate);
    return try_out(std::move(candidate));
  }

  /// Chunks of half of the steps, then of fewer, from the end: what comes after the failure goes at once.
  void drop_steps() {
    for (size_t chunk = std::max<size_t>(1, best_.steps.size() / 2);; chunk /= 2) {
      for (size_t end = best_.steps.size(); end > 0;) {
        const size_t begin = end > chunk ? end - chunk : 0;
        try_with([&](Case& c) {
          c.steps.erase(c.steps.begin() + static_cast<long>(begin), c.steps.begin() + static_cast<long>(end));
        });
        end = begin;
      }
      if (chunk == 1) return;
    }
  }

  void drop_policies() {
    for (size_t i = best_.policies.size(); i-- > 0 && best_.policies.size() > 1;) {
      const auto number = static_cast<uint32_t>(i);
      try_with([&](Case& c) {
        // Its swaps go, and who comes after it moves up.
        std::erase_if(c.steps, [&](const Step& step) { return step.swap_to == number; });
        for (Step& step : c.steps) {
          if (step.swap_to && *step.swap_to > number) --*step.swap_to;
        }
        c.policies.erase(c.policies.begin() + static_cast<long>(i));
      });
    }
    for (size_t i = 0; i < best_.steps.size(); ++i) {  // the first one may do for both
      if (best_.steps[i].swap_to.value_or(0) != 0) try_with([&](Case& c) { c.steps[i].swap_to = 0; });
    }
  }

  void drop_statements() {
    for (size_t i = 0; i < best_.policies.size(); ++i) {
      if (best_.policies[i].profile) try_with([&](Case& c) { c.policies[i].profile = nullptr; });
      Statements all = statements_of(best_.policies[i].source);
      for (size_t s = 0; s < all.spans.size() && !is_over();) {
        if (try_with([&](Case& c) { c.policies[i].source = all.without(s); })) {
          all = statements_of(best_.policies[i].source);  // the next one is in its place now
        } else {
          ++s;
        }
      }
    }
  }

  /// What `has` finds in dispatches goes: first everywhere, then here and there.
  template <class Has, class Change>
  void clear(Has has, Change change) {
    std::vector<size_t> where;
    for (size_t i = 0; i < best_.steps.size(); ++i) {
      if (!best_.steps[i].swap_to && has(best_.steps[i].dispatch)) where.push_back(i);
    }
    const auto everywhere = [&](Case& c) {
      for (const size_t i : where) change(c.steps[i].dispatch);
    };
    if (where.empty() || try_with(everywhere)) return;
    for (const size_t i : where) try_with([&](Case& c) { change(c.steps[i].dispatch); });
  }

  template <class Field>
  void clear_list(Field field) {
    clear([field](const RandomDispatch& d) { return !(d.*field).empty(); },
          [field](RandomDispatch& d) { (d.*field).clear(); });
  }

  static bool has_measured(const RandomDispatch& d) {
    const ir::MeasuredInputs& m = d.measured;
    return m.has_cost_model || m.queue_wait_ms != 0 || m.transfer_ms != 0 || m.cpu_setup_ms != 0 ||
           m.cpu_token_ms != 0 || m.stall_ms != 0 || m.queue_depth != 0 || m.link_gbps != 0 || m.tokens_per_s != 0 ||
           m.kv_used != 0;
  }

  void simplify_dispatches() {
    clear_list(&RandomDispatch::hints);
    clear_list(&RandomDispatch::probabilities);
    clear_list(&RandomDispatch::requests);
    clear_list(&RandomDispatch::dropped);
    clear_list(&RandomDispatch::weights);
    clear(has_measured, [](RandomDispatch& d) { d.measured = {}; });
    clear([](const RandomDispatch& d) { return d.phase != ir::Phase::decode; },
          [](RandomDispatch& d) { d.phase = ir::Phase::decode; });
    clear([](const RandomDispatch& d) { return d.allow_padding; }, [](RandomDispatch& d) { d.allow_padding = false; });
    drop_tokens();
  }

  void drop_tokens() {
    for (size_t i = 0; i < best_.steps.size() && !is_over(); ++i) {
      if (best_.steps[i].swap_to) continue;
      for (uint32_t token = best_.steps[i].dispatch.num_tokens; token-- > 0;) {
        if (best_.steps[i].dispatch.num_tokens == 1) break;
        try_with([&](Case& c) { drop_token(c.steps[i].dispatch, token, c.shape); });
      }
    }
  }

  static void drop_token(RandomDispatch& d, uint32_t token, const ir::ModelShape& shape) {
    const auto drop = [token](auto& rows, uint32_t width) {
      if (rows.empty()) return;
      const auto first = rows.begin() + static_cast<long>(token) * width;
      rows.erase(first, first + width);
    };
    drop(d.ids, shape.top_k);
    drop(d.weights, shape.top_k);
    drop(d.probabilities, shape.num_experts);
    drop(d.requests, 1);
    --d.num_tokens;
  }

  void shrink_shape() {
    if (best_.shape.top_k > 1) try_out(with_single_selections(best_));
    for (uint32_t ir::ModelShape::* field :
         {&ir::ModelShape::num_layers, &ir::ModelShape::num_experts, &ir::ModelShape::top_k}) {
      for (uint32_t less = best_.shape.*field / 2; less > 0; less /= 2) {
        while (best_.shape.*field > less) {
          ir::ModelShape shape = best_.shape;
          shape.*field -= less;
          if (shape.top_k > shape.num_experts || !try_out(with_shape(best_, shape))) break;
        }
      }
    }
  }

  Case best_;
  const Fails& fails_;
  const Clock::time_point end_;
  bool progress_ = false;
};

}  // namespace

Case shrink(Case failing, const Fails& fails, const ShrinkLimits& limits) {
  return Shrinker(std::move(failing), fails, limits).run();
}

}  // namespace moe::test
