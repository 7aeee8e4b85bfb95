// SPDX-License-Identifier: Apache-2.0
// The kernels' bitcode, put into the library's read-only data by the assembler: no generated source to compile.
#include <string_view>

#include "codegen/kernel_class.h"

asm(".pushsection .rodata\n"
    ".balign 16\n"
    ".hidden moe_kernel_bitcode\n"
    ".globl moe_kernel_bitcode\n"
    "moe_kernel_bitcode:\n"
    ".incbin \"" MOE_KERNEL_BITCODE_FILE
    "\"\n"
    ".popsection\n");

extern "C" {
extern const char moe_kernel_bitcode[];
}

namespace moe::codegen {
namespace {

struct Span {
  size_t begin;
  size_t size;
};
/// The whole kernels, then those of each class in turn: split_kernels.cpp.
constexpr Span kModules[] = {
#include MOE_KERNEL_BITCODE_INDEX
};

}  // namespace

std::string_view kernel_bitcode(const KernelClass* kernel_class) {
  const size_t module = kernel_class == nullptr ? 0 : 1 + static_cast<size_t>(kernel_class - kernel_classes().data());
  return {moe_kernel_bitcode + kModules[module].begin, kModules[module].size};
}

}  // namespace moe::codegen
