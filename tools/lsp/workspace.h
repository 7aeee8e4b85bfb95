// SPDX-License-Identifier: Apache-2.0
// The texts that the editor has open, and the files that they import.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/lsp/snapshot.h"

namespace moe::lsp {

/// "file:///a%20b.moe" -> "/a b.moe"; nullopt for other schemes and for what is no URI.
std::optional<std::string> path_of_uri(std::string_view uri);
std::string uri_of_path(std::string_view path);

using SnapshotPtr = std::shared_ptr<const Snapshot>;

/// Not thread-safe.
class Workspace {
 public:
  /// `standard_library`: the folder that `import "std/NAME.moe"` means; "" for none.
  explicit Workspace(std::string standard_library) : standard_library_(std::move(standard_library)) {}

  /// Adds the text or puts it in place of an earlier version.
  void set(const std::string& uri, std::string text);
  void close(const std::string& uri) { open_.erase(uri); }
  /// nullptr when no such text is open.
  SnapshotPtr find(const std::string& uri) const;

  /// The file that an import of `from` means: beside it, or in the standard library. nullopt when there is none.
  std::optional<std::string> resolve_import(const Snapshot& from, std::string_view import) const;
  /// What `from` imports, directly and through other imports, nearest first; at most kMostImports. Open texts come
  /// before what is on disk.
  std::vector<SnapshotPtr> imports_of(const Snapshot& from) const;

  static constexpr size_t kMostImports = 64;

 private:
  SnapshotPtr load(const std::string& path) const;

  std::string standard_library_;
  std::map<std::string, SnapshotPtr> open_;
};

}  // namespace moe::lsp
