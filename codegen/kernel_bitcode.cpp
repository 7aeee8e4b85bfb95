// SPDX-License-Identifier: Apache-2.0
// The kernels' bitcode, put into the library's read-only data by the assembler: no generated source to compile.
#include <string_view>

#include "codegen/module.h"

asm(".pushsection .rodata\n"
    ".balign 16\n"
    ".hidden moe_kernel_bitcode_begin\n"
    ".globl moe_kernel_bitcode_begin\n"
    "moe_kernel_bitcode_begin:\n"
    ".incbin \"" MOE_KERNEL_BITCODE_FILE
    "\"\n"
    ".hidden moe_kernel_bitcode_end\n"
    ".globl moe_kernel_bitcode_end\n"
    "moe_kernel_bitcode_end:\n"
    ".popsection\n");

extern "C" {
extern const char moe_kernel_bitcode_begin[];
extern const char moe_kernel_bitcode_end[];
}

namespace moe::codegen {

std::string_view kernel_bitcode() {
  return {moe_kernel_bitcode_begin, static_cast<size_t>(moe_kernel_bitcode_end - moe_kernel_bitcode_begin)};
}

}  // namespace moe::codegen
