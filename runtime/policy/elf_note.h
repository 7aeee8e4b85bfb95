// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "runtime/base/result.h"

namespace moe {

/// Finds the policy note in a shared library's bytes, without running or mapping any of it, and returns its JSON, which
/// lies in `elf`. Also checks that every loadable segment lies in the file, so that a truncated library is refused
/// here and not by a SIGBUS in the dynamic linker.
/// Errors: format, unsupported (another machine). `file` names it in messages.
Result<std::string_view> find_policy_note(std::string_view elf, const std::string& file);

}  // namespace moe
