// SPDX-License-Identifier: Apache-2.0
// The texts that the editor has open, and the files that they import.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/imports.h"
#include "tools/lsp/snapshot.h"

namespace moe::lsp {

/// "file:///a%20b.moe" -> "/a b.moe"; nullopt for other schemes and for what is no URI.
std::optional<std::string> path_of_uri(std::string_view uri);
std::string uri_of_path(std::string_view path);

using SnapshotPtr = std::shared_ptr<const Snapshot>;

/// Not thread-safe.
class Workspace {
 public:
  /// `files` finds and reads what is not open; it must outlive the workspace.
  explicit Workspace(frontend::ImportResolver& files) : files_(files) {}

  /// Adds the text or puts it in place of an earlier version.
  void set(const std::string& uri, std::string text);
  void close(const std::string& uri) { open_.erase(uri); }
  /// nullptr when no such text is open.
  SnapshotPtr find(const std::string& uri) const;
  /// The open texts that import others, by URI: what is found in them depends on more than themselves.
  std::vector<std::string> importers() const;

  /// All findings of the front end, in order of text. Of imported files the open texts are read, not those on disk.
  ir::Diagnostics check(const Snapshot& snapshot) const;

  /// The file that an import of `from` means; nullopt when there is none.
  std::optional<frontend::ImportResolver::Location> resolve_import(const Snapshot& from, std::string_view import) const;
  /// What `from` imports, directly and through other imports, nearest first; at most kMostImports.
  std::vector<SnapshotPtr> imports_of(const Snapshot& from) const;

  static constexpr size_t kMostImports = 64;

 private:
  class OpenFirst;
  struct OpenText {
    std::string id;  ///< of the file, as `files_` knows it
    SnapshotPtr snapshot;
  };

  frontend::ImportResolver& files_;
  std::map<std::string, OpenText> open_;
};

}  // namespace moe::lsp
