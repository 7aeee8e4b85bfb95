// SPDX-License-Identifier: Apache-2.0
#include <llvm/ExecutionEngine/RuntimeDyld.h>
#include <llvm/ExecutionEngine/SectionMemoryManager.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>

#include <cstring>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

/// Where the sections go. memset and its kin, the functions of expressions and the phases that policies share are all
/// that a kernel may call.
class Memory final : public llvm::SectionMemoryManager {
 public:
  uint64_t getSymbolAddress(const std::string& name) override {
    if (name == "memset") return reinterpret_cast<uint64_t>(&std::memset);
    if (name == "memcpy")
      return reinterpret_cast<uint64_t>(static_cast<void* (*)(void*, const void*, size_t)>(&std::memcpy));
    if (name == "memmove") return reinterpret_cast<uint64_t>(&std::memmove);
    return shared_function(name);
  }
};

class LoadedPolicy final : public JitPolicy {
 public:
  const decision::Descriptor& descriptor() const override { return *descriptor_; }

  Result<void> load(const std::string& object, const std::string& symbol) {
    const auto error = [](const std::string& reason) {
      return Error{Error::Kind::internal, "cannot load the compiled policy: " + reason};
    };
    auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, symbol));
    if (!file) return error(llvm::toString(file.takeError()));
    llvm::RuntimeDyld linker(memory_, memory_);
    linker.loadObject(**file);
    linker.resolveRelocations();
    if (linker.hasError()) return error(linker.getErrorString().str());
    std::string message;
    if (memory_.finalizeMemory(&message)) return error(message);
    descriptor_ = reinterpret_cast<const decision::Descriptor*>(linker.getSymbol(symbol).getAddress());
    if (descriptor_ == nullptr) return error("it has no symbol `" + symbol + "`");
    return {};
  }

 private:
  Memory memory_;
  const decision::Descriptor* descriptor_ = nullptr;
};

}  // namespace

Result<std::string> compile_object(const ir::BoundPolicy& policy, const Options& options) {
  std::unique_ptr<llvm::TargetMachine> target;
  {
    const StepTimer timer(options, "target");
    Result<std::unique_ptr<llvm::TargetMachine>> made = make_target(options.cpu, options.opt_level);
    if (!made) return std::move(made).error();
    target = std::move(made).value();
  }
  const Program program(policy);
  Options shared = options;
  shared.leaves_math = true;
  Result<Unit> unit = build_unit(program, shared, *target);
  if (!unit) return std::move(unit).error();
  const StepTimer timer(options, "machine-code");
  return emit_machine_code(*unit, /*assembly=*/false);
}

Result<std::unique_ptr<JitPolicy>> load_object(const ir::BoundPolicy& policy, const std::string& object) {
  auto loaded = std::make_unique<LoadedPolicy>();
  if (Result<void> done = loaded->load(object, descriptor_symbol(policy)); !done) return std::move(done).error();
  return std::unique_ptr<JitPolicy>(std::move(loaded));
}

// The object that is loaded is made by the same code as the one that goes into a file, so that what runs in process and
// what is shipped differ only in the processor they were made for. RuntimeDyld and not an ORC session: there is one
// object, nothing is lazy, and a session costs as much as a fifth of compiling a policy quickly.
Result<std::unique_ptr<JitPolicy>> jit(const ir::BoundPolicy& policy, const Options& options) {
  Result<std::string> object = compile_object(policy, options);
  if (!object) return std::move(object).error();
  const StepTimer timer(options, "load");
  return load_object(policy, *object);
}

}  // namespace moe::codegen
