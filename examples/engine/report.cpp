// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/report.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace engine {
namespace {

double ratio(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

double stall_ms(const moe_stats_t& stats) { return static_cast<double>(stats.stall_ns) / 1e6; }

// Over the whole run, prompt included: what a user waits for.
double tokens_per_s(const Generation& generation) {
  const double ms = generation.prefill_ms + generation.decode_ms;
  return ms > 0 ? static_cast<double>(generation.token_ids.size()) * 1000 / ms : 0;
}

nlohmann::ordered_json to_json(const Perplexity& one) {
  return {{"perplexity", one.perplexity}, {"mean_nll", one.mean_nll}, {"tokens", one.tokens}};
}

}  // namespace

std::string to_json(const Report& report) {
  const moe_stats_t& stats = report.stats;
  nlohmann::ordered_json json;
  json["prompt_ids"] = report.prompt_ids;
  json["token_ids"] = report.generation.token_ids;
  json["text"] = report.text;
  json["exact"] = report.exact;
  json["checked"] = report.checked;
  json["policy"] = report.policy;
  json["backend"] = report.backend;
  json["hit_rate"] = ratio(stats.hits, stats.accesses);
  json["accesses"] = stats.accesses;
  json["hits"] = stats.hits;
  json["late_hits"] = stats.late_hits;
  json["misses"] = stats.misses;
  json["loads"] = stats.loads;
  json["streams"] = stats.streams;
  json["cpu"] = stats.cpu;
  json["evictions"] = stats.evictions;
  json["prefetched"] = stats.prefetched;
  json["prefetch_used"] = stats.prefetch_used;
  json["bytes_moved"] = stats.bytes_moved;
  json["disk_bytes"] = stats.disk_bytes;
  json["approximated_share"] = ratio(stats.approximated, stats.selections);
  json["degraded"] = stats.degraded;
  json["lower_precision_share"] = ratio(stats.lower_precision, stats.selections);
  if (report.perplexity) json["perplexity"] = to_json(*report.perplexity);
  if (report.resident_perplexity) json["resident_perplexity"] = to_json(*report.resident_perplexity);
  json["stall_ms"] = stall_ms(stats);
  json["prefill_ms"] = report.generation.prefill_ms;
  json["decode_ms"] = report.generation.decode_ms;
  json["tokens_per_s"] = tokens_per_s(report.generation);
  json["peak_fast_bytes"] = stats.fast_tier_bytes;
  json["host_bytes"] = stats.host_bytes;
  json["device_tier_bytes"] = stats.device_tier_bytes;
  return json.dump() + "\n";
}

std::string to_text(const Report& report) {
  const moe_stats_t& stats = report.stats;
  const auto megabytes = [](uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  const char* exact = report.exact ? "the same output as fully resident" : "not the same output as fully resident";
  std::string text = report.perplexity ? "" : report.text + "\n\n";
  const auto row = [&](const char* name, const std::string& value) { text += fmt::format("{:<12}{}\n", name, value); };
  row("policy", fmt::format("{} ({}{})", report.policy, exact, report.checked ? ", compared bit for bit" : ""));
  if (report.perplexity) {
    std::string text_of =
        fmt::format("{:.3f} over {} tokens", report.perplexity->perplexity, report.perplexity->tokens);
    if (report.resident_perplexity) {
      text_of += fmt::format("; {:.3f} with every expert resident", report.resident_perplexity->perplexity);
    }
    row("perplexity", text_of);
  } else {
    row("speed", fmt::format("{:.1f} tokens/s: {} tokens, prompt of {} in {:.1f} ms, the others in {:.1f} ms",
                             tokens_per_s(report.generation), report.generation.token_ids.size(),
                             report.prompt_ids.size(), report.generation.prefill_ms, report.generation.decode_ms));
  }
  row("hit rate", fmt::format("{:.1f} %: {} hits, {} of them late, {} misses", 100 * ratio(stats.hits, stats.accesses),
                              stats.hits, stats.late_hits, stats.misses));
  row("misses", fmt::format("{} loaded, {} streamed, {} computed on the host", stats.loads, stats.streams, stats.cpu));
  if (stats.approximated != 0) {
    row("left out", fmt::format("{:.2f} % of the router's {} choices",
                                100 * ratio(stats.approximated, stats.selections), stats.selections));
  }
  if (stats.lower_precision != 0) {
    row("precision", fmt::format("{:.2f} % of the router's choices computed in lower precision; {} misses degraded",
                                 100 * ratio(stats.lower_precision, stats.selections), stats.degraded));
  }
  row("prefetch", fmt::format("{} queued, {} used", stats.prefetched, stats.prefetch_used));
  row("moved", fmt::format("{:.1f} MB, {:.1f} ms of stall", megabytes(stats.bytes_moved), stall_ms(stats)));
  std::string fast_tier = fmt::format("{:.1f} MB", megabytes(stats.fast_tier_bytes));
  if (stats.device_tier_bytes != 0)
    fast_tier += fmt::format(", {:.1f} MB below it", megabytes(stats.device_tier_bytes));
  row("fast tier", fast_tier);
  if (stats.host_bytes != 0) {
    row("from disk", fmt::format("{:.1f} MB, through {:.1f} MB of host memory", megabytes(stats.disk_bytes),
                                 megabytes(stats.host_bytes)));
  }
  return text;
}

}  // namespace engine
