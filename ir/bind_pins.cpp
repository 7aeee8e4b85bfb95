// SPDX-License-Identifier: Apache-2.0
// Pins and preloads: lists of a policy to keys of a model.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/bind_capacity.h"

namespace moe::ir {
namespace {

using Pins = std::vector<Sourced<Pin>>;
using Keys = std::vector<uint32_t>;

bool check_in_model(const Sourced<Pin>& pin, bool clipped, const BindContext& context) {
  const ModelShape& shape = context.shape;
  if (pin.value.kind == Pin::Kind::hottest) {
    const bool known = context.options.profile != nullptr;
    if (!known) {
      context.diagnostics.error("MOE2221", pin.span, "`hottest` needs a profile, and none was given",
                                "write `profile = \"FILE.moeprof\"` in `prefetch`, made by `moec profile`");
    }
    return known;
  }
  if (pin.value.kind == Pin::Kind::all || clipped) return true;
  if (pin.value.experts.last >= shape.num_experts) {
    context.diagnostics.error("MOE2205", pin.span,
                              fmt::format("expert {} is beyond the model, whose layers have {} experts",
                                          pin.value.experts.last, shape.num_experts),
                              fmt::format("name experts 0 to {}", shape.num_experts - 1));
    return false;
  }
  if (pin.value.layers && pin.value.layers->last >= shape.num_layers) {
    context.diagnostics.error(
        "MOE2205", pin.span,
        fmt::format("layer {} is beyond the model, which has {} layers", pin.value.layers->last, shape.num_layers),
        fmt::format("name layers 0 to {}", shape.num_layers - 1));
    return false;
  }
  return true;
}

/// The lists in force, layer by layer.
class PinLists {
 public:
  PinLists(const BindContext& context, bool preload) : context_(context), preload_(preload) {}

  const Pins& of_layer(uint32_t layer) const {
    for (const Band& band : context_.policy.bands) {
      const std::optional<Pins>& own = preload_ ? band.preload : band.pins;
      if (own && band.first <= layer && layer <= band.last) return *own;
    }
    return preload_ ? context_.rules.cache.preload : context_.rules.cache.pins;
  }

  bool in_model() const {
    bool fine = true;
    const auto check = [&](const Pins& pins) {
      for (const Sourced<Pin>& pin : pins) fine = check_in_model(pin, preload_, context_) && fine;
    };
    check(preload_ ? context_.rules.cache.preload : context_.rules.cache.pins);
    for (const Band& band : context_.policy.bands) {
      const std::optional<Pins>& own = preload_ ? band.preload : band.pins;
      if (own) check(*own);
    }
    return fine;
  }

 private:
  const BindContext& context_;
  bool preload_;
};

// Experts of one instance by frequency, the most frequent first; ties: the lower key.
Keys hottest(const BindContext& context, uint32_t first_layer, uint32_t end_layer, uint64_t count) {
  const Profile& profile = *context.options.profile;
  Keys keys;
  for (uint32_t layer = first_layer; layer < end_layer; ++layer) {
    for (uint32_t expert = 0; expert < context.shape.num_experts; ++expert) {
      keys.push_back(layer * context.shape.num_experts + expert);
    }
  }
  const auto frequency = [&](uint32_t key) {
    return profile.frequency[key / context.shape.num_experts][key % context.shape.num_experts];
  };
  std::stable_sort(keys.begin(), keys.end(), [&](uint32_t a, uint32_t b) { return frequency(a) > frequency(b); });
  keys.resize(std::min<uint64_t>(count, keys.size()));
  return keys;
}

uint64_t hottest_count(const Capacity& wanted, uint64_t experts, uint32_t capacity) {
  switch (wanted.kind) {
    case Capacity::Kind::slots:
      return wanted.amount;
    case Capacity::Kind::ratio:
      return std::max<uint64_t>(
          1, static_cast<uint64_t>(std::floor(wanted.ratio * static_cast<double>(experts) * (1 + 1e-12))));
    default:
      return capacity;
  }
}

/// Walks the keys that a policy lists, in order of text; stops early when `visit` returns false.
class KeyWalk {
 public:
  KeyWalk(const BindContext& context, const Capacities& capacities, const PinLists& lists)
      : context_(context), capacities_(capacities), lists_(lists) {}

