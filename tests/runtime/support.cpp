// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/support.h"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "runtime/backend/host.h"

namespace moe::test {
namespace {

uint8_t byte_of(uint32_t layer, uint32_t expert, size_t offset) {
  uint64_t x = (uint64_t{layer} << 40) ^ (uint64_t{expert} << 20) ^ offset;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return static_cast<uint8_t>(x >> 56);
}

}  // namespace

FakeExperts::FakeExperts(uint32_t num_layers, uint32_t num_experts, size_t expert_bytes)
    : num_layers_(num_layers), num_experts_(num_experts) {
  for (uint32_t layer = 0; layer < num_layers; ++layer) {
    for (uint32_t expert = 0; expert < num_experts; ++expert) {
      std::vector<uint8_t> bytes(expert_bytes);
      for (size_t i = 0; i < expert_bytes; ++i) bytes[i] = byte_of(layer, expert, i);
      bytes_.push_back(std::move(bytes));
    }
  }
}

bool FakeExperts::is(uint32_t layer, uint32_t expert, const void* data) const {
  const auto& bytes = (*this)(layer, expert);
  return data && std::memcmp(data, bytes.data(), bytes.size()) == 0;
}

void FakeExperts::add_all_to(moe_runtime* runtime) const {
  for (uint32_t layer = 0; layer < num_layers_; ++layer) {
    for (uint32_t expert = 0; expert < num_experts_; ++expert) {
      const auto& bytes = (*this)(layer, expert);
      REQUIRE(moe_store_add(runtime, layer, expert, bytes.data(), bytes.size()) == MOE_OK);
    }
  }
}

void SteeredBackend::Control::allow(uint64_t copies) {
  const std::lock_guard hold(lock);
  permits = copies;
  changed.notify_all();
}

void SteeredBackend::Control::wait_started(size_t count) {
  std::unique_lock hold(lock);
  changed.wait(hold, [&] { return asked >= count; });
}

Result<void*> SteeredBackend::allocate(uint32_t num_slots, size_t slot_bytes) {
  tier_ = Block(allocator_, num_slots * slot_bytes);
  slot_bytes_ = slot_bytes;
  return tier_.data();
}

Result<void> SteeredBackend::start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool) {
  std::unique_lock hold(control_.lock);
  if (offset == 0 || control_.every_piece) {
    ++control_.asked;
    control_.changed.notify_all();
    control_.changed.wait(hold, [&] { return control_.permits > 0; });
    if (control_.permits != UINT64_MAX) --control_.permits;
    control_.started.push_back(source);
  }
  if (control_.broken.contains(source)) return Error{Error::Kind::io, "the disk is on fire"};
  std::memcpy(tier_.bytes() + slot * slot_bytes_ + offset, source, size);
  return {};
}

decision::Params lru_params(uint32_t num_layers, uint32_t num_experts, uint32_t top_k, uint32_t capacity) {
  decision::Params p{};
  p.num_layers = num_layers;
  p.num_experts = num_experts;
  p.top_k = top_k;
  p.capacity = capacity;
  p.admit = 1;
  p.protect_selected = 1;
  p.decay_interval = 100;
  p.freq_window = 100;
  p.frequency_decay = 0.95;
  p.score_ema_alpha = 0.3;
  p.freq_threshold = 0.05;
  p.memory_headroom = 0.7;
  p.memory_budget_gb = 16;
  p.expert_size_gb = 1;
  p.bandwidth = 1;
  p.budget = 4;
  p.lookahead = 1;
  p.history_window = 50;
  p.cancel_stale = 1;
  p.overlap = 1;
  p.monitor_window = 100;
  p.log_interval = 50;
  return p;
}

moe_runtime_config config_for(const decision::Params& params) {
  moe_runtime_config config{};
  config.struct_size = sizeof config;
  config.shape = {sizeof(moe_model_shape), params.num_layers, params.num_experts, params.top_k, 0};
  config.max_tokens = 512;
  return config;
}

Fixture::Fixture(const decision::Params& params, size_t expert_bytes, moe_runtime_config config,
                 SteeredBackend::Control* control)
    : params_(params), experts_(params.num_layers, params.num_experts, expert_bytes) {
  auto backends = [control](const Allocator& allocator) -> std::unique_ptr<backend::Backend> {
    if (control) return std::make_unique<SteeredBackend>(allocator, *control);
    return std::make_unique<backend::HostBackend>(allocator);
  };
  REQUIRE(core::create_runtime(&config, backends, &runtime_) == MOE_OK);
  experts_.add_all_to(runtime_);
}

Fixture::~Fixture() { CHECK(moe_runtime_destroy(runtime_) == MOE_OK); }

moe_status Fixture::attach(const decision::Params& params) {
  Result<PolicyRef> policy = static_policy(params, "test");
  REQUIRE_MESSAGE(policy.ok(), (policy.ok() ? "" : policy.error().message));
  moe_policy* handle = policy->release();
  const moe_status status = moe_policy_attach(runtime_, handle);
  CHECK(moe_policy_destroy(handle) == MOE_OK);
  return status;
}

moe_status Fixture::dispatch(uint32_t layer, const std::vector<int32_t>& ids, moe_plan& plan) {
  const moe_dispatch_args args = dispatch_args(params_, layer, ids);
  plan = empty_plan();
  return moe_dispatch(runtime_, &args, &plan);
}

moe_stats_t Fixture::stats() const {
  moe_stats_t stats{};
  stats.struct_size = sizeof stats;
  REQUIRE(moe_stats(runtime_, &stats) == MOE_OK);
  return stats;
}

moe_plan empty_plan() {
  moe_plan plan{};
  plan.struct_size = sizeof plan;
  return plan;
}

moe_dispatch_args dispatch_args(const decision::Params& params, uint32_t layer, const std::vector<int32_t>& ids) {
  moe_dispatch_args args{};
  args.struct_size = sizeof args;
  args.layer = layer;
  args.top_k = params.top_k;
  args.num_tokens = static_cast<uint32_t>(ids.size()) / params.top_k;
  args.ids = ids.data();
  return args;
}

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "moe-test-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()));
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  REQUIRE(out.good());
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in.good());
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace moe::test
