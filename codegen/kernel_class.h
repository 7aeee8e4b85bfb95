// SPDX-License-Identifier: Apache-2.0
// What many policies have in common is folded into the kernels when this library is built; what only one policy says,
// when it is compiled. A class names fields of Params whose values all its policies share. For each class
// split_kernels.cpp makes kernels that are a tenth of the whole ones, whose reading and cloning would take most of the
// time of a compilation. A policy of no class has a whole kernel.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/decision/abi.h"

namespace moe::codegen {

/// A field of decision::Params, or some of its bits.
struct KnownField {
  size_t offset;
  size_t size;  ///< bytes: 4 or 8
  uint64_t mask;
  uint64_t value;  ///< of the bits of `mask`
};

struct KernelClass {
  std::vector<KnownField> known;
  bool has_expressions;  ///< false: no policy of the class has one
  bool has_changes;      ///< true: what holds changes over time in all of them; their kernels find the variant
};

/// A policy that belongs to several has the first one's kernel.
const std::vector<KernelClass>& kernel_classes();

/// Of a policy with these variants. Null: it needs the whole kernels.
const KernelClass* class_of(const std::vector<decision::Params>& variants, bool has_changes);

/// The bitcode of the kernels for a class of policies; null: the whole kernels. Embedded in this library.
std::string_view kernel_bitcode(const KernelClass* kernel_class);

}  // namespace moe::codegen
