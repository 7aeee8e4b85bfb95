// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/workspace.h"

#include <set>

#include "frontend/frontend.h"
#include "frontend/limits.h"

namespace moe::lsp {
namespace {

constexpr std::string_view kFileScheme = "file://";
constexpr std::string_view kStandard = "std/";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool stays_in_uri(char c) {
  const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  return letter_or_digit || std::string_view("-._~/").find(c) != std::string_view::npos;
}

}  // namespace

std::optional<std::string> path_of_uri(std::string_view uri) {
  if (!uri.starts_with(kFileScheme)) return std::nullopt;
  uri.remove_prefix(kFileScheme.size());
  const size_t path = uri.find('/');  // after the name of a host, usually none
  if (path == std::string_view::npos) return std::nullopt;
  uri.remove_prefix(path);
  std::string out;
  for (size_t i = 0; i < uri.size(); ++i) {
    if (uri[i] != '%') {
      out += uri[i];
      continue;
    }
    if (i + 2 >= uri.size() || hex_digit(uri[i + 1]) < 0 || hex_digit(uri[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(hex_digit(uri[i + 1]) * 16 + hex_digit(uri[i + 2]));
    i += 2;
  }
  if (out.find('\0') != std::string::npos) return std::nullopt;
  return out;
}

std::string uri_of_path(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out(kFileScheme);
  for (const char c : path) {
    if (stays_in_uri(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 0xFU];
  }
  return out;
}

// The text of a file that is open, before what is on disk.
class Workspace::OpenFirst : public frontend::ImportResolver {
 public:
  explicit OpenFirst(const Workspace& workspace) : workspace_(workspace) {}

  Location main_file(std::string_view name) override { return workspace_.files_.main_file(name); }

  Result<Location> locate(std::string_view path, const Location& importer) override {
    // A text that was never saved has nothing beside it.
    if (importer.name.empty() && !path.starts_with(kStandard))
      return Error{Error::Kind::io, "cannot import `" + std::string(path) + "`: save this file first"};
    return workspace_.files_.locate(path, importer);
  }

  Result<std::string> read(const Location& file) override {
    for (const auto& [uri, text] : workspace_.open_) {
      if (text.id == file.id) return std::string(text.snapshot->text());
    }
    return workspace_.files_.read(file);
  }

 private:
  const Workspace& workspace_;
};

void Workspace::set(const std::string& uri, std::string text) {
  const std::string path = path_of_uri(uri).value_or("");
  const std::string id = path.empty() ? std::string() : files_.main_file(path).id;
  open_[uri] = {id, std::make_shared<const Snapshot>(path, std::move(text))};
}

SnapshotPtr Workspace::find(const std::string& uri) const {
  const auto found = open_.find(uri);
  return found == open_.end() ? nullptr : found->second.snapshot;
}

std::vector<std::string> Workspace::importers() const {
  std::vector<std::string> uris;
  for (const auto& [uri, text] : open_) {
    if (!text.snapshot->outline().imports.empty()) uris.push_back(uri);
  }
  return uris;
}

ir::Diagnostics Workspace::check(const Snapshot& snapshot) const {
  OpenFirst imports(*this);
  frontend::LowerOptions options;
  options.imports = &imports;
  ir::Diagnostics diagnostics;
  (void)frontend::compile_to_ir(snapshot.source(), options, diagnostics);
  diagnostics.sort();
  return diagnostics;
}

std::optional<frontend::ImportResolver::Location> Workspace::resolve_import(const Snapshot& from,
                                                                            std::string_view import) const {
  OpenFirst imports(*this);
  Result<frontend::ImportResolver::Location> found = imports.locate(import, imports.main_file(from.path()));
  if (!found) return std::nullopt;
  return std::move(found).value();
}

std::vector<SnapshotPtr> Workspace::imports_of(const Snapshot& from) const {
  OpenFirst imports(*this);
  std::vector<SnapshotPtr> all;
  std::set<std::string> seen = {imports.main_file(from.path()).id};
  const auto add_imports = [&](const Snapshot& of) {
    for (const ImportOutline& import : of.outline().imports) {
      if (all.size() >= kMostImports) return;
      const auto file = resolve_import(of, import.path);
      if (!file || !seen.insert(file->id).second) continue;
      Result<std::string> text = imports.read(*file);
      if (text && text->size() <= frontend::kMaxFileBytes)
        all.push_back(std::make_shared<const Snapshot>(file->name, std::move(text).value()));
    }
  };
  add_imports(from);
  for (size_t i = 0; i < all.size(); ++i) {
    const SnapshotPtr file = all[i];  // `all` grows
    add_imports(*file);
  }
  return all;
}

}  // namespace moe::lsp
