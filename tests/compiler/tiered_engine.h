// SPDX-License-Identifier: Apache-2.0
// An engine whose experts are read from disk, a model whose bytes are known, and policies with tiers of every kind.
#pragma once
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "codegen/compiler.h"
#include "compiler/driver.h"
#include "runtime/core/runtime.h"
#include "runtime/pack/stream_encoder.h"
#include "tests/runtime/disk/faulty_io.h"
#include "tests/runtime/pack_support.h"

namespace moe::test {

inline constexpr uint32_t kLayers = 3, kExperts = 12, kTopK = 2;
inline constexpr uint32_t kPart = 4 * 37 * 64;  // bytes: two parts make an expert that is no multiple of 4096
inline constexpr uint64_t kExtent = 5 * 4096;   // of 2 * kPart bytes
inline constexpr uint64_t kExpertBytes = 2 * kPart;

inline std::vector<FileTensor> model_tensors() {
  std::vector<FileTensor> tensors{f32("model.embed_tokens.weight", {3, 5})};
  for (uint32_t layer = 0; layer < kLayers; ++layer) {
    for (uint32_t expert = 0; expert < kExperts; ++expert) {
      tensors.push_back(f32(expert_name(layer, expert, "down_proj.weight"), {37, 64}));
      tensors.push_back(f32(expert_name(layer, expert, "up_proj.weight"), {64, 37}));
    }
  }
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (FileTensor& tensor : tensors) {
    for (size_t i = 0; i < tensor.bytes.size(); i += sizeof(float)) {
      const float weight = normal(random);
      std::memcpy(tensor.bytes.data() + i, &weight, sizeof weight);
    }
  }
  return tensors;
}

/// What is left of a matrix of 32-bit floats in a format, by the codecs alone.
inline std::string through(precision::Format format, const FileTensor& tensor) {
  if (format == precision::Format::native) return tensor.bytes;
  precision::Options options;
  options.format = format;
  if (precision::info(format).affine) options.group = precision::default_group(tensor.shape[1]);
  const auto coded = precision::quantize({MOE_F32, tensor.shape[0], tensor.shape[1], tensor.bytes.data()}, options);
  REQUIRE(coded.ok());
  const std::vector<float> back = precision::dequantize(*coded);
  return {reinterpret_cast<const char*>(back.data()), back.size() * sizeof(float)};
}

/// A packed store of the model, with copies in other formats, and what its experts are.
class Model {
 public:
  explicit Model(const std::vector<precision::Format>& formats = {}) {
    const std::vector<FileTensor> tensors = model_tensors();
    const TempDir model;
    write_file(model / "model.safetensors", safetensors(tensors));
    pack(model.path(), formats);
    for (size_t i = 1; i < tensors.size(); i += 2) {
      experts_[precision::Format::native].push_back(tensors[i].bytes + tensors[i + 1].bytes);
      for (const precision::Format format : formats) {
        experts_[format].push_back(through(format, tensors[i]) + through(format, tensors[i + 1]));
      }
    }
  }
  std::string store() const { return dir_ / "store"; }
  std::string data_file() const { return store() + "/experts-00000.bin"; }
  const std::string& expert(uint32_t key) const { return experts_.at(precision::Format::native)[key]; }
  const std::string& expert(uint32_t key, uint32_t format) const {
    return experts_.at(static_cast<precision::Format>(format))[key];
  }
  /// Where the expert lies in the data file.
  size_t place(uint32_t key) const { return read_file(data_file()).find(expert(key)); }

