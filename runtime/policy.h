// SPDX-License-Identifier: Apache-2.0
// What stands behind a moe_policy handle: a descriptor, wherever it came from, and what keeps it alive.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "moe/moe.h"
#include "runtime/base/result.h"
#include "runtime/decision/abi.h"
#include "runtime/policy_owner.h"

/// Counted: the handle is one reference, every runtime that has the policy attached holds another.
struct moe_policy {
  static constexpr uint64_t kMagic = 0x4D6F455F706F6C31;  // tells a policy from another handle

  uint64_t magic = kMagic;
  std::atomic<uint32_t> references{1};
  moe::decision::Params params{};  ///< checked; pins live as long as this
  /// nullptr: `decide`, or without one static_dispatch with `params`. Better code may take its place once, between two
  /// dispatches: each reads this once. All code of a policy decides alike and keeps the same state, and lives as long
  /// as the policy.
  std::atomic<moe::decision::DispatchFn> dispatch{nullptr};
  moe_decide_fn decide = nullptr;  ///< called with first.user
  std::string name;
  std::string manifest;              ///< one JSON object
  std::string program;               ///< one JSON object that says how to make it again, or ""
  uint64_t expert_bytes = 0;         ///< that it was specialised for; 0: any
  std::vector<std::string> metrics;  ///< that its monitor names
  std::vector<uint32_t> pins;        ///< of a policy made here; else the descriptor's owner has them
  std::vector<uint32_t> preload;     ///< likewise
  /// What the policy's constants and code live in.
  struct Owned {
    void (*free_fn)(void* user) = nullptr;  ///< may be null
    void* user = nullptr;
    void free() const {
      if (free_fn) free_fn(user);
    }
  };
  Owned first;
  Owned later;                            ///< of the code that took over; written while `expects_code`
  std::atomic<uint32_t> expects_code{0};  ///< 1: somebody is compiling it
  moe_status later_status = MOE_OK;       ///< what became of that; valid when nothing is expected
  std::string later_error;                ///< likewise

  moe_policy() = default;
  moe_policy(const moe_policy&) = delete;
  moe_policy& operator=(const moe_policy&) = delete;
  ~moe_policy() {
    magic = 0;
    later.free();
    first.free();
  }
};

namespace moe {

/// One reference to a policy.
class PolicyRef {
 public:
  PolicyRef() = default;
  /// Takes over a reference.
  explicit PolicyRef(moe_policy* owned) : policy_(owned) {}
  static PolicyRef share(moe_policy* policy) {
    policy->references.fetch_add(1, std::memory_order_relaxed);
    return PolicyRef(policy);
  }
  PolicyRef(PolicyRef&& other) noexcept : policy_(other.release()) {}
  PolicyRef& operator=(PolicyRef&& other) noexcept {
    std::swap(policy_, other.policy_);
    return *this;
  }
  ~PolicyRef() {
    if (policy_ && policy_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete policy_;
  }

  const moe_policy* operator->() const { return policy_; }
  const moe_policy& operator*() const { return *policy_; }
  moe_policy* release() { return std::exchange(policy_, nullptr); }

 private:
  moe_policy* policy_ = nullptr;
};

/// Wraps a descriptor after checking every field of it and of its Params. On success the policy owns `user` and calls
/// free_fn(user) when its last reference goes; on failure the caller still owns it.
/// Errors: invalid, format (the manifest), unsupported (another ABI version).
Result<PolicyRef> policy_from_descriptor(const decision::Descriptor* descriptor, void (*free_fn)(void*), void* user);

/// A policy that runs on the statically compiled kernels, or decides by `decide` (moe_policy_from_params_owned). What
/// `params` points to lives in `user`, which is owned as in policy_from_descriptor. Errors: invalid, format (the
/// manifest), unsupported (without `decide`: it has expressions).
Result<PolicyRef> policy_from_params(const decision::Params& params, moe_decide_fn decide, const char* manifest,
                                     void (*free_fn)(void*), void* user);

/// A policy that runs on the statically compiled kernels. `params.pins` is copied. Errors: invalid.
Result<PolicyRef> static_policy(const decision::Params& params, const std::string& name);

/// Everything pinned (moe_policy_resident).
Result<PolicyRef> resident_policy(const moe_model_shape& shape);

/// Reads a policy's shared library (moe_policy_load).
Result<PolicyRef> load_policy(const std::string& path);

}  // namespace moe
