// SPDX-License-Identifier: Apache-2.0
// moe.h: statistics.
#include <cstdio>
#include <string>

#include "runtime/abi/handles.h"
#include "runtime/core/engine.h"
#include "runtime/structs.h"

using moe::fail;
using moe::guarded;

namespace {

namespace metrics = moe::metrics;

moe_stats_t collect(const moe_runtime& runtime) {
  const metrics::Counters& counters = runtime.counters;
  const moe::core::Traffic& traffic = runtime.traffic;
  moe_stats_t out{};
  out.dispatches = counters.total(metrics::kDispatches);
  out.tokens = counters.total(metrics::kTokens);
  out.accesses = counters.total(metrics::kAccesses);
  out.selections = counters.total(metrics::kSelections);
  out.hits = counters.total(metrics::kHits);
  out.late_hits = counters.total(metrics::kLateHits);
  out.misses = counters.total(metrics::kMisses);
  out.loads = counters.total(metrics::kLoads);
  out.streams = counters.total(metrics::kStreams);
  out.cpu = counters.total(metrics::kCpu);
  out.evictions = counters.total(metrics::kEvictions);
  out.prefetched = counters.total(metrics::kPrefetched);
  out.prefetch_used = counters.total(metrics::kPrefetchUsed);
  out.prefetch_cancelled = counters.total(metrics::kPrefetchCancelled);
  out.bytes_moved = traffic.bytes_moved.load(std::memory_order_relaxed);
  out.stall_ns = traffic.stall_ns.load(std::memory_order_relaxed);
  out.swaps = traffic.swaps.load(std::memory_order_relaxed);
  out.failed_loads = traffic.failed_loads.load(std::memory_order_relaxed);
  out.resident = traffic.resident.load(std::memory_order_relaxed);
  if (const moe::core::Engine* engine = runtime.engine.load(std::memory_order_acquire)) {
    out.fast_tier_bytes = engine->slot_bytes() * engine->dimensions().num_slots;
    if (engine->host()) out.host_bytes = engine->host()->size_bytes();
    if (engine->device()) out.device_tier_bytes = engine->device()->size_bytes();
  }
  out.window_hit_rate = counters.rates().hit_rate;
  out.approximated = counters.total(metrics::kApproximated);
  out.degraded = counters.total(metrics::kDegraded);
  out.lower_precision = counters.total(metrics::kLowerPrecision);
  out.disk_bytes = traffic.disk_bytes.load(std::memory_order_relaxed);
  return out;
}

/// Writes flat JSON objects.
class Json {
 public:
  void open() { separate("{"); }
  void close() {
    text_ += '}';
    first_ = false;
  }
  void key(const char* name) {
    separate("\"");
    text_ += name;
    text_ += "\":";
    first_ = true;
  }
  void number(const char* name, uint64_t value) {
    key(name);
    text_ += std::to_string(value);
    first_ = false;
  }
  void number(const char* name, double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    key(name);
    text_ += digits;
    first_ = false;
  }
  void open_array() {
    text_ += '[';
    first_ = true;
  }
  void close_array() {
    text_ += ']';
    first_ = false;
  }
  const std::string& text() const { return text_; }

 private:
  void separate(const char* begin) {
    if (!first_) text_ += ',';
    text_ += begin;
    first_ = *begin == '{';
  }
  std::string text_;
  bool first_ = true;
};

std::string to_json(const moe_runtime& runtime) {
  const metrics::Counters& counters = runtime.counters;
  const metrics::Rates rates = counters.rates();
  const moe_stats_t stats = collect(runtime);
  Json json;
  json.open();
  for (uint32_t c = 0; c < metrics::kNumCounters; ++c) {
    const auto counter = static_cast<metrics::Counter>(c);
    json.number(metrics::counter_name(counter), counters.total(counter));
  }
  json.number("bytes_moved", stats.bytes_moved);
  json.number("stall_ns", stats.stall_ns);
  json.number("swaps", stats.swaps);
  json.number("failed_loads", stats.failed_loads);
  json.number("fast_tier_bytes", stats.fast_tier_bytes);
  json.number("disk_bytes", stats.disk_bytes);
  json.number("host_bytes", stats.host_bytes);
  json.number("device_tier_bytes", stats.device_tier_bytes);
  json.number("resident", stats.resident);
  json.key("window");
  json.open();
  json.number("hit_rate", rates.hit_rate);
  json.number("miss_rate", rates.miss_rate);
  json.number("eviction_rate", rates.eviction_rate);
  json.number("prefetch_accuracy", rates.prefetch_accuracy);
  json.number("prefetch_coverage", rates.prefetch_coverage);
  json.close();
  json.key("layers");
  json.open_array();
  for (uint32_t layer = 0; layer < counters.num_layers(); ++layer) {
    json.open();
    for (uint32_t c = 0; c < metrics::kNumCounters; ++c) {
      const auto counter = static_cast<metrics::Counter>(c);
      json.number(metrics::counter_name(counter), counters.layer(layer, counter));
    }
    json.close();
  }
  json.close_array();
  json.close();
  return json.text();
}

}  // namespace

extern "C" {

moe_status moe_stats(moe_runtime* runtime, moe_stats_t* out_stats) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (const moe_status status = moe::abi::check_struct(out_stats, "out_stats")) return status;
    moe::abi::write_struct(collect(*runtime), out_stats);
    return MOE_OK;
  });
}

moe_status moe_stats_json(moe_runtime* runtime, char* buffer, size_t capacity, size_t* out_length) {
  return guarded([&] {
    if (const moe_status status = moe::abi::check_runtime(runtime)) return status;
    if (!out_length) return fail(MOE_INVALID, "`out_length` is NULL");
    if (!buffer && capacity != 0) return fail(MOE_INVALID, "`buffer` is NULL, its capacity is not 0");
    const std::string text = to_json(*runtime);
    *out_length = text.size();
    if (capacity <= text.size()) {
      return fail(MOE_FULL, "the statistics need %zu bytes, the buffer has %zu", text.size() + 1, capacity);
    }
    std::copy_n(text.c_str(), text.size() + 1, buffer);
    return MOE_OK;
  });
}

}  // extern "C"
