// SPDX-License-Identifier: Apache-2.0
// What a swap keeps (docs/semantics.md, Swap), worked by hand.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "bench/static_kernels.h"
#include "runtime/decision/state.h"

namespace {

using namespace moe::decision;

/// One layer of 8 experts, top-1.
Params small_params(Eviction eviction, uint32_t capacity) {
  Params p = moe::bench::bench_params(eviction);
  p.num_layers = 1;
  p.num_experts = 8;
  p.top_k = 1;
  p.capacity = capacity;
  return p;
}

/// A policy's state, and single dispatches of it.
class Cache {
 public:
  explicit Cache(const Params& params) : params_(params), block_(state_bytes(params) / 64 + 1) {
    init_state(params_, block_.data());
  }
  /// Dispatches one expert; returns what left.
  std::vector<uint32_t> use(int32_t expert, float weight = 1) {
    const OutputSizes sizes = output_sizes(params_, 1, 0);
    std::vector<uint32_t> experts(sizes.entries), selections(sizes.entries), evicted(sizes.evicted), prefetched(8);
    std::vector<uint8_t> actions(sizes.entries);
    std::vector<float> weights(sizes.entries);
    Input in{};
    in.num_tokens = 1;
    in.top_k = 1;
    in.ids = &expert;
    in.weights = &weight;
    Output out{0,
               0,
               0,
               0,
               experts.data(),
               actions.data(),
               selections.data(),
               weights.data(),
               evicted.data(),
               prefetched.data()};
    REQUIRE(static_dispatch(params_, block_.data(), &in, &out) == kOk);
    evicted.resize(out.num_evicted);
    return evicted;
  }
  /// Becomes `next`; returns what did not fit.
  std::vector<uint32_t> swap_to(const Params& next) {
    Cache fresh(next);
    std::vector<uint32_t> left(params_.total_capacity());
    left.resize(adopt_state(params_, block_.data(), next, fresh.block_.data(), left.data()));
    *this = std::move(fresh);
    return left;
  }
  std::vector<uint32_t> residents() const {
    std::vector<uint32_t> keys;
    for (uint32_t key = 0; key < params_.num_keys(); ++key) {
      if (is_resident(params_, block_.data(), key)) keys.push_back(key);
    }
    CHECK(keys.size() == num_resident(params_, block_.data()));
    return keys;
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  Params params_;
  std::vector<Line> block_;
};

using Keys = std::vector<uint32_t>;

}  // namespace

TEST_CASE("residents come over in order of last use") {
  Cache cache(small_params(Eviction::fifo, 4));
  for (int32_t expert : {0, 1, 2, 3, 0, 2}) cache.use(expert);
  CHECK(cache.swap_to(small_params(Eviction::lru, 4)).empty());
  CHECK(cache.residents() == Keys{0, 1, 2, 3});
  CHECK(cache.use(4) == Keys{1});  // last used 1, 3, 0, 2
  CHECK(cache.use(5) == Keys{3});
  CHECK(cache.use(6) == Keys{0});
}

TEST_CASE("the least recently used leave first when the new capacity is smaller") {
  Cache cache(small_params(Eviction::lru, 4));
  for (int32_t expert : {0, 1, 2, 3, 0}) cache.use(expert);
  CHECK(cache.swap_to(small_params(Eviction::score, 2)) == Keys{1, 2});
  CHECK(cache.residents() == Keys{0, 3});
}

TEST_CASE("freq starts at uses") {
  Cache cache(small_params(Eviction::lru, 3));
  for (int32_t expert : {0, 0, 0, 1, 2, 2}) cache.use(expert);  // uses 3, 1, 2
  cache.swap_to(small_params(Eviction::lfu, 3));
  CHECK(cache.use(3) == Keys{1});  // freq 1
  CHECK(cache.use(3).empty());     // now 2
  CHECK(cache.use(3).empty());     // now 3
  CHECK(cache.use(4) == Keys{2});  // freq 2
}

TEST_CASE("a frequency that was kept is carried") {
  Params decaying = small_params(Eviction::lfu, 2);
  decaying.decay_interval = 3;
  decaying.frequency_decay = 0.25;
  Cache cache(decaying);
  for (int32_t expert : {0, 0, 1}) cache.use(expert);  // 0: 2 x 0.25; 1: loaded after the decay, 1
  cache.swap_to(small_params(Eviction::lfu, 2));
  CHECK(cache.use(2) == Keys{0});
}

TEST_CASE("the EMA of the router's weight is kept") {
  Cache cache(small_params(Eviction::lru, 2));
  cache.use(0, 0.75f);
  cache.use(1, 0.5f);
  cache.swap_to(small_params(Eviction::score, 2));
  CHECK(cache.use(2, 0.9f) == Keys{1});
}

TEST_CASE("freq_threshold judges what it took over when its layer has run") {
  Cache cache(small_params(Eviction::lru, 3));
  for (int32_t expert : {0, 1, 2}) cache.use(expert);
  Params next = small_params(Eviction::freq_threshold, 3);
  next.freq_threshold = 0.5;
  cache.swap_to(next);
  CHECK(cache.residents() == Keys{0, 1, 2});
  CHECK(cache.use(1) == Keys{0, 2});  // shares 0, 1, 0: the earlier load first
}

TEST_CASE("what the new policy pins is there once") {
  Cache cache(small_params(Eviction::lru, 3));
  for (int32_t expert : {0, 1, 2}) cache.use(expert);
  const uint32_t pin = 1;
  Params next = small_params(Eviction::lru, 2);
  next.pins = &pin;
  next.num_pins = 1;
  CHECK(cache.swap_to(next) == Keys{0});
  CHECK(cache.residents() == Keys{1, 2});
  CHECK(cache.use(5) == Keys{2});
}
