// SPDX-License-Identifier: Apache-2.0
// From a bound policy to machine code. The only header of this folder that others include; no LLVM type crosses it.
//
// A policy becomes one LLVM module: its constants as a constant global, and a dispatch function that calls the decision
// kernel of its rule, which was compiled to bitcode when this library was built. Linking, internalising and optimising
// that module folds the constants into the kernel. The steps are the table in pipeline.cpp.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/bind.h"
#include "runtime/base/result.h"
#include "runtime/decision/abi.h"

namespace moe::codegen {

/// What is made from a module.
enum class Artifact { llvm, assembly, object, shared_library };

struct StepTime {
  std::string_view step;
  double milliseconds;  ///< of the thread's processor time
};

struct Options {
  int opt_level = 2;        ///< 0..3
  std::string cpu;          ///< an LLVM CPU name; "": the host for JIT, x86-64-v2 for files
  std::string print_after;  ///< a step's name: its LLVM IR goes to `print`
  std::function<void(std::string_view)> print;
  std::vector<StepTime>* times = nullptr;  ///< filled when set
  bool leaves_math = false;                ///< exp, log and their like are left to who loads or links the object
};

/// Names of the steps, in order, for --print-after.
std::vector<std::string_view> step_names();

/// The policy as text (llvm, assembly) or bytes (object, shared_library). Errors: internal (LLVM, LLD), io (temporary
/// files), invalid (unknown CPU).
Result<std::string> generate(const ir::BoundPolicy& policy, Artifact artifact, const Options& options);

/// A policy compiled into this process. The descriptor and its code live as long as this.
class JitPolicy {
 public:
  virtual ~JitPolicy() = default;
  virtual const decision::Descriptor& descriptor() const = 0;
};

/// Takes a few milliseconds; any thread.
Result<std::unique_ptr<JitPolicy>> jit(const ir::BoundPolicy& policy, const Options& options);

/// The steps of jit() and of a shared library, one by one: machine code for options.cpu ("": the host), which may call
/// exp, log and their like, ...
Result<std::string> compile_object(const ir::BoundPolicy& policy, const Options& options);
/// ... loaded into this process ...
Result<std::unique_ptr<JitPolicy>> load_object(const ir::BoundPolicy& policy, const std::string& object);
/// ... or linked.
Result<std::string> link_object(const ir::BoundPolicy& policy, const std::string& object);

/// The runtime's statically compiled kernels can decide the policy: it has no expressions, and its rules never change.
bool has_static_kernel(const ir::BoundPolicy& policy);

/// Makes what LLVM makes once per process. Whoever compiles in a thread that is stopped at exit calls this before that
/// is arranged, so that it still exists then.
void prepare();
/// The same for whoever links in such a thread, too. Costs a link, 2 ms, the first time.
void prepare_to_link();

/// The compiler's version and the host's processor with its features: what code for the host depends on beside the
/// policy and this library. Cheap: initialises nothing.
struct Host {
  std::string compiler;
  std::string cpu;
  std::string features;
};
const Host& host();

/// The constants, as the kernels read them, of a policy whose rules never change and have no expressions: for the
/// static kernels. `pins` and `preload` point into `policy`.
decision::Params make_params(const ir::BoundPolicy& policy);

/// What native code keeps of a policy between dispatches.
struct StateSize {
  size_t bytes;       ///< the block, in one piece
  size_t predictors;  ///< of these, what the prefetch strategies and the learner know
};
/// Error: unsupported, for a policy without native code.
Result<StateSize> state_size(const ir::BoundPolicy& policy);

/// What a compiled policy says about itself: one JSON object. `cpu` as in Options, resolved.
std::string make_manifest(const ir::BoundPolicy& policy, std::string_view cpu, std::string_view features);

}  // namespace moe::codegen
