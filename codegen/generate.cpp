// SPDX-License-Identifier: Apache-2.0
#include <llvm/Support/raw_ostream.h>

#include "codegen/module.h"

namespace moe::codegen {

Result<std::string> generate(const ir::BoundPolicy& policy, Artifact artifact, const Options& options) {
  auto target = make_target(options.cpu.empty() ? "x86-64-v2" : options.cpu, options.opt_level);
  if (!target) return std::move(target).error();
  const Program program(policy);
  Options its = options;
  its.leaves_math = artifact == Artifact::shared_library;
  Result<Unit> unit = build_unit(program, its, **target);
  if (!unit) return std::move(unit).error();
  if (artifact == Artifact::llvm) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    unit->module->print(stream, nullptr);
    return stream.str();
  }
  Result<std::string> code = emit_machine_code(*unit, artifact == Artifact::assembly);
  if (!code || artifact == Artifact::assembly) return code;
  return artifact == Artifact::object ? link_object_file(*code, descriptor_symbol(policy)) : link_object(policy, *code);
}

Result<std::string> link_object(const ir::BoundPolicy& policy, const std::string& object) {
  return link_shared(object, descriptor_symbol(policy) + ".so");
}

}  // namespace moe::codegen
