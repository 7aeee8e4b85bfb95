// SPDX-License-Identifier: Apache-2.0
// What the runtime's tests share: experts whose bytes say who they are, handles that clean up, a backend under control.
#pragma once
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "moe/moe.h"
#include "runtime/backend/backend.h"
#include "runtime/core/runtime.h"
#include "runtime/decision/abi.h"

namespace moe::test {

/// Expert weights in memory; every byte is a function of (layer, expert, offset).
class FakeExperts {
 public:
  FakeExperts(uint32_t num_layers, uint32_t num_experts, size_t expert_bytes);

  const std::vector<uint8_t>& operator()(uint32_t layer, uint32_t expert) const {
    return bytes_[size_t{layer} * num_experts_ + expert];
  }
  size_t expert_bytes() const { return bytes_[0].size(); }
  /// Whether `data` is that expert, every byte.
  bool is(uint32_t layer, uint32_t expert, const void* data) const;
  void add_all_to(moe_runtime* runtime) const;

 private:
  uint32_t num_layers_, num_experts_;
  std::vector<std::vector<uint8_t>> bytes_;
};

/// A host fast tier whose copies happen when the test says so.
class SteeredBackend final : public backend::Backend {
 public:
  struct Control {
    std::mutex lock;
    std::condition_variable changed;
    uint64_t permits = UINT64_MAX;     ///< copies that may still begin
    bool every_piece = false;          ///< permits, `started` and `asked` count pieces of copies
    std::vector<const void*> started;  ///< sources, in order
    std::set<const void*> broken;      ///< sources that cannot be read
    void allow(uint64_t copies);       ///< from now on: this many more
    void wait_started(size_t count);   ///< blocks until so many copies have asked to begin
    size_t asked = 0;
  };
  SteeredBackend(const Allocator& allocator, Control& control) : allocator_(allocator), control_(control) {}

  bool has_streams() const override { return false; }
  Result<void*> allocate(uint32_t num_slots, size_t slot_bytes) override;
  Result<void> start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override;
  Result<void> finish_copy(uint32_t) override { return {}; }
  Result<void> stream_wait(uint32_t, void*) override { return {}; }
  Result<void> last_use(uint32_t, void*) override { return {}; }

 private:
  Allocator allocator_;
  Control& control_;
  Block tier_;
  size_t slot_bytes_ = 0;
};

/// Sensible constants: LRU, global, no prefetch. Change what the test is about.
decision::Params lru_params(uint32_t num_layers, uint32_t num_experts, uint32_t top_k, uint32_t capacity);

moe_runtime_config config_for(const decision::Params& params);

/// A runtime with fake experts, destroyed at the end of the scope.
class Fixture {
 public:
  Fixture(const decision::Params& params, size_t expert_bytes, moe_runtime_config config,
          SteeredBackend::Control* control = nullptr);
  Fixture(const decision::Params& params, size_t expert_bytes) : Fixture(params, expert_bytes, config_for(params)) {}
  Fixture(const Fixture&) = delete;
  ~Fixture();

  moe_status attach(const decision::Params& params);
  /// Dispatches tokens x top_k ids without weights.
  moe_status dispatch(uint32_t layer, const std::vector<int32_t>& ids, moe_plan& plan);
  moe_stats_t stats() const;

  moe_runtime* get() const { return runtime_; }
  const FakeExperts& experts() const { return experts_; }

 private:
  decision::Params params_;
  FakeExperts experts_;
  moe_runtime* runtime_ = nullptr;
};

moe_plan empty_plan();
moe_dispatch_args dispatch_args(const decision::Params& params, uint32_t layer, const std::vector<int32_t>& ids);

/// A directory that goes away.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

void write_file(const std::string& path, const std::string& bytes);
std::string read_file(const std::string& path);

}  // namespace moe::test
