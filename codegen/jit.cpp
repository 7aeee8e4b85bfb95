// SPDX-License-Identifier: Apache-2.0
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/MemoryBuffer.h>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

class OrcPolicy final : public JitPolicy {
 public:
  OrcPolicy(std::unique_ptr<llvm::orc::LLJIT> session, const decision::Descriptor* descriptor)
      : session_(std::move(session)), descriptor_(descriptor) {}
  const decision::Descriptor& descriptor() const override { return *descriptor_; }

 private:
  std::unique_ptr<llvm::orc::LLJIT> session_;  // owns the code
  const decision::Descriptor* descriptor_;
};

Error jit_error(llvm::Error error) {
  return {Error::Kind::internal, "cannot load the compiled policy: " + llvm::toString(std::move(error))};
}

}  // namespace

// The object that goes into the session is made by the same code as the one that goes into a file, so that what runs in
// process and what is shipped differ only in the processor they were made for.
Result<std::unique_ptr<JitPolicy>> jit(const ir::BoundPolicy& policy, const Options& options) {
  auto target = make_target(options.cpu, options.opt_level);
  if (!target) return std::move(target).error();
  const Program program(policy);
  Result<Unit> unit = build_unit(program, options, **target);
  if (!unit) return std::move(unit).error();
  Result<std::string> object = emit_machine_code(*unit, /*assembly=*/false);
  if (!object) return std::move(object).error();

  auto session = llvm::orc::LLJITBuilder().create();
  if (!session) return jit_error(session.takeError());
  // memset and memcpy are all that a kernel may call; they come from the process.
  auto process =
      llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess((*session)->getDataLayout().getGlobalPrefix());
  if (!process) return jit_error(process.takeError());
  (*session)->getMainJITDylib().addGenerator(std::move(*process));
  if (llvm::Error error = (*session)->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(*object, policy.name))) {
    return jit_error(std::move(error));
  }
  auto symbol = (*session)->lookup(descriptor_symbol(policy));
  if (!symbol) return jit_error(symbol.takeError());
  const auto* descriptor = symbol->toPtr<const decision::Descriptor*>();
  return std::unique_ptr<JitPolicy>(std::make_unique<OrcPolicy>(std::move(*session), descriptor));
}

}  // namespace moe::codegen