 private:
  void pack(const std::string& model, const std::vector<precision::Format>& formats) const {
    const Result<pack::Source> source = pack::open_source(model);
    REQUIRE(source.ok());
    std::vector<pack::StreamEncoder> encoders;
    for (const precision::Format format : formats) {
      encoders.push_back(pack::StreamEncoder::make(format, source->experts().layout).value());
    }
    pack::PackOptions options;
    for (const pack::StreamEncoder& encoder : encoders) options.encoders.push_back(&encoder);
    const auto packed = pack::pack(*source, store(), options);
    REQUIRE_MESSAGE(packed.ok(), packed.error().message);
  }
  TempDir dir_;
  std::map<precision::Format, std::vector<std::string>> experts_;
};

/// A policy compiled in this process, alive as long as this.
class Policy {
 public:
  explicit Policy(const std::string& blocks) {
    compiler::Target target;
    target.shape = {kLayers, kExperts, kTopK, kExpertBytes};
    ir::Diagnostics diagnostics;
    bound_ = compiler::compile_to_bound(ir::SourceFile("tiered.moe", "policy tiered { " + blocks + " }"), target,
                                        diagnostics);
    REQUIRE_MESSAGE(bound_.has_value(), blocks);
    codegen::Options options;
    options.opt_level = 1;
    auto compiled = codegen::jit(*bound_, options);
    REQUIRE_MESSAGE(compiled.ok(), compiled.error().message);
    code_ = std::move(*compiled);
  }
  moe_status attach(moe_runtime* runtime) const {
    moe_policy* policy = nullptr;
    REQUIRE_MESSAGE(moe_policy_from_descriptor(&code_->descriptor(), &policy) == MOE_OK, moe_last_error());
    const moe_status status = moe_policy_attach(runtime, policy);
    REQUIRE(moe_policy_destroy(policy) == MOE_OK);
    return status;
  }
  const ir::BoundPolicy& bound() const { return *bound_; }

 private:
  std::optional<ir::BoundPolicy> bound_;
  std::unique_ptr<codegen::JitPolicy> code_;
};

inline std::string gpu(uint32_t capacity) {
  return "tier fast { location = gpu capacity = " + std::to_string(capacity) + " } ";
}
inline std::string host(uint32_t capacity) {
  return "tier warm { location = host capacity = " + std::to_string(capacity) + " } ";
}
inline constexpr const char* kDisk = "tier cold { location = disk } ";

inline std::string with_host(uint32_t fast, uint32_t on_host, const std::string& more = "") {
  return "tiers { " + gpu(fast) + host(on_host) + kDisk + more + " } ";
}
inline std::string without_host(uint32_t fast) { return "tiers { " + gpu(fast) + kDisk + " direct = true } "; }

struct TierCase {
  std::string blocks;
  uint32_t fast_slots;
  uint32_t host_slots;
  bool by_the_clock = false;  ///< decisions depend on which prefetch was late
  bool computes = false;      ///< on the host: nothing is loaded

  const Policy& policy() const {
    if (!compiled) compiled = std::make_unique<Policy>(blocks);
    return *compiled;
  }
  mutable std::unique_ptr<Policy> compiled{};
};

inline const auto& tier_cases() {
  static const TierCase all[] = {
      {with_host(4, 9), 4, 9},
      {with_host(4, 9, "inclusive = false"), 4, 9},
      {with_host(4, 9, "inclusive = false demote fast -> warm on evict"), 4, 9},
      {with_host(4, 9, "direct = true promote cold -> warm when idle < 3"), 4, 9},
      {with_host(4, 12, "demote warm -> cold when position > 0") + "cache { eviction = lfu }", 4, 12},
      {with_host(4, 9, "eviction = sieve") + "cache { eviction = s3_fifo }", 4, 9},
      {without_host(4), 4, 0},
      {with_host(6, 8) + "prefetch { strategy = history budget = 2 lookahead = 1 }", 6, 8, true},
      {with_host(4, 9) + "schedule { mode = cpu_fallback }", 4, 9},
      {with_host(4, 9) + "schedule { on miss { else -> cpu } }", 4, 9, false, true},
      {with_host(1, 1), 1, 1},
      {with_host(6, 12) + "cache { admit = when(weight > 0.5) pin = [0:3, 2:1] }", 6, 12},
  };
  return all;
}

inline constexpr const char* kApproximate = "schedule { approximate = true } ";
inline constexpr const char* kLowOnEvict =
    "tier low { location = gpu dtype = int4 capacity = 14 } demote fast -> low on evict ";
inline constexpr const char* kDegrade =
    "schedule { approximate = true on miss { when seen > 2 -> degrade else -> load } } ";

/// Experts in lower precision, or in GPU tiers below the first.
struct LossyCase {
  std::string blocks;
  bool degrades = false;
  bool on_disk = false;

