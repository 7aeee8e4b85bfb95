// SPDX-License-Identifier: Apache-2.0
// Constants of C structures and tables in a module.
#pragma once
#include <llvm/IR/Constants.h>
#include <llvm/IR/DerivedTypes.h>

#include <vector>

#include "codegen/module.h"

namespace moe::codegen {

/// Builds a struct constant field by field, in declaration order.
class StructBuilder {
 public:
  explicit StructBuilder(llvm::LLVMContext& context) : context_(context) {}
  StructBuilder& u32(uint32_t value) { return add(llvm::ConstantInt::get(llvm::Type::getInt32Ty(context_), value)); }
  StructBuilder& u64(uint64_t value) { return add(llvm::ConstantInt::get(llvm::Type::getInt64Ty(context_), value)); }
  StructBuilder& f64(double value) { return add(llvm::ConstantFP::get(llvm::Type::getDoubleTy(context_), value)); }
  StructBuilder& add(llvm::Constant* field) {
    fields_.push_back(field);
    return *this;
  }
  /// Equal structures have one type.
  llvm::Constant* build() const { return llvm::ConstantStruct::getAnon(context_, fields_); }

 private:
  llvm::LLVMContext& context_;
  std::vector<llvm::Constant*> fields_;
};

inline llvm::GlobalVariable* constant_array(llvm::Module& module, const std::vector<llvm::Constant*>& elements,
                                            const char* name) {
  auto* type = llvm::ArrayType::get(elements.front()->getType(), elements.size());
  return constant_global(module, llvm::ConstantArray::get(type, elements), name);
}

/// What `emit` makes of each value, one after another; null where there are none.
template <class T, class Emit>
llvm::Constant* constant_table(llvm::Module& module, const std::vector<T>& values, const char* name, Emit emit) {
  if (values.empty()) return llvm::ConstantPointerNull::get(llvm::PointerType::getUnqual(module.getContext()));
  std::vector<llvm::Constant*> elements;
  for (const T& value : values) elements.push_back(emit(value));
  return constant_array(module, elements, name);
}

}  // namespace moe::codegen
