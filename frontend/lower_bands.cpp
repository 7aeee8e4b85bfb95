// SPDX-License-Identifier: Apache-2.0
// layers A..B { ... } and phase NAME { ... }: what overrides the policy's own blocks.
#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/lower.h"
#include "frontend/lower_keys.h"
#include "frontend/lower_shared.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

constexpr double kMaxLayer = 4095;  // a model has at most 4,096 layers

struct Overrides {
  std::vector<ir::Assignment> keys;
  std::optional<std::vector<ir::Sourced<ir::Pin>>> pins;
  std::optional<std::vector<ir::Sourced<ir::Pin>>> preload;
  std::optional<ir::TiersRule> tiers;
};

// The blocks inside a band or a phase: nothing is required in them.
class OverrideLowering {
 public:
  OverrideLowering(const CheckContext& context, const ir::Rules& base, bool layered, std::string_view override_of)
      : context_(context), base_(base), layered_(layered), override_of_(override_of) {}

  Overrides lower(const ast::Block& outer, const BlockSpec& spec) {
    check_block(context_, outer, spec);
    std::vector<const ast::Block*> seen;
    for (const ast::Item& item : outer.items) {
      const auto* inner = std::get_if<ast::Block>(&item.node);
      if (inner == nullptr || !contains_word(spec.inner_blocks, inner->name.text)) continue;
      if (too_many(context_.diagnostics)) break;
      if (!is_repeated(*inner, seen)) lower_block(*inner);
      seen.push_back(inner);
    }
    std::stable_sort(out_.keys.begin(), out_.keys.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    if (out_.tiers) check_capacity_beside_tiers();
    return std::move(out_);
  }

 private:
  bool is_repeated(const ast::Block& inner, const std::vector<const ast::Block*>& seen) {
    const auto first =
        std::find_if(seen.begin(), seen.end(), [&](const ast::Block* b) { return b->name.text == inner.name.text; });
    if (first == seen.end()) return false;
    auto& twice = context_.diagnostics.error(
        "MOE2007", inner.name.span, fmt::format("the block {} stands twice", quote(inner.name.text)), "join the two");
    twice.related_span = (*first)->name.span;
    twice.related_message = "the first is here";
    return true;
  }

  void lower_block(const ast::Block& inner) {
    const std::string_view name = inner.name.text;
    if (name == "tiers") {
      out_.tiers = lower_tiers(context_, inner);
      const bool sized = !out_.tiers->tiers.empty() && out_.tiers->tiers.front().capacity;
      if (!layered_ && sized) error_one_cache("capacity", out_.tiers->tiers.front().capacity->span);
      return;
    }
    const BlockValues values = check_block(context_, inner, *find_block(name), override_of_);
    std::vector<ir::Assignment> keys = lower_overrides(context_, name, values, override_of_);
    if (name == "cache") {
      take_pins(values, "pin", out_.pins);
      take_pins(values, "preload", out_.preload);
      if (!layered_) check_one_cache(keys);
    }
    if (name == "schedule") {
      const Typed* written = values.get<Typed>("approximate");
      const bool approximate = written != nullptr ? written->truth : base_.schedule.approximate.value;
      if (auto on_miss = lower_on_miss(context_, inner, approximate)) keys.push_back(std::move(*on_miss));
    }
    std::move(keys.begin(), keys.end(), std::back_inserter(out_.keys));
  }

  void take_pins(const BlockValues& values, std::string_view key,
                 std::optional<std::vector<ir::Sourced<ir::Pin>>>& out) {
    const BlockValues::Value* written = values.find(key);
    if (written == nullptr) return;
    if (override_of_ == "a phase") {
      context_.diagnostics.error("MOE2130", written->key_span, fmt::format("{} cannot differ in a phase", quote(key)),
                                 "move it to the policy's own `cache`");
    } else if (const auto* pins = std::get_if<PinList>(&written->value)) {
      out = *pins;
    }
  }

  // As in the policy itself: one of the two says how large the fastest tier is.
  void check_capacity_beside_tiers() {
    for (const ir::Assignment& assignment : out_.keys) {
      if (assignment.key != ir::Key::capacity) continue;
      auto& error = context_.diagnostics.error("MOE2165", assignment.span, "`tiers` says how large the fastest tier is",
                                               "remove `capacity` here, and set that of the first tier");
      error.related_span = out_.tiers->span;
      error.related_message = "`tiers` is here";
    }
  }

  // One cache for all layers has one capacity, one eviction rule, ...: what is decided expert by expert may differ.
  void check_one_cache(const std::vector<ir::Assignment>& keys) {
    for (const ir::Assignment& assignment : keys) {
      if (assignment.key == ir::Key::admit || assignment.key == ir::Key::protect_selected ||
          assignment.key == ir::Key::one_by_one) {
        continue;
      }
      error_one_cache(ir::info_of(assignment.key).name, assignment.span);
      return;
    }
  }

  void error_one_cache(std::string_view what, ir::SourceSpan span) {
    context_.diagnostics.error(
        "MOE2137", span, fmt::format("{} cannot differ from layer to layer in one cache for all layers", quote(what)),
        "write `scope = layer` in the policy's own `cache`");
  }

  const CheckContext& context_;
  const ir::Rules& base_;
  bool layered_;  // each layer has a cache of its own, or nothing here is bound to layers
  std::string_view override_of_;
  Overrides out_;
};

std::optional<double> check_layer(const CheckContext& context, ast::ExprId id) {
  const auto layer = check_count(context, id, 0, "a layer");
  if (!layer || *layer <= kMaxLayer) return layer;
  context.diagnostics.error("MOE2005", context.exprs[id].span,
                            fmt::format("a layer is 0 to {}", number_text(kMaxLayer)));
  return std::nullopt;
}

// The band's layers; its block has been checked whether they are right or not.
std::optional<ir::Band> lower_range(const CheckContext& context, const ast::Block& block) {
  if (!block.band) {
    context.diagnostics.error("MOE2020", block.name.span, "`layers` needs a range before `{`",
                              "write `layers 0..3 { ... }`");
    return std::nullopt;
  }
  const ast::Expr& range = context.exprs[*block.band];
  const auto first = check_layer(context, context.exprs.operands_of(range)[0]);
  const auto last = check_layer(context, context.exprs.operands_of(range)[1]);
  if (!first || !last) return std::nullopt;
  if (*first > *last) {
    context.diagnostics.error("MOE2005", range.span, "the range of layers is empty", "write the lower layer first");
    return std::nullopt;
  }
  ir::Band band;
  band.first = static_cast<uint32_t>(*first);
  band.last = static_cast<uint32_t>(*last);
  band.span = range.span;
  return band;
}

// A pin of a layer that the band does not have.
void check_pinned_layers(const ir::Band& band, const std::vector<ir::Sourced<ir::Pin>>& pins,
                         ir::Diagnostics& diagnostics) {
  for (const auto& pin : pins) {
    if (too_many(diagnostics)) return;
    if (!pin.value.layers || (pin.value.layers->first <= band.last && pin.value.layers->last >= band.first)) continue;
    diagnostics.warning("MOE2139", pin.span,
                        fmt::format("the band {}..{} does not have this layer", band.first, band.last),
                        "remove the pin, or write it in the policy's own `cache`");
  }
}

void check_overlap(const std::vector<ir::Band>& bands, ir::Diagnostics& diagnostics) {
  for (size_t i = 1; i < bands.size() && !too_many(diagnostics); ++i) {
    if (bands[i].first > bands[i - 1].last) continue;
    auto& error = diagnostics.error("MOE2120", bands[i].span, "two bands of layers overlap", "make them disjoint");
    error.related_span = bands[i - 1].span;
    error.related_message = "the other band is here";
  }
}

bool has_block(const ast::Policy& policy, std::string_view name) {
  return std::any_of(policy.blocks.begin(), policy.blocks.end(), [&](const auto& b) { return b.name.text == name; });
}

}  // namespace