  const Policy& policy() const {
    if (!compiled) compiled = std::make_unique<Policy>(blocks);
    return *compiled;
  }
  mutable std::unique_ptr<Policy> compiled{};
};

inline const auto& lossy_cases() {
  const std::string in_memory = "tier cold { location = host } ";
  const std::string ladder = "precision = by (seen) [as_stored >= 9, int8 >= 4, int4] ";
  static const LossyCase all[] = {
      {"tiers { " + gpu(5) + kLowOnEvict + in_memory + "} " + kDegrade, true},
      {"tiers { " + gpu(5) + kLowOnEvict + kDisk + "} " + kDegrade, true, true},
      {"tiers { " + gpu(5) + kLowOnEvict + host(20) + kDisk + "} " + kDegrade, true, true},
      {"tiers { " + gpu(4) + "tier low { location = gpu dtype = int8 capacity = 10 } " + in_memory +
           "promote cold -> low when seen > 1 } cache { eviction = lfu } " + kDegrade,
       true},
      {"tiers { " + gpu(4) +
           "tier middle { location = gpu dtype = int8 capacity = 6 } tier low { location = gpu dtype = "
           "int4 capacity = 12 } " +
           in_memory + "demote fast -> middle on evict demote middle -> low when idle > 2 } " + kDegrade,
       true},
      {"tiers { " + gpu(5) + in_memory + ladder + "} " + kApproximate},
      {"tiers { " + gpu(5) + kDisk + ladder + "direct = true } " + kApproximate, false, true},
      {"tiers { " + gpu(5) + host(14) + kDisk + ladder + "} " + kApproximate + "cache { pin = [0:3, 2:1] }", false,
       true},
      {"tiers { tier fast { location = gpu dtype = int8 capacity = 5 } " + in_memory + "} " + kApproximate},
      {"tiers { " + gpu(5) + "tier warm { location = host dtype = int4 capacity = 12 } " + kDisk + "} " + kApproximate,
       false, true},
      {"tiers { " + gpu(5) + "tier warm { location = host dtype = int8 capacity = 12 } " + kDisk +
           "inclusive = false demote fast -> warm on evict direct = true } " + kApproximate,
       false, true},
      {"tiers { " + gpu(4) + "tier beside { location = gpu capacity = 12 } " + in_memory +
       "demote fast -> beside on evict }"},
      {"tiers { " + gpu(4) + "tier beside { location = gpu capacity = 12 } " + kDisk +
           "demote fast -> beside on evict direct = true }",
       false, true},
      {"tiers { " + gpu(4) + "tier beside { location = gpu capacity = 12 } " + in_memory +
       "demote fast -> beside on evict inclusive = false }"},
  };
  return all;
}

/// Ids of dispatches of one to three tokens, few experts often.
inline std::vector<std::vector<int32_t>> random_routing(uint32_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<int32_t>> all(count);
  for (std::vector<int32_t>& ids : all) {
    for (uint64_t tokens = 1 + random() % 3; tokens > 0; --tokens) {
      const auto a = static_cast<int32_t>(random() % kExperts * (random() % kExperts) / kExperts);
      ids.push_back(a);
      ids.push_back((a + 1 + static_cast<int32_t>(random() % (kExperts - 1))) % static_cast<int32_t>(kExperts));
    }
  }
  return all;
}

class TieredEngine {
 public:
  explicit TieredEngine(const Model& model, const std::function<void(moe_runtime_config&)>& adjust = {})
      : model_(model) {
    moe_runtime_config config{};
    config.struct_size = sizeof config;
    config.shape = {sizeof(moe_model_shape), kLayers, kExperts, kTopK, 0};
    config.streaming_slots = 64;  // plans are held, and entries of one are not done one by one
    if (adjust) adjust(config);
    REQUIRE(moe_runtime_create(&config, &runtime_) == MOE_OK);
  }
  ~TieredEngine() { CHECK(moe_runtime_destroy(runtime_) == MOE_OK); }
  TieredEngine(const TieredEngine&) = delete;

  moe_runtime* get() const { return runtime_; }
  void open() const { REQUIRE_MESSAGE(moe_store_open(runtime_, model_.store().c_str()) == MOE_OK, moe_last_error()); }

