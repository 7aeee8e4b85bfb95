// SPDX-License-Identifier: Apache-2.0
// The `learn` block: the variable `value`, and strategy learned. docs/semantics.md, "The learner", has every input, the
// order of every sum and the moment of every update.
//
// Of the two models of a layer only those exist that something asks: the value head for `value`, the use head for
// learned. Logarithms are taken once, when a layer's state moves: the inputs of its next dispatch are those of its last
// one but for request_uses / request_dispatches, the last row, which a new request sets to 0.
#pragma once
#include "runtime/decision/predict/head.h"
#include "runtime/decision/predict/ranking.h"

namespace moe::decision {

struct LearnerState {
  double squares;        ///< of the choices' values
  uint32_t num_choices;  ///< of the last learn_window dispatches
  uint32_t asked;        ///< 1 + the layer whose use head gave `use_outputs` since the last dispatch; 0: none
};

struct LearnerLayer {
  uint64_t request;   ///< of its last dispatch
  double dispatches;  ///< of that request
  double squares;     ///< of the choices at its last dispatch
  uint32_t num_choices;
  uint32_t reserved;
};

/// The learner's part of the state block.
class Learner {
 public:
  MOE_FOLDED Learner(const Params& p, const State& s) : p_(p), s_(s), at_(s.predict()), n_(p.num_experts) {}

  MOE_FOLDED double* values(uint32_t layer) const { return rows(at_.values, layer, 1); }

  /// Weights of the profile, or zeros; what the value heads say of a state where nothing has happened.
  MOE_FOLDED void init() const {
    for (uint32_t l = 0; l < p_.num_layers; ++l) {
      double* const dense = rows(at_.dense, l, kNumDenseInputs);
      for (uint32_t e = 0; e < n_; ++e) {
        dense[e] = 1;
        for (uint32_t i = 1; i <= kNumRates; ++i) dense[size_t{i} * n_ + e] = math::log(kRateFloor);
      }
      if ((p_.profile & kProfileWeights) != 0 && p_.weights != nullptr) copy_weights(l);
      if (has_value_head(p_)) value_head(l).evaluate(inputs_then(l), values(l));
    }
  }

  /// The dispatch's experts are known, nothing is decided yet. Cost: (choices in the window) x num_experts, four times.
  template <class Rule>
  MOE_FOLDED void observe(const Context<Rule>& ctx, const Output& out) const {
    const uint64_t request = s_.header().request_epoch;
    const uint64_t request_before = request - s_.header().new_request;
    if (has_use_head(p_) && p_.learn_freeze == 0) learn_use(ctx, request_before);
    state().asked = 0;
    record(ctx, out, request);
    if (has_value_head(p_)) {
      learn_value(ctx);
    } else {
      keep_dense(ctx.layer);
    }
  }

  /// Writes what learned names to the ranking: every expert of the next layer. Returns how many.
  MOE_FOLDED uint32_t name(uint32_t layer) const {
    const uint32_t next = (layer + 1) % p_.num_layers;
    double* const outputs = scratch(at_.use_outputs);
    use_head(next).evaluate(inputs_now(next, s_.header().request_epoch), outputs);
    state().asked = next + 1;
    Named* const ranking = ranking_of(s_);
    for (uint32_t e = 0; e < n_; ++e) ranking[e] = {outputs[e], outputs[e], next * n_ + e, e};
    return n_;
  }

 private:
  static constexpr uint32_t kNumRates = 5;
  static constexpr double kTimeConstants[kNumRates] = {2, 6, 20, 80, 400};  // dispatches of the layer
  static constexpr double kRateFloor = 0.01;                                // added to a use rate before its logarithm

