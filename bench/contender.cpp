// SPDX-License-Identifier: Apache-2.0
#include "bench/contender.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "runtime/decision/state.h"

namespace moe::bench {
namespace {

void* fresh_state(const decision::Params& params) {
  const size_t bytes = (decision::state_bytes(params) + 63) & ~size_t{63};
  void* const state = std::aligned_alloc(64, bytes);
  decision::init_state(params, state);
  return state;
}

bool same(const uint32_t* a, const uint32_t* b, uint32_t n) { return std::equal(a, a + n, b); }

bool alike(const decision::Output& a, const decision::Output& b) {
  return a.num_entries == b.num_entries && a.num_evicted == b.num_evicted && a.num_prefetched == b.num_prefetched &&
         same(a.expert, b.expert, a.num_entries) && std::equal(a.action, a.action + a.num_entries, b.action) &&
         same(a.num_selections, b.num_selections, a.num_entries) && same(a.evicted, b.evicted, a.num_evicted) &&
         same(a.prefetched, b.prefetched, a.num_prefetched) && std::equal(a.weight, a.weight + a.num_entries, b.weight);
}

class Counts {
 public:
  void add(const decision::Output& out) {
    hits_ += static_cast<size_t>(std::count(out.action, out.action + out.num_entries, decision::kHit));
    accesses_ += out.num_entries;
    evicted_ += out.num_evicted;
    ++dispatches_;
  }
  Summary summary() const {
    return {static_cast<double>(hits_) / static_cast<double>(accesses_),
            static_cast<double>(evicted_) / static_cast<double>(dispatches_)};
  }

 private:
  size_t hits_ = 0, accesses_ = 0, evicted_ = 0, dispatches_ = 0;
};

}  // namespace

Contender::Contender(const decision::Params& params, decision::DispatchFn dispatch)
    : state_(fresh_state(params), std::free),
      dispatch_(dispatch),
      arrays_(decision::output_sizes(params, 1, 0)),
      output_(arrays_.output()) {}

Contender::Contender(const decision::Params& params, const Baseline& baseline)
    : state_(baseline.make(), baseline.free),
      dispatch_(baseline.dispatch),
      arrays_(decision::output_sizes(params, 1, 0)),
      output_(arrays_.output()) {}

decision::Input input_of(const Routing& routing, size_t d) {
  decision::Input in{};
  in.layer = static_cast<uint32_t>(d % routing.shape.num_layers);
  in.num_tokens = 1;
  in.top_k = routing.shape.top_k;
  in.ids = &routing.ids[d * in.top_k];
  in.weights = &routing.weights[d * in.top_k];
  in.phase = 1;
  return in;
}

bool Contender::decide(const Routing& routing, size_t d) {
  const decision::Input in = input_of(routing, d);
  return dispatch_(state_.get(), &in, &output_) == decision::kOk;
}

Result<Summary> compare(Contender& a, Contender& b, const Routing& routing) {
  Counts counts;
  for (size_t d = 0; d < routing.num_dispatches; ++d) {
    if (!a.decide(routing, d) || !b.decide(routing, d)) {
      return Error{Error::Kind::invalid, fmt::format("dispatch {} was refused", d)};
    }
    if (!alike(a.output(), b.output())) {
      return Error{Error::Kind::internal, fmt::format("dispatch {} was decided differently", d)};
    }
    counts.add(a.output());
  }
  return counts.summary();
}

Result<Summary> summarize(Contender& contender, const Routing& routing) {
  Counts counts;
  for (size_t d = 0; d < routing.num_dispatches; ++d) {
    if (!contender.decide(routing, d)) {
      return Error{Error::Kind::invalid, fmt::format("dispatch {} was refused", d)};
    }
    counts.add(contender.output());
  }
  return counts.summary();
}

}  // namespace moe::bench
