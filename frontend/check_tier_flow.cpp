// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "frontend/lower_shared.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

/// Bits of a weight; 0: not known here.
int width_of(ir::Dtype dtype) {
  switch (dtype) {
    case ir::Dtype::as_stored:
      return 0;
    case ir::Dtype::f32:
      return 32;
    case ir::Dtype::bf16:
    case ir::Dtype::f16:
      return 16;
    case ir::Dtype::f8_e4m3:
    case ir::Dtype::int8:
      return 8;
    case ir::Dtype::int4:
      return 4;
    case ir::Dtype::int2:
      break;
  }
  return 2;
}

size_t place_of(const ir::TiersRule& tiers, std::string_view name) {
  const auto found =
      std::find_if(tiers.tiers.begin(), tiers.tiers.end(), [&](const ir::Tier& t) { return t.name.value == name; });
  return static_cast<size_t>(found - tiers.tiers.begin());
}

/// Which tiers an expert can get into. All begin in the slowest; a demand load brings them to the fastest and, on its
/// way from disk, through the host, unless `direct`; the rest is the moves' doing.
std::vector<bool> reached_tiers(const ir::TiersRule& tiers) {
  const size_t count = tiers.tiers.size();
  std::vector<bool> reached(count, false);
  reached.front() = true;
  reached.back() = true;
  const bool from_disk = tiers.tiers.back().location.value == ir::Location::disk;
  for (size_t i = 0; i < count; ++i) {
    if (from_disk && !tiers.direct.value && tiers.tiers[i].location.value == ir::Location::host) reached[i] = true;
  }
  bool grew = true;
  while (grew) {
    grew = false;
    for (const ir::Move& move : tiers.moves) {
      const size_t to = place_of(tiers, move.to.value);
      if (!reached[place_of(tiers, move.from.value)] || reached[to]) continue;
      reached[to] = grew = true;
    }
  }
  return reached;
}

void check_reached(const ir::TiersRule& tiers, ir::Diagnostics& diagnostics) {
  const std::vector<bool> reached = reached_tiers(tiers);
  for (size_t i = 0; i < reached.size(); ++i) {
    if (reached[i]) continue;
    const ir::Tier& tier = tiers.tiers[i];
    const bool is_target = std::any_of(tiers.moves.begin(), tiers.moves.end(),
                                       [&](const ir::Move& move) { return move.to.value == tier.name.value; });
    diagnostics.warning(
        "MOE2163", tier.name.span,
        is_target ? fmt::format("{} stays empty: so do the tiers that it is filled from", quote(tier.name.value))
                  : fmt::format("nothing moves into {}", quote(tier.name.value)),
        fmt::format("add `demote {} -> {} on evict`, or remove the tier", tiers.tiers.front().name.value,
                    tier.name.value));
  }
}

// The slowest tier is where every expert comes from.
void check_slowest(const ir::TiersRule& tiers, ir::Diagnostics& diagnostics) {
  const ir::Tier& slowest = tiers.tiers.back();
  if (tiers.tiers.size() < 2 || !slowest.capacity) return;
  diagnostics.warning(
      "MOE2022", slowest.capacity->span,
      fmt::format("nothing reads `capacity` of {}: the slowest tier holds every expert", quote(slowest.name.value)),
      "remove it, or add a slower tier");
}

void check_precision(const ir::TiersRule& tiers, ir::Diagnostics& diagnostics) {
  if (!tiers.precision) return;
  const ir::Tier& fastest = tiers.tiers.front();
  if (fastest.dtype.value != ir::Dtype::as_stored) {
    auto& error = diagnostics.error("MOE2166", fastest.dtype.span,
                                    "`precision` decides how the fastest tier holds an expert, and so does its `dtype`",
                                    "remove one of the two");
    error.related_span = tiers.precision->span;
    error.related_message = "`precision` is here";
  }
  const ir::Tier& slowest = tiers.tiers.back();
  const int stored = width_of(slowest.dtype.value);
  for (const ir::Ladder::Rung& rung : tiers.precision->value.rungs) {
    if (stored == 0 || width_of(rung.dtype) <= stored) continue;
    auto& warning = diagnostics.warning(
        "MOE2167", tiers.precision->span,
        fmt::format("{} asks for more than the {} of the slowest tier: what is lost there does not come back",
                    quote(to_word(rung.dtype)), quote(to_word(slowest.dtype.value))),
        "store a wider type there, or remove the rung");
    warning.related_span = slowest.dtype.span;
    warning.related_message = "it is stored like this";
    return;
  }
}

}  // namespace

void check_tier_flow(const ir::TiersRule& tiers, ir::Diagnostics& diagnostics) {
  if (tiers.tiers.empty()) return;
  check_reached(tiers, diagnostics);
  check_slowest(tiers, diagnostics);
  check_precision(tiers, diagnostics);
}

}  // namespace moe::frontend
