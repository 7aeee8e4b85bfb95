// SPDX-License-Identifier: Apache-2.0
// Misuse of every function of moe.h gets MOE_INVALID, an error text, and changes nothing.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/policy_owner.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

moe_policy* resident(const decision::Params& p) {
  const moe_model_shape shape{sizeof shape, p.num_layers, p.num_experts, p.top_k, 0};
  moe_policy* policy = nullptr;
  REQUIRE(moe_policy_resident(&shape, &policy) == MOE_OK);
  return policy;
}

TEST_CASE("constants") {
  CHECK(moe_version() == 100);
  CHECK(std::string(moe_status_text(MOE_OK)) == "ok");
  CHECK(std::string(moe_status_text(MOE_WOULD_DEADLOCK)) == "would deadlock");
  CHECK(std::string(moe_status_text(static_cast<moe_status>(15))) == "unknown status");
  CHECK(moe_runtime_destroy(nullptr) == MOE_OK);
  CHECK(moe_policy_destroy(nullptr) == MOE_OK);
}

TEST_CASE("the error text is each thread's own") {
  std::thread([] { CHECK(std::string(moe_last_error()).empty()); }).join();
  CHECK(moe_policy_load(nullptr, nullptr) == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "`path_to_so` is NULL");
  std::thread([] { CHECK(std::string(moe_last_error()).empty()); }).join();
  moe_policy* policy = nullptr;
  CHECK(moe_policy_load("/no/such\nfile.so", &policy) == MOE_IO);
  CHECK(std::string(moe_last_error()) == "/no/such?file.so: cannot open: No such file or directory");
  moe_set_last_error("from elsewhere");
  CHECK(std::string(moe_last_error()) == "from elsewhere");
}

TEST_CASE("NULL, in every place") {
  const decision::Params p = lru_params(2, 4, 1, 4);
  Fixture f(p, 64);
  REQUIRE(f.attach(p) == MOE_OK);
  moe_runtime* r = f.get();
  moe_policy* policy = resident(p);
  moe_plan plan;
  REQUIRE(f.dispatch(0, {1}, plan) == MOE_OK);
  const moe_dispatch_args no_ids = dispatch_args(p, 0, {});
  const int32_t id = 1;
  const float probability = 1;
  size_t length;
  char buffer[4];
  moe_tensor_view view{};
  view.struct_size = sizeof view;
  moe_policy* out = nullptr;
  moe_runtime* out_runtime = nullptr;
  const moe_runtime_config config = config_for(p);
  const std::function<moe_status()> calls[] = {
      [&] { return moe_runtime_create(nullptr, &out_runtime); },
      [&] { return moe_runtime_create(&config, nullptr); },
      [&] { return moe_store_open(nullptr, "."); },
      [&] { return moe_store_open(r, nullptr); },
      [&] { return moe_store_add(nullptr, 0, 0, &id, 4); },
      [&] { return moe_store_tensor(nullptr, "x", &view); },
      [&] { return moe_store_tensor(r, nullptr, &view); },
      [&] { return moe_store_tensor(r, "x", nullptr); },
      [&] { return moe_store_part(nullptr, 0, nullptr); },
      [&] { return moe_store_part(r, 0, nullptr); },
      [&] { return moe_policy_load("x", nullptr); },
      [&] { return moe_policy_from_descriptor(nullptr, &out); },
      [&] { return moe_policy_from_descriptor(&id, nullptr); },
      [&] { return moe_policy_resident(nullptr, &out); },
      [&] { return moe_policy_resident(&config.shape, nullptr); },
      [&] { return moe_policy_attach(nullptr, policy); },
      [&] { return moe_policy_attach(r, nullptr); },
      [&] { return moe_dispatch(nullptr, &no_ids, &plan); },
      [&] { return moe_dispatch(r, nullptr, &plan); },
      [&] { return moe_dispatch(r, &no_ids, &plan); },
      [&] { return moe_dispatch(r, &no_ids, nullptr); },
      [&] { return moe_plan_wait(nullptr, &plan, 0, nullptr); },
      [&] { return moe_plan_wait(r, nullptr, 0, nullptr); },
      [&] { return moe_plan_done(nullptr, &plan, 0, nullptr); },
      [&] { return moe_plan_done(r, nullptr, 0, nullptr); },
      [&] { return moe_plan_release(nullptr, &plan, nullptr); },
      [&] { return moe_plan_release(r, nullptr, nullptr); },
      [&] { return moe_hint(nullptr, 0, &id, &probability, 1); },
      [&] { return moe_hint(r, 0, nullptr, &probability, 1); },
      [&] { return moe_hint(r, 0, &id, nullptr, 1); },
      [&] { return moe_stats(nullptr, nullptr); },
      [&] { return moe_stats(r, nullptr); },
      [&] { return moe_stats_json(nullptr, buffer, 4, &length); },
      [&] { return moe_stats_json(r, nullptr, 4, &length); },
      [&] { return moe_stats_json(r, buffer, 4, nullptr); },
      // One handle for the other.
      [&] { return moe_policy_attach(reinterpret_cast<moe_runtime*>(policy), policy); },
      [&] { return moe_policy_attach(r, reinterpret_cast<moe_policy*>(r)); },
      [&] { return moe_policy_destroy(reinterpret_cast<moe_policy*>(r)); },
      [&] { return moe_runtime_destroy(reinterpret_cast<moe_runtime*>(policy)); },
  };
  for (size_t i = 0; i < std::size(calls); ++i) {
    CAPTURE(i);
    moe_set_last_error("");
    CHECK(calls[i]() == MOE_INVALID);
    CHECK(moe_last_error()[0] != '\0');
  }
  CHECK(moe_policy_manifest(nullptr) == nullptr);
  CHECK(out == nullptr);
  CHECK(out_runtime == nullptr);
  // The plan of before all this is as it was.
  CHECK(moe_plan_wait(r, &plan, 0, nullptr) == MOE_OK);
  CHECK(moe_plan_release(r, &plan, nullptr) == MOE_OK);
  moe_policy_destroy(policy);
}