std::vector<ir::Band> lower_bands(const CheckContext& context, const ast::Policy& policy, const ir::Rules& base) {
  std::vector<ir::Band> bands;
  const bool layered = base.cache.scope.value == ir::Scope::layer || has_block(policy, "per_layer");
  for (const ast::Block& block : policy.blocks) {
    if (block.name.text != "layers" || too_many(context.diagnostics)) continue;
    Overrides inner = OverrideLowering(context, base, layered, "a band of layers").lower(block, *find_block("layers"));
    std::optional<ir::Band> band = lower_range(context, block);
    if (!band) continue;
    band->overrides = std::move(inner.keys);
    band->pins = std::move(inner.pins);
    band->preload = std::move(inner.preload);
    band->tiers = std::move(inner.tiers);
    if (band->pins) check_pinned_layers(*band, *band->pins, context.diagnostics);
    if (band->preload) check_pinned_layers(*band, *band->preload, context.diagnostics);
    bands.push_back(std::move(*band));
  }
  std::stable_sort(bands.begin(), bands.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  check_overlap(bands, context.diagnostics);
  return bands;
}

std::vector<ir::PhaseRule> lower_phases(const CheckContext& context, const ast::Policy& policy, const ir::Rules& base) {
  std::vector<ir::PhaseRule> phases;
  for (const ast::Block& block : policy.blocks) {
    if (block.name.text != "phase" || too_many(context.diagnostics)) continue;
    Overrides inner = OverrideLowering(context, base, true, "a phase").lower(block, *find_block("phase"));
    ir::PhaseRule phase;
    const bool is_prefill = block.label && block.label->text == "prefill";
    phase.phase = is_prefill ? ir::Phase::prefill : ir::Phase::decode;
    phase.overrides = std::move(inner.keys);
    phase.span = block.label ? block.label->span : block.name.span;
    const bool repeated =
        std::any_of(phases.begin(), phases.end(), [&](const auto& p) { return p.phase == phase.phase; });
    if (!repeated) phases.push_back(std::move(phase));  // a second block of a phase has been reported
  }
  return phases;
}

}  // namespace moe::frontend