  MOE_FOLDED double* rows(size_t offset, uint32_t layer, size_t count) const {
    return s_.at<double>(offset) + count * layer * n_;
  }
  MOE_FOLDED double* scratch(size_t offset) const { return s_.at<double>(offset); }
  MOE_FOLDED LearnerState& state() const { return *s_.at<LearnerState>(at_.learner); }
  MOE_FOLDED LearnerLayer& layer_state(uint32_t layer) const { return s_.at<LearnerLayer>(at_.learner_layers)[layer]; }
  MOE_FOLDED size_t max_choices() const { return size_t{p_.learn_window} * n_; }
  MOE_FOLDED Choice* choices() const { return s_.at<Choice>(at_.choices); }
  MOE_FOLDED Choice* choices_then(uint32_t layer) const {
    return s_.at<Choice>(at_.value_choices) + max_choices() * layer;
  }
  MOE_FOLDED Head head(size_t choice_weights, size_t dense_weights, uint32_t layer) const {
    return {rows(choice_weights, layer, max_choices()), rows(dense_weights, layer, kNumDenseInputs), n_};
  }
  MOE_FOLDED Head value_head(uint32_t layer) const { return head(at_.value_weights, at_.value_dense, layer); }
  MOE_FOLDED Head use_head(uint32_t layer) const { return head(at_.use_weights, at_.use_dense, layer); }

  /// At the layer's last dispatch.
  MOE_FOLDED HeadInputs inputs_then(uint32_t layer) const {
    const double* const dense = rows(at_.dense, layer, kNumDenseInputs);
    const LearnerLayer& of = layer_state(layer);
    return {choices_then(layer), of.num_choices, of.squares, dense, dense + size_t{kNumDenseInputs - 1} * n_};
  }
  /// Now, the layer not having run since its last dispatch.
  MOE_FOLDED HeadInputs inputs_now(uint32_t layer, uint64_t request) const {
    double* const last = scratch(at_.shares_now);
    share_of_request(layer, request, last);
    return {choices(), state().num_choices, state().squares, rows(at_.dense, layer, kNumDenseInputs), last};
  }

  MOE_FOLDED void share_of_request(uint32_t layer, uint64_t request, double* out) const {
    const LearnerLayer& of = layer_state(layer);
    const bool known = of.request == request && of.dispatches > 0;
    const double* const uses = rows(at_.learner_uses, layer, 1);
    for (uint32_t e = 0; e < n_; ++e) out[e] = known ? uses[e] / of.dispatches : 0;
  }

  template <class Rule>
  MOE_FOLDED void learn_use(const Context<Rule>& ctx, uint64_t request) const {
    double* const outputs = scratch(at_.use_outputs);
    double* const errors = scratch(at_.errors);
    const HeadInputs inputs = inputs_now(ctx.layer, request);
    if (state().asked != ctx.layer + 1) use_head(ctx.layer).evaluate(inputs, outputs);
    for (uint32_t e = 0; e < n_; ++e) errors[e] = (s_.stamps()[e] == ctx.epoch ? 1.0 : 0.0) - outputs[e];
    use_head(ctx.layer).learn(inputs, errors, p_.learn_rate);
  }

  /// The state moves; the new inputs go to dense_now.
  template <class Rule>
  MOE_FOLDED void record(const Context<Rule>& ctx, const Output& out, uint64_t request) const {
    LearnerLayer& layer = layer_state(ctx.layer);
    double* const uses = rows(at_.learner_uses, ctx.layer, 1);
    if (layer.request != request) {
      layer.request = request;
      layer.dispatches = 0;
      for (uint32_t e = 0; e < n_; ++e) uses[e] = 0;
    }
    layer.dispatches += 1;
    double* const idle = rows(at_.learner_idle, ctx.layer, 1);
    double* const now = scratch(at_.dense_now);
    const double* const then = rows(at_.dense, ctx.layer, kNumDenseInputs);
    for (uint32_t e = 0; e < n_; ++e) {
      const double used = s_.stamps()[e] == ctx.epoch ? 1.0 : 0.0;
      idle[e] = used != 0 ? 0 : idle[e] + 1;
      uses[e] += used;
      now[e] = 1;
      now[size_t{7} * n_ + e] = used;
      now[size_t{8} * n_ + e] = then[size_t{8} * n_ + e];
    }
    add_choices(ctx, out, now + size_t{8} * n_);
    const double* const used = now + size_t{7} * n_;
    for (uint32_t i = 0; i < kNumRates; ++i) {
      double* const rate = rows(at_.use_rates, ctx.layer, kNumRates) + size_t{i} * n_;
      double* const input = now + size_t{1 + i} * n_;
      MOE_EACH_OUTPUT
      for (uint32_t e = 0; e < n_; ++e) {
        rate[e] = rate[e] + (used[e] - rate[e]) / kTimeConstants[i];
        input[e] = math::log(rate[e] + kRateFloor);
      }
    }
    double* const input = now + size_t{6} * n_;
    MOE_EACH_OUTPUT
    for (uint32_t e = 0; e < n_; ++e) input[e] = math::log(1.0 + idle[e]);
    share_of_request(ctx.layer, request, now + size_t{9} * n_);
  }

