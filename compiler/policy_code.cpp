// SPDX-License-Identifier: Apache-2.0
#include "compiler/policy_code.h"

#include <exception>
#include <memory>

#include "codegen/any_policy.h"
#include "codegen/compiler.h"
#include "codegen/native.h"
#include "compiler/build_id.h"
#include "compiler/code_cache.h"
#include "compiler/code_key.h"
#include "compiler/worker.h"
#include "runtime/base/status_of.h"
#include "runtime/policy_owner.h"

namespace moe::compiler {
namespace {

moe_status fail(const Error& error) {
  moe_set_last_error(error.message.c_str());
  return status_of(error.kind);
}

/// What a compilation is about; the background may outlive the call.
struct Task {
  ir::BoundPolicy bound;
  codegen::Options code;
  KnownCode known;
};
using TaskRef = std::shared_ptr<const Task>;

/// Code in this process, and what it was loaded from.
struct Loaded {
  std::unique_ptr<codegen::JitPolicy> policy;
  std::string object;
};

Result<Loaded> compile_and_load(const Task& task, int opt_level) {
  codegen::Options options = task.code;
  options.opt_level = opt_level;
  Result<std::string> object = codegen::compile_object(task.bound, options);
  if (!object) return std::move(object).error();
  Result<std::unique_ptr<codegen::JitPolicy>> policy = codegen::load_object(task.bound, *object);
  if (!policy) return std::move(policy).error();
  return Loaded{std::move(policy).value(), std::move(object).value()};
}

/// Runs `work`, in the background where that is possible. `drop` runs instead when the process ends first. `links`:
/// code will be kept on disk.
void in_background(bool links, std::function<void()> work, std::function<void()> drop) {
  links ? codegen::prepare_to_link() : codegen::prepare();
  if (!Worker::instance().submit({work, std::move(drop)})) work();
}

void free_code(void* user) { delete static_cast<codegen::JitPolicy*>(user); }

moe_status from_code(codegen::JitPolicy* code, moe_policy** out) {
  const moe_status status = moe_policy_from_descriptor_owned(&code->descriptor(), free_code, code, out);
  if (status != MOE_OK) delete code;
  return status;
}

void keep_in_background(const TaskRef& task, std::string object) {
  if (!task->known.on()) return;
  in_background(
      /*links=*/true,
      [task, object = std::move(object)] {
        try {
          task->known.keep(task->bound, object);
        } catch (const std::exception&) {  // a cache may forget
        }
      },
      [] {});
}

/// The better code of `policy`, which expects it.
void compile_better(const TaskRef& task, moe_policy* policy) {
  std::string object;
  try {
    Result<Loaded> loaded = compile_and_load(*task, task->code.opt_level);
    if (!loaded) {
      moe_policy_take_code(policy, nullptr, nullptr, nullptr, status_of(loaded.error().kind),
                           loaded.error().message.c_str());
      return;
    }
    object = std::move(loaded->object);
    codegen::JitPolicy* const code = loaded->policy.release();
    moe_policy_take_code(policy, &code->descriptor(), free_code, code, MOE_OK, "");
  } catch (const std::exception& error) {
    moe_policy_take_code(policy, nullptr, nullptr, nullptr, MOE_INTERNAL, error.what());
    return;
  }
  try {
    task->known.keep(task->bound, object);
  } catch (const std::exception&) {
  }
}

moe_status compile_now(const TaskRef& task, int opt_level, std::string& object, moe_policy** out) {
  Result<Loaded> loaded = compile_and_load(*task, opt_level);
  if (!loaded) return fail(loaded.error());
  object = std::move(loaded->object);
  return from_code(loaded->policy.release(), out);
}

/// A policy that decides by `decide`, which gets `decider`: something that has its constants as params().
template <class Decider>
moe_status from_params(const TaskRef& task, std::unique_ptr<Decider> decider, moe_decide_fn decide, moe_policy** out) {
  const codegen::Host& host = codegen::host();
  const std::string manifest = codegen::make_manifest(task->bound, host.cpu, host.features);
  const moe_status status = moe_policy_from_params_owned(
      &decider->params(), decide, manifest.c_str(), [](void* user) { delete static_cast<Decider*>(user); },
      decider.get(), out);
  if (status == MOE_OK) decider.release();
  return status;
}

/// The policy on libmoe's own kernels.
moe_status from_static_kernel(const TaskRef& task, moe_policy** out) {
  struct OfStatic {
    TaskRef task;  // pins and preload are the bound policy's
    decision::Params constants;
    const decision::Params& params() const { return constants; }
  };
  return from_params(task, std::make_unique<OfStatic>(task, codegen::make_params(task->bound)), nullptr, out);
}

/// The policy on the kernels that serve every policy. Where those do not do, on code that is made quickly.
moe_status from_any_kernel(const TaskRef& task, moe_policy** out) {
  struct OfAny {
    TaskRef task;  // the expressions are the bound policy's
    std::unique_ptr<codegen::AnyPolicy> policy;
    const decision::Params& params() const { return policy->params(); }
    static uint32_t decide(const void* user, void* state, const void* input, void* output) {
      return static_cast<const OfAny*>(user)->policy->dispatch(state, static_cast<const decision::Input*>(input),
                                                               static_cast<decision::Output*>(output));
    }
  };
  Result<std::unique_ptr<codegen::AnyPolicy>> made = codegen::AnyPolicy::make(task->bound);
  std::string object;
  if (!made) return compile_now(task, 0, object, out);
  return from_params(task, std::make_unique<OfAny>(task, std::move(made).value()), &OfAny::decide, out);
}

}  // namespace

// Without a build id no two builds can be told apart.
KnownCode::KnownCode(int opt_level)
    : cache_(build_id().empty() ? CodeCache("") : CodeCache::open()), opt_level_(opt_level) {}

std::string KnownCode::key_of(const char* kind, const std::string& text) const {
  return code_key(kind + text, codegen::host(), opt_level_, build_id());
}

bool KnownCode::find(const std::string& key, moe_policy** out_policy) const {
  const std::optional<std::string> path = cache_.find(key);
  if (!path) return false;
  if (moe_policy_load(path->c_str(), out_policy) == MOE_OK) return true;
  cache_.remove(key);
  return false;
}

bool KnownCode::find_given(const std::string& given, moe_policy** out_policy) {
  if (!on()) return false;
  by_given_ = key_of("given\n", given);
  return find(by_given_, out_policy);
}

bool KnownCode::find_policy(const std::string& identity, bool only_given, moe_policy** out_policy) {
  if (!on()) return false;
  if (!only_given) by_given_.clear();
  by_policy_ = key_of("policy\n", identity);
  return find(by_policy_, out_policy);
}

void KnownCode::keep(const ir::BoundPolicy& bound, const std::string& object) const {
  if (!on()) return;
  const Result<std::string> library = codegen::link_object(bound, object);
  if (!library) return;
  cache_.store(by_policy_, *library);
  if (!by_given_.empty()) cache_.store(by_given_, *library);
}

moe_status make_policy(ir::BoundPolicy bound, KnownCode known, const CodeOptions& options, moe_policy** out_policy) {
  codegen::Options code;
  code.opt_level = options.opt_level;
  const std::string problem = known.problem();
  const TaskRef task = std::make_shared<const Task>(Task{std::move(bound), std::move(code), std::move(known)});
  std::string object;
  const bool at_once = options.wait || options.opt_level == 0;
  moe_status status = MOE_OK;
  if (at_once) {
    status = compile_now(task, options.opt_level, object, out_policy);
  } else if (codegen::has_static_kernel(task->bound)) {
    status = from_static_kernel(task, out_policy);
  } else {
    status = from_any_kernel(task, out_policy);
  }
  if (status != MOE_OK) return status;
  if (at_once) {
    keep_in_background(task, std::move(object));
  } else {
    moe_policy* const policy = *out_policy;
    moe_policy_expect_code(policy);
    in_background(
        task->known.on(), [task, policy] { compile_better(task, policy); },
        [policy] { moe_policy_take_code(policy, nullptr, nullptr, nullptr, MOE_OK, ""); });
  }
  moe_set_last_error(problem.c_str());
  return MOE_OK;
}

}  // namespace moe::compiler
