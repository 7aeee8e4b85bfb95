// SPDX-License-Identifier: Apache-2.0
// The timeline: what it says agrees with what the statistics counted, and with what a link can do.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/runtime/support.h"

namespace moe::test {
namespace {

using nlohmann::json;

json timeline_of(const Fixture& f) {
  const TempDir dir;
  const std::string path = dir / "timeline.json";
  REQUIRE_MESSAGE(moe_timeline_write(f.get(), path.c_str()) == MOE_OK, moe_last_error());
  return json::parse(read_file(path));
}

/// The intervals of a row, by their beginning.
std::vector<json> row(const json& timeline, const std::string& process, const std::string& name) {
  std::map<std::pair<int, int>, std::string> names;
  for (const json& event : timeline.at("traceEvents")) {
    if (event.at("ph") != "M") continue;
    const std::string kind = event.at("name");
    if (kind == "process_name") names[{event.at("pid"), -1}] = event.at("args").at("name");
    if (kind == "thread_name") names[{event.at("pid"), event.at("tid")}] = event.at("args").at("name");
  }
  std::vector<json> found;
  for (const json& event : timeline.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const bool here = names[{event.at("pid"), -1}] == process && names[{event.at("pid"), event.at("tid")}] == name;
    if (here) found.push_back(event);
  }
  std::sort(found.begin(), found.end(), [](const json& a, const json& b) { return a.at("ts") < b.at("ts"); });
  return found;
}

moe_runtime_config config_with(const decision::Params& params, uint64_t bytes) {
  moe_runtime_config config = config_for(params);
  config.timeline_bytes = bytes;
  return config;
}

void dispatch_some(Fixture& f, const decision::Params& p, uint32_t count) {
  std::mt19937 random(5);
  for (uint32_t i = 0; i < count; ++i) {
    const auto a = static_cast<int32_t>(random() % p.num_experts);
    moe_plan plan;
    REQUIRE(f.dispatch(i % p.num_layers, {a, (a + 1) % static_cast<int32_t>(p.num_experts)}, plan) == MOE_OK);
    for (uint32_t entry = 0; entry < plan.num_entries; ++entry) {
      REQUIRE(moe_plan_wait(f.get(), &plan, entry, nullptr) == MOE_OK);
    }
    REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
  }
}

TEST_CASE("every transfer, dispatch and wait is in its row") {
  const decision::Params p = lru_params(3, 16, 2, 12);
  Fixture f(p, 40'000, config_with(p, 1 << 20));
  REQUIRE(f.attach(p) == MOE_OK);
  dispatch_some(f, p, 300);
  const json timeline = timeline_of(f);
  const moe_stats_t stats = f.stats();

  const std::vector<json> link = row(timeline, "links", "host to fast tier");
  CHECK(link.size() == stats.loads + stats.streams);
  uint64_t bytes = 0;
  double end = 0;
  for (const json& transfer : link) {
    CHECK(transfer.at("ts").get<double>() >= end - 0.001);  // one after another; times have three decimals
    end = transfer.at("ts").get<double>() + transfer.at("dur").get<double>();
    bytes += transfer.at("args").at("bytes").get<uint64_t>();
    CHECK(transfer.at("cat") == "demand");
  }
  CHECK(bytes == stats.bytes_moved);
  CHECK(row(timeline, "links", "disk to host").empty());

  double waited = 0;
  uint64_t dispatches = 0, queued = 0;
  for (uint32_t layer = 0; layer < p.num_layers; ++layer) {
    end = 0;
    for (const json& event : row(timeline, "layers", "layer " + std::to_string(layer))) {
      CHECK(event.at("ts").get<double>() >= end - 0.001);
      end = event.at("ts").get<double>() + event.at("dur").get<double>();
      if (event.at("cat") == "wait") waited += event.at("dur").get<double>();
      if (event.at("cat") != "dispatch") continue;
      ++dispatches;
      queued += event.at("args").at("queued").get<uint64_t>();
    }
  }
  CHECK(dispatches == stats.dispatches);
  CHECK(queued == link.size());
  CHECK(waited * 1e3 == doctest::Approx(static_cast<double>(stats.stall_ns)).epsilon(0.01));
}

TEST_CASE("a load that fails says so") {
  SteeredBackend::Control control;
  const decision::Params p = lru_params(1, 8, 2, 4);
  Fixture f(p, 100, config_with(p, 1 << 16), &control);
  REQUIRE(f.attach(p) == MOE_OK);
  control.broken.insert(f.experts()(0, 5).data());
  moe_plan plan;
  REQUIRE(f.dispatch(0, {5, 6}, plan) == MOE_OK);
  CHECK(moe_plan_wait(f.get(), &plan, 0, nullptr) == MOE_IO);
  REQUIRE(moe_plan_wait(f.get(), &plan, 1, nullptr) == MOE_OK);
  const std::vector<json> link = row(timeline_of(f), "links", "host to fast tier");
  REQUIRE(link.size() == 2);
  CHECK(link[0].at("name") == "L0 E5 failed");
  CHECK(link[0].at("args").at("bytes") == 0);
  CHECK(link[1].at("name") == "L0 E6");
  REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
}

TEST_CASE("the newest events stay") {
  const decision::Params p = lru_params(3, 16, 2, 12);
  for (const uint64_t bytes : {uint64_t{1}, uint64_t{8192}}) {
    Fixture f(p, 64, config_with(p, bytes));
    REQUIRE(f.attach(p) == MOE_OK);
    dispatch_some(f, p, 1000);
    const json timeline = timeline_of(f);
    size_t dispatches = 0;
    for (uint32_t layer = 0; layer < p.num_layers; ++layer) {
      for (const json& event : row(timeline, "layers", "layer " + std::to_string(layer))) {
        dispatches += event.at("cat") == "dispatch";
      }
    }
    CHECK(dispatches == (bytes == 1 ? 12 : 51));  // of 40 bytes, in a ring of 512 or 2048
  }
}

TEST_CASE("no timeline was asked for, or it cannot be written") {
  const decision::Params p = lru_params(1, 8, 1, 4);
  Fixture off(p, 64);
  CHECK(moe_timeline_write(off.get(), "x") == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "the runtime has no timeline: set timeline_bytes");
  Fixture on(p, 64, config_with(p, 1 << 16));
  CHECK(moe_timeline_write(nullptr, "x") == MOE_INVALID);
  CHECK(moe_timeline_write(on.get(), nullptr) == MOE_INVALID);
  CHECK(moe_timeline_write(on.get(), "") == MOE_INVALID);
  CHECK(moe_timeline_write(on.get(), "/no/such/folder/t.json") == MOE_IO);
  CHECK(row(timeline_of(on), "links", "host to fast tier").empty());  // before the first attach
  moe_runtime_config config = config_with(p, (uint64_t{1} << 30) + 1);
  moe_runtime* runtime = nullptr;
  CHECK(moe_runtime_create(&config, &runtime) == MOE_INVALID);
}

}  // namespace
}  // namespace moe::test