  moe_status dispatch(uint32_t layer, const std::vector<int32_t>& ids, moe_plan& plan) const {
    moe_dispatch_args args{};
    args.struct_size = sizeof args;
    args.layer = layer;
    args.num_tokens = static_cast<uint32_t>(ids.size()) / kTopK;
    args.top_k = kTopK;
    args.ids = ids.data();
    plan = empty_plan();
    return moe_dispatch(runtime_, &args, &plan);
  }
  /// One dispatch; every entry is waited for and compared. Returns what was decided.
  std::vector<uint32_t> step(uint32_t layer, const std::vector<int32_t>& ids, bool late_release = false) {
    moe_plan plan;
    REQUIRE_MESSAGE(dispatch(layer, ids, plan) == MOE_OK, moe_last_error());
    check_selections(plan, ids);
    std::vector<uint32_t> decided;
    std::vector<uint32_t> there;
    for (uint32_t i = 0; i < plan.num_entries; ++i) {
      const moe_status status = moe_plan_wait(runtime_, &plan, i, nullptr);
      if (status == MOE_IO && may_fail) {
        ++failures;
        continue;
      }
      REQUIRE_MESSAGE(status == MOE_OK, moe_last_error());
      check(layer, plan.entries[i]);
      if (on_entry) on_entry(layer, plan.entries[i]);
      there.push_back(i);
      const uint32_t action = plan.entries[i].action;
      decided.push_back(action == MOE_ACTION_LATE ? static_cast<uint32_t>(MOE_ACTION_HIT) : action);
    }
    decided.insert(decided.end(), plan.evicted, plan.evicted + 2 * plan.num_evicted);
    decided.insert(decided.end(), plan.prefetched, plan.prefetched + 2 * plan.num_prefetched);
    if (held_.size() > 3) release_oldest();
    held_.push_back({plan, there});
    if (!late_release)
      while (!held_.empty()) release_oldest();
    return decided;
  }
  /// Each entry has those (token, k) pairs that chose its expert.
  static void check_selections(const moe_plan& plan, const std::vector<int32_t>& ids) {
    for (uint32_t i = 0; i < plan.num_entries; ++i) {
      const moe_plan_entry& entry = plan.entries[i];
      std::vector<uint32_t> chosen;
      for (uint32_t j = 0; j < ids.size(); ++j) {
        if (static_cast<uint32_t>(ids[j]) == entry.expert) chosen.push_back(j);
      }
      const uint32_t* const listed = plan.selections + entry.first_selection;
      REQUIRE(std::vector<uint32_t>(listed, listed + entry.num_selections) == chosen);
    }
  }
  size_t num_held() const { return held_.size(); }
  void release_oldest() {
    const auto [plan, there] = held_.front();
    held_.erase(held_.begin());
    for (const uint32_t i : there) check(plan.layer, plan.entries[i]);  // nothing moved meanwhile
    REQUIRE(moe_plan_release(runtime_, &plan, nullptr) == MOE_OK);
  }
  void check(uint32_t layer, const moe_plan_entry& entry) const {
    const std::string& bytes = model_.expert(layer * kExperts + entry.expert, entry.precision);
    REQUIRE(std::memcmp(entry.data, bytes.data(), bytes.size()) == 0);
  }
  std::vector<std::vector<uint32_t>> run(uint32_t count, uint32_t seed, bool late_release = false) {
    std::vector<std::vector<uint32_t>> decided;
    for (const std::vector<int32_t>& ids : random_routing(count, seed)) {
      decided.push_back(step(static_cast<uint32_t>(decided.size()) % kLayers, ids, late_release));
    }
    return decided;
  }
  moe_stats_t stats() const {
    moe_stats_t stats{};
    stats.struct_size = sizeof stats;
    REQUIRE(moe_stats(runtime_, &stats) == MOE_OK);
    return stats;
  }

  std::function<void(uint32_t layer, const moe_plan_entry& entry)> on_entry;  ///< of a step, once it is there
  bool may_fail = false;                                                      ///< reads may
  uint64_t failures = 0;                                                      ///< waits that ended with MOE_IO

 private:
  const Model& model_;
  moe_runtime* runtime_ = nullptr;
  std::vector<std::pair<moe_plan, std::vector<uint32_t>>> held_;
};

inline void put_faults(const TieredEngine& engine, disk::test::FaultyIo::Plan plan) {
  engine.get()->disk.wrap_io = [plan = std::move(plan)](std::unique_ptr<disk::Io> io) {
    return std::make_unique<disk::test::FaultyIo>(std::move(io), plan);
  };
}

/// A quarter of the reads fail, stop short or are corrupted, and an eighth come late.
inline disk::test::Fault random_fault(std::mt19937& random) {
  disk::test::Fault fault;
  fault.kind = static_cast<disk::test::Fault::Kind>(random() % 4 == 0 ? random() % 4 : 0);
  fault.error_number = EIO;
  fault.number = random() % 20000;
  if (random() % 8 == 0) fault.delay = std::chrono::microseconds(random() % 3000);
  return fault;
}

}  // namespace moe::test