  /// The dispatches of the window move on by one, and this one joins them; `weights` of its experts are written.
  template <class Rule>
  MOE_FOLDED void add_choices(const Context<Rule>& ctx, const Output& out, double* weights) const {
    Choice* const list = choices();
    const size_t oldest = max_choices() - n_;  // rows of those who leave
    uint32_t gone = 0;
    while (gone < state().num_choices && list[gone].row >= oldest) ++gone;
    uint32_t count = 0;
    double squares = 0;
    for (uint32_t j = gone; j < state().num_choices; ++j, ++count) {
      list[count] = {list[j].row + n_, 0, list[j].value};
      squares += list[count].value * list[count].value;
    }
    for (uint32_t e = 0; e < n_; ++e) {
      if (s_.stamps()[e] != ctx.epoch) continue;
      const double weight = static_cast<double>(out.weight[s_.entry_of()[e]]) + 0.0;
      weights[e] = weight < 1 ? weight : 1;  // router weights may be unnormalised; inputs must stay bounded
      list[count] = {e, 0, 0.5 + 2.0 * weights[e]};
      squares += list[count].value * list[count].value;
      ++count;
    }
    state().num_choices = count;
    state().squares = squares;
  }

  /// What the value head said at the layer's last dispatch is compared with what it says now.
  template <class Rule>
  MOE_FOLDED void learn_value(const Context<Rule>& ctx) const {
    const double* const now = scratch(at_.dense_now);
    double* const outputs = scratch(at_.value_outputs);
    const HeadInputs inputs{choices(), state().num_choices, state().squares, now,
                            now + size_t{kNumDenseInputs - 1} * n_};
    const Head head = value_head(ctx.layer);
    head.evaluate(inputs, outputs);
    double* const values_then = values(ctx.layer);
    if (p_.learn_freeze == 0) {
      double* const errors = scratch(at_.errors);
      for (uint32_t e = 0; e < n_; ++e) {
        const double target = s_.stamps()[e] == ctx.epoch ? 1.0 : p_.learn_discount * outputs[e];
        errors[e] = target - values_then[e];
      }
      head.learn(inputs_then(ctx.layer), errors, p_.learn_rate);
      Choice* const then = choices_then(ctx.layer);
      for (uint32_t j = 0; j < state().num_choices; ++j) then[j] = choices()[j];
      layer_state(ctx.layer).num_choices = state().num_choices;
      layer_state(ctx.layer).squares = state().squares;
    }
    for (uint32_t e = 0; e < n_; ++e) values_then[e] = outputs[e];
    keep_dense(ctx.layer);
  }

  MOE_FOLDED void keep_dense(uint32_t layer) const {
    double* const dense = rows(at_.dense, layer, kNumDenseInputs);
    const double* const now = scratch(at_.dense_now);
    for (size_t i = 0; i < size_t{kNumDenseInputs} * n_; ++i) dense[i] = now[i];
  }

  MOE_FOLDED void copy_weights(uint32_t layer) const {
    const double* const from = p_.weights + layer * p_.num_learner_weights();
    if (has_value_head(p_)) copy_head(from, value_head(layer));
    if (has_use_head(p_)) copy_head(from + p_.num_learner_weights() / 2, use_head(layer));
  }

  /// A profile has the ten of each expert together.
  MOE_FOLDED void copy_head(const double* from, const Head& to) const {
    const size_t num_choice_weights = max_choices() * n_;
    for (size_t i = 0; i < num_choice_weights; ++i) to.choice_weights[i] = from[i];
    from += num_choice_weights;
    for (uint32_t e = 0; e < n_; ++e) {
      for (uint32_t i = 0; i < kNumDenseInputs; ++i) to.dense_weights[size_t{i} * n_ + e] = *from++;
    }
  }

  const Params& p_;
  const State& s_;
  const PredictLayout& at_;
  const uint32_t n_;
};

}  // namespace moe::decision