  template <class Visit>
  void run(const Visit& visit) const {
    const uint32_t num_layers = context_.shape.num_layers;
    for (uint32_t layer = 0; layer < num_layers; ++layer) {
      for (const Sourced<Pin>& pin : lists_.of_layer(layer)) {
        if (!visit_pin(layer, pin, visit)) return;
      }
    }
  }

 private:
  template <class Visit>
  bool visit_pin(uint32_t layer, const Sourced<Pin>& pin, const Visit& visit) const {
    const uint32_t num_experts = context_.shape.num_experts;
    if (pin.value.kind == Pin::Kind::hottest) {
      if (!context_.per_layer() && layer != 0) return true;  // one list for the whole cache
      const uint32_t end = context_.per_layer() ? layer + 1 : context_.shape.num_layers;
      const uint64_t count = hottest_count(pin.value.hottest, context_.experts_per_instance(), capacities_[layer]);
      for (const uint32_t key : hottest(context_, layer, end, count)) {
        if (!visit(key, pin.span)) return false;
      }
      return true;
    }
    const bool all = pin.value.kind == Pin::Kind::all;
    const std::optional<Pin::Range>& layers = pin.value.layers;
    if (!all && layers && (layer < layers->first || layers->last < layer)) return true;
    const uint32_t first = all ? 0 : pin.value.experts.first;
    const uint32_t last = all ? num_experts - 1 : std::min(pin.value.experts.last, num_experts - 1);
    for (uint32_t expert = first; expert <= last; ++expert) {
      if (!visit(layer * num_experts + expert, pin.span)) return false;
    }
    return true;
  }

  const BindContext& context_;
  const Capacities& capacities_;
  const PinLists& lists_;
};

void report_too_many(const BindContext& context, SourceSpan span, uint32_t layer, uint32_t capacity) {
  const std::string where = context.per_layer() ? fmt::format(" in layer {}", layer) : "";
  context.diagnostics.error("MOE2206", span,
                            fmt::format("more experts are pinned{} than `capacity` holds, {} slots", where, capacity),
                            fmt::format("raise `capacity` to more than {}", capacity));
}

}  // namespace

std::optional<Keys> bind_pins(const BindContext& context, const Capacities& capacities) {
  const PinLists lists(context, /*preload=*/false);
  if (!lists.in_model()) return std::nullopt;
  std::set<uint32_t> pinned;
  std::vector<uint32_t> in_instance(context.shape.num_layers);
  bool fits = true;
  SourceSpan last_span;
  KeyWalk(context, capacities, lists).run([&](uint32_t key, SourceSpan span) {
    if (!pinned.insert(key).second) return true;
    const uint32_t layer = key / context.shape.num_experts;
    last_span = span;
    uint32_t& count = in_instance[context.per_layer() ? layer : 0];
    fits = ++count <= capacities[layer];
    if (!fits) report_too_many(context, span, layer, capacities[layer]);
    return fits;
  });
  if (!fits) return std::nullopt;
  const bool full = [&] {
    for (uint32_t i = 0; i < (context.per_layer() ? context.shape.num_layers : 1); ++i) {
      if (in_instance[i] == capacities[i] && capacities[i] < context.experts_per_instance()) return true;
    }
    return false;
  }();
  if (full && !pinned.empty() && context.rules.cache.admit.value.kind != Admit::never) {
    context.diagnostics.warning("MOE2207", last_span, "the pinned experts fill the cache, so every miss streams",
                                "raise `capacity`");
  }
  return Keys(pinned.begin(), pinned.end());
}

std::optional<Keys> bind_preload(const BindContext& context, const Capacities& capacities, const Keys& pins) {
  const PinLists lists(context, /*preload=*/true);
  if (!lists.in_model()) return std::nullopt;
  std::set<uint32_t> taken(pins.begin(), pins.end());
  std::vector<uint32_t> in_instance(context.shape.num_layers);
  const auto instance_of = [&](uint32_t key) { return context.per_layer() ? key / context.shape.num_experts : 0; };
  for (const uint32_t key : pins) ++in_instance[instance_of(key)];
  Keys keys;
  KeyWalk(context, capacities, lists).run([&](uint32_t key, SourceSpan) {
    uint32_t& count = in_instance[instance_of(key)];
    if (count >= capacities[key / context.shape.num_experts] || !taken.insert(key).second) return true;
    ++count;
    keys.push_back(key);
    return true;
  });
  return keys;
}

}  // namespace moe::ir
