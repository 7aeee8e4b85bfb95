// SPDX-License-Identifier: Apache-2.0
// The queue rules on the first accesses of a real trace, against the hit counts of libCacheSim 0.3.5 on the same
// accesses (tests/oracles/libcachesim_counts.py --trace). Needs the trace beside the checkout.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>

#include "replay/load_trace.h"
#include "tests/ir/queue_libcachesim.h"
#include "tests/ir/queue_sequences.h"
#include "tests/replay/support.h"

namespace moe::replay {
namespace {

using ir::Eviction;

constexpr size_t kNumAccesses = 100000;

struct Row {
  Eviction rule;
  uint32_t capacity;  // for all layers together
  uint32_t hits;
};

constexpr Row kRows[] = {
    {Eviction::sieve, 100, 8594},      {Eviction::sieve, 190, 35377},     {Eviction::sieve, 400, 67588},
    {Eviction::s3_fifo, 100, 37344},   {Eviction::s3_fifo, 190, 59861},   {Eviction::s3_fifo, 400, 90676},
    {Eviction::arc, 100, 34095},       {Eviction::arc, 190, 60162},       {Eviction::arc, 400, 89794},
    {Eviction::lirs, 100, 40344},      {Eviction::lirs, 190, 62890},      {Eviction::lirs, 400, 89664},
    {Eviction::w_tinylfu, 100, 38625}, {Eviction::w_tinylfu, 190, 62082}, {Eviction::w_tinylfu, 400, 89939},
};

std::vector<uint32_t> first_accesses(const Trace& trace) {
  std::vector<uint32_t> keys;
  for (size_t i = 0; i < kNumAccesses; ++i) {
    keys.push_back(static_cast<uint32_t>(i / trace.top_k % trace.num_layers) * trace.num_experts + trace.experts[i]);
  }
  return keys;
}

template <typename Theirs>
uint32_t their_hits(uint32_t capacity, const std::vector<uint32_t>& keys) {
  Theirs cache(capacity);
  uint32_t hits = 0;
  for (uint32_t key : keys) hits += cache.access(key);
  return hits;
}

TEST_CASE("the queue rules on the gpt-oss trace, when it is there") {
  const auto path = test::shared_data("traces/gpt-oss-20b-decode.npz");
  if (!path) return;
  const Result<Trace> trace = load_trace(*path);
  REQUIRE(trace.ok());
  const std::vector<uint32_t> keys = first_accesses(*trace);
  for (const Row& row : kRows) {
    CAPTURE(to_word(row.rule));
    CAPTURE(row.capacity);
    ir::test::Cache cache(row.rule, row.capacity);
    uint32_t hits = 0;
    for (uint32_t key : keys) hits += cache.access(key, [](uint32_t) { return true; }).hit;
    CHECK(cache.rule->consistent());
    const double difference = std::abs(static_cast<double>(hits) - static_cast<double>(row.hits)) / kNumAccesses;
    if (row.rule == Eviction::lirs) {
      CHECK(their_hits<ir::test::LibCacheSimLirs>(row.capacity, keys) == row.hits);
      CHECK(difference < 0.01);
    } else if (row.rule == Eviction::w_tinylfu) {
      CHECK(their_hits<ir::test::LibCacheSimWTinyLfu>(row.capacity, keys) == row.hits);
      CHECK(difference < 0.04);
    } else {
      CHECK(hits == row.hits);
    }
    MESSAGE(hits, " hits, libCacheSim ", row.hits);
  }
}

}  // namespace
}  // namespace moe::replay