TEST_CASE("probabilities outside 0..1 are refused, and nothing changes") {
  const decision::Params p = lru_params(2, 4, 1, 4);
  Fixture f(p, 64);
  REQUIRE(f.attach(p) == MOE_OK);
  const std::vector<int32_t> ids{1};
  moe_dispatch_args args = dispatch_args(p, 0, ids);
  moe_plan plan = empty_plan();
  for (const float wrong : {-0.1f, 1.5f, std::numeric_limits<float>::quiet_NaN()}) {
    const float probabilities[] = {0.5f, 0.25f, wrong, 0.25f};
    args.probabilities = probabilities;
    CHECK(moe_dispatch(f.get(), &args, &plan) == MOE_INVALID);
    CHECK(std::string(moe_last_error()) == "`probabilities` has 1 values that are not in 0..1");
  }
  const float probabilities[] = {0.0f, 1.0f, 0.0f, 0.0f};
  args.probabilities = probabilities;
  REQUIRE(moe_dispatch(f.get(), &args, &plan) == MOE_OK);
  CHECK(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
}

TEST_CASE("struct_size: shorter is refused, longer is understood, absurd is refused") {
  const decision::Params p = lru_params(2, 4, 1, 4);
  Fixture f(p, 64);
  REQUIRE(f.attach(p) == MOE_OK);
  const std::vector<int32_t> ids{1};
  moe_dispatch_args args = dispatch_args(p, 0, ids);
  moe_plan plan = empty_plan();
  for (const uint32_t size : {0u, 4u, uint32_t{sizeof args} - 1, 1u << 20, 0xFFFFFFFFu}) {
    args.struct_size = size;
    CHECK(moe_dispatch(f.get(), &args, &plan) == MOE_INVALID);
    args.struct_size = sizeof args;
    plan.struct_size = size;
    if (size != sizeof plan) CHECK(moe_dispatch(f.get(), &args, &plan) == MOE_INVALID);
    plan.struct_size = sizeof plan;
    moe_stats_t stats{};
    stats.struct_size = size;
    CHECK(moe_stats(f.get(), &stats) == MOE_INVALID);
  }
  struct Newer {
    moe_plan plan;
    uint64_t unknown[4];
  } newer;
  std::memset(&newer, 0xAB, sizeof newer);
  newer.plan.struct_size = sizeof newer;
  REQUIRE(moe_dispatch(f.get(), &args, &newer.plan) == MOE_OK);
  CHECK(newer.plan.struct_size == sizeof newer);
  CHECK(newer.plan.num_entries == 1);
  for (const uint64_t field : newer.unknown) CHECK(field == 0);
  CHECK(moe_plan_release(f.get(), &newer.plan, nullptr) == MOE_OK);
}

TEST_CASE("configurations that cannot be") {
  const moe_runtime_config good = config_for(lru_params(2, 4, 2, 4));
  struct Case {
    std::function<void(moe_runtime_config&)> spoil;
    moe_status status;
  };
  const Case cases[] = {
      {[](auto& c) { c.struct_size = 8; }, MOE_INVALID},
      {[](auto& c) { c.shape.struct_size = 0; }, MOE_INVALID},
      {[](auto& c) { c.backend = 7; }, MOE_UNSUPPORTED},
      {[](auto& c) { c.shape.num_layers = 0; }, MOE_INVALID},
      {[](auto& c) { c.shape.num_layers = 4097; }, MOE_INVALID},
      {[](auto& c) { c.shape.num_experts = 0; }, MOE_INVALID},
      {[](auto& c) { c.shape.num_experts = 65535; }, MOE_INVALID},
      {[](auto& c) { c.shape.top_k = 0; }, MOE_INVALID},
      {[](auto& c) { c.shape.top_k = 5; }, MOE_INVALID},
      {[](auto& c) { c.streaming_slots = 1; }, MOE_INVALID},
      {[](auto& c) { c.streaming_slots = 0xFFFFFFFF; }, MOE_INVALID},
      {[](auto& c) { c.max_plans = 70000; }, MOE_INVALID},
      {[](auto& c) { c.max_tokens = 0xFFFFFFFF; }, MOE_INVALID},
      {[](auto& c) { c.reserved = 1; }, MOE_INVALID},
      {[](auto& c) { c.alloc = [](void*, size_t, size_t) -> void* { return nullptr; }; }, MOE_INVALID},
      {[](auto& c) { c.free = [](void*, void*, size_t) {}; }, MOE_INVALID},
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    CAPTURE(i);
    moe_runtime_config config = good;
    cases[i].spoil(config);
    moe_runtime* runtime = nullptr;
    CHECK(moe_runtime_create(&config, &runtime) == cases[i].status);
    CHECK(runtime == nullptr);
  }
}

struct Heap {
  size_t limit = SIZE_MAX;  ///< bytes that may be live
  std::map<void*, size_t> live;
  size_t bytes = 0;
  bool consistent = true;

  static void* alloc(void* user, size_t size, size_t alignment) {
    auto& heap = *static_cast<Heap*>(user);
    if (size > heap.limit - heap.bytes) return nullptr;
    void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    heap.live[memory] = size;
    heap.bytes += size;
    return memory;
  }
  static void free(void* user, void* memory, size_t size) {
    auto& heap = *static_cast<Heap*>(user);
    heap.consistent = heap.consistent && heap.live.contains(memory) && heap.live[memory] == size;
    heap.bytes -= size;
    heap.live.erase(memory);
    std::free(memory);
  }
};

TEST_CASE("allocator hooks get all they gave, and say no at any time") {
  const decision::Params p = lru_params(2, 4, 1, 4);
  size_t needed = SIZE_MAX;
  for (size_t limit = SIZE_MAX, round = 0; round < 40; ++round) {
    CAPTURE(limit);
    Heap heap;
    heap.limit = limit;
    moe_runtime_config config = config_for(p);
    config.alloc = Heap::alloc;
    config.free = Heap::free;
    config.alloc_user = &heap;
    moe_runtime* runtime = nullptr;
    const moe_status created = moe_runtime_create(&config, &runtime);
    if (created == MOE_OK) {
      const FakeExperts experts(2, 4, 64);
      experts.add_all_to(runtime);
      moe_policy* policy = resident(p);
      const moe_status attached = moe_policy_attach(runtime, policy);
      CHECK(attached == (limit == SIZE_MAX ? MOE_OK : MOE_NO_MEMORY));
      moe_policy_destroy(policy);
      if (limit == SIZE_MAX) needed = heap.bytes;
      CHECK(moe_runtime_destroy(runtime) == MOE_OK);
    } else {
      CHECK(created == MOE_NO_MEMORY);
    }
    CHECK(heap.consistent);
    CHECK(heap.live.empty());
    limit = needed * round / 40;
  }
}

TEST_CASE("a fast tier that does not fit shrinks to what the policy needs, and says so") {
  const decision::Params p = lru_params(4, 64, 1, 8);
  constexpr size_t kBytes = 64 << 10;
  for (const size_t limit : {size_t{40} * kBytes, size_t{12} * kBytes, size_t{9} * kBytes}) {
    CAPTURE(limit);
    Heap heap;
    heap.limit = limit;
    std::vector<std::string> log;
    moe_runtime_config config = config_for(p);
    config.max_tokens = 1;
    config.max_plans = 1;
    config.alloc = Heap::alloc;
    config.free = Heap::free;
    config.alloc_user = &heap;
    config.fast_bytes = 200 * kBytes;
    config.log_user = &log;
    config.log = [](void* user, moe_log_level level, const char* text) {
      if (level == MOE_LOG_WARNING) static_cast<std::vector<std::string>*>(user)->emplace_back(text);
    };
    moe_runtime* runtime = nullptr;
    REQUIRE(moe_runtime_create(&config, &runtime) == MOE_OK);
    const FakeExperts experts(4, 64, kBytes);
    experts.add_all_to(runtime);
    Result<PolicyRef> policy = static_policy(p, "small");
    REQUIRE(policy.ok());
    moe_policy* handle = policy->release();
    const moe_status attached = moe_policy_attach(runtime, handle);
    moe_policy_destroy(handle);
    if (limit < 10 * kBytes) {  // not even the policy's 8 and 2 for streaming
      CHECK(attached == MOE_NO_MEMORY);
      CHECK(log.empty());
    } else {
      REQUIRE(attached == MOE_OK);
      moe_stats_t stats{};
      stats.struct_size = sizeof stats;
      REQUIRE(moe_stats(runtime, &stats) == MOE_OK);
      CHECK(stats.fast_tier_bytes >= 10 * kBytes);
      CHECK(stats.fast_tier_bytes < limit);
      REQUIRE(log.size() == 1);
      const std::string slots = std::to_string(stats.fast_tier_bytes / kBytes);
      CHECK(log[0] == "no memory for a fast tier of 200 slots: it has " + slots + " of 65536 bytes");
      const std::vector<int32_t> ids{7};
      moe_plan plan = empty_plan();
      const moe_dispatch_args args = dispatch_args(p, 2, ids);
      REQUIRE(moe_dispatch(runtime, &args, &plan) == MOE_OK);
      REQUIRE(moe_plan_wait(runtime, &plan, 0, nullptr) == MOE_OK);
      CHECK(experts.is(2, 7, plan.entries[0].data));
      REQUIRE(moe_plan_release(runtime, &plan, nullptr) == MOE_OK);
    }
    CHECK(moe_runtime_destroy(runtime) == MOE_OK);
    CHECK(heap.live.empty());
  }
}

TEST_CASE("hints are checked") {
  const decision::Params p = lru_params(2, 4, 1, 4);
  Fixture f(p, 64);
  struct Case {
    uint32_t layer;
    std::vector<int32_t> ids;
    std::vector<float> probabilities;
    moe_status status;
  };
  const Case cases[] = {
      {0, {0, 3}, {0.0f, 1.0f}, MOE_OK}, {1, {}, {}, MOE_OK},
      {2, {0}, {0.5f}, MOE_INVALID},     {0, {4}, {0.5f}, MOE_INVALID},
      {0, {-1}, {0.5f}, MOE_INVALID},    {0, {1, 1}, {0.5f, 0.5f}, MOE_INVALID},
      {0, {1}, {1.5f}, MOE_INVALID},     {0, {1}, {-0.1f}, MOE_INVALID},
      {0, {1}, {NAN}, MOE_INVALID},      {0, {0, 1, 2, 3, 0}, {0, 0, 0, 0, 0}, MOE_INVALID},
  };
  for (const Case& one : cases) {
    CHECK(moe_hint(f.get(), one.layer, one.ids.data(), one.probabilities.data(),
                   static_cast<uint32_t>(one.ids.size())) == one.status);
  }
}

TEST_CASE("statistics as JSON") {
  const decision::Params p = lru_params(2, 4, 2, 4);
  Fixture f(p, 64);
  REQUIRE(f.attach(p) == MOE_OK);
  for (uint32_t n = 0; n < 6; ++n) {
    moe_plan plan;
    REQUIRE(f.dispatch(n % 2, {0, 1, 1, 2}, plan) == MOE_OK);
    for (uint32_t i = 0; i < plan.num_entries; ++i) REQUIRE(moe_plan_wait(f.get(), &plan, i, nullptr) == MOE_OK);
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
  size_t length = 0;
  CHECK(moe_stats_json(f.get(), nullptr, 0, &length) == MOE_FULL);
  REQUIRE(length > 100);
  std::string text(length + 1, 'x');
  CHECK(moe_stats_json(f.get(), text.data(), length, &length) == MOE_FULL);
  CHECK(text[0] == 'x');
  REQUIRE(moe_stats_json(f.get(), text.data(), length + 1, &length) == MOE_OK);
  const auto json = nlohmann::json::parse(text.c_str());
  const moe_stats_t stats = f.stats();
  CHECK(json["accesses"] == stats.accesses);
  CHECK(json["hits"] == stats.hits);
  CHECK(json["bytes_moved"] == stats.bytes_moved);
  CHECK(json["tokens"] == 6);
  CHECK(json["window"]["hit_rate"].get<double>() == doctest::Approx(stats.window_hit_rate));
  REQUIRE(json["layers"].size() == 2);
  CHECK(json["layers"][0]["accesses"].get<uint64_t>() + json["layers"][1]["accesses"].get<uint64_t>() ==
        stats.accesses);
}

TEST_CASE("the log tells of policies, of failures and of the monitor") {
  struct Lines {
    std::mutex lock;
    std::vector<std::string> text;
    bool has(const std::string& part) {
      const std::lock_guard hold(lock);
      return std::any_of(text.begin(), text.end(),
                         [&](const std::string& line) { return line.find(part) != line.npos; });
    }
  } lines;
  decision::Params p = lru_params(1, 8, 1, 2);
  p.log_interval = 10;
  moe_runtime_config config = config_for(p);
  config.log_user = &lines;
  config.log = [](void* user, moe_log_level, const char* text) {
    auto& l = *static_cast<Lines*>(user);
    const std::lock_guard hold(l.lock);
    l.text.push_back(text);
  };
  SteeredBackend::Control control;
  Fixture f(p, 64, config, &control);
  control.broken.insert(f.experts()(0, 7).data());
  REQUIRE(f.attach(p) == MOE_OK);
  REQUIRE(f.attach(p) == MOE_OK);
  CHECK(lines.has("policy `test` is attached"));
  CHECK(lines.has("policy `test` takes over at the next dispatch"));
  moe_plan plan;
  REQUIRE(f.dispatch(0, {7}, plan) == MOE_OK);
  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_IO);
  REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  CHECK(lines.has("loading layer 0 expert 7 failed: the disk is on fire"));
  while (!lines.has("hit_rate=")) {
    REQUIRE(f.dispatch(0, {1}, plan) == MOE_OK);
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

}  // namespace
}  // namespace moe::test
