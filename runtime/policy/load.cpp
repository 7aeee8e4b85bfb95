// SPDX-License-Identifier: Apache-2.0
// moe_policy_load: the note first, the code only when the note is good.
#include <dlfcn.h>

#include <algorithm>
#include <memory>

#include "runtime/policy.h"
#include "runtime/policy/cpu.h"
#include "runtime/policy/elf_note.h"
#include "runtime/policy/manifest.h"
#include "runtime/store/mapped_file.h"

namespace moe {
namespace {

constexpr size_t kMaxSymbol = 256;

bool is_symbol(const std::string& name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  return !name.empty() && name.size() <= kMaxSymbol && letter(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

Result<Manifest> read_manifest(const std::string& path) {
  Result<store::MappedFile> file = store::MappedFile::open(path);
  if (!file) return file.error();
  Result<std::string_view> note = find_policy_note(file->text(), path);
  if (!note) return note.error();
  Result<Manifest> manifest = parse_manifest(*note, path + ": policy note");
  if (!manifest) return manifest;
  if (manifest->abi != decision::kAbiVersion) {
    return Error{Error::Kind::unsupported, path + ": compiled for decision ABI " + std::to_string(manifest->abi) +
                                               ", this runtime has " + std::to_string(decision::kAbiVersion) +
                                               ": compile it again"};
  }
  if (!is_symbol(manifest->symbol)) return Error{Error::Kind::format, path + ": policy note: no usable `symbol`"};
  if (manifest->cpu.empty()) return Error{Error::Kind::format, path + ": policy note: no `cpu`"};
  if (Result<void> runs = check_cpu(manifest->cpu, manifest->features); !runs) {
    return Error{Error::Kind::unsupported, path + ": " + runs.error().message};
  }
  return manifest;
}

void close_library(void* library) { ::dlclose(library); }

/// "./p.so" and "p.so" are the same file here; for dlopen a name without a slash is looked for elsewhere.
std::string as_path(const std::string& path) { return path.find('/') == path.npos ? "./" + path : path; }

}  // namespace

Result<PolicyRef> load_policy(const std::string& path) {
  Result<Manifest> manifest = read_manifest(path);
  if (!manifest) return manifest.error();
  auto close = [](void* library) { ::dlclose(library); };
  std::unique_ptr<void, decltype(close)> library(::dlopen(as_path(path).c_str(), RTLD_NOW | RTLD_LOCAL), close);
  if (!library) {
    const char* reason = ::dlerror();
    return Error{Error::Kind::format, path + ": cannot be loaded: " + (reason ? reason : "no reason given")};
  }
  const auto* descriptor = static_cast<const decision::Descriptor*>(::dlsym(library.get(), manifest->symbol.c_str()));
  if (!descriptor) return Error{Error::Kind::format, path + ": has no symbol `" + manifest->symbol + "`"};
  Result<PolicyRef> policy = policy_from_descriptor(descriptor, close_library, library.get());
  if (!policy) {
    const bool version = policy.error().kind == Error::Kind::unsupported;
    return Error{version ? Error::Kind::unsupported : Error::Kind::format, path + ": " + policy.error().message};
  }
  library.release();
  return policy;
}

}  // namespace moe
