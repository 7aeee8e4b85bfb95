// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/workspace.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "frontend/limits.h"

namespace moe::lsp {
namespace {

namespace fs = std::filesystem;

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

// Only a plain file of a size that the front end takes: a pipe would block, a device need not end.
std::optional<std::string> read_policy_file(const std::string& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string text(frontend::kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > frontend::kMaxFileBytes) return std::nullopt;
  return text;
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

void Workspace::set(const std::string& uri, std::string text) {
  open_[uri] = std::make_shared<const Snapshot>(path_of_uri(uri).value_or(""), std::move(text));
}

SnapshotPtr Workspace::find(const std::string& uri) const {
  const auto found = open_.find(uri);
  return found == open_.end() ? nullptr : found->second;
}

std::optional<std::string> Workspace::resolve_import(const Snapshot& from, std::string_view import) const {
  if (import.empty()) return std::nullopt;
  std::vector<fs::path> candidates;
  if (!from.path().empty()) candidates.push_back(fs::path(from.path()).parent_path() / import);
  if (import.starts_with(kStandard) && !standard_library_.empty())
    candidates.push_back(fs::path(standard_library_) / import.substr(kStandard.size()));
  for (const fs::path& candidate : candidates) {
    std::string path = candidate.lexically_normal().string();
    std::error_code error;
    if (find(uri_of_path(path)) != nullptr || fs::is_regular_file(path, error)) return path;
  }
  return std::nullopt;
}

SnapshotPtr Workspace::load(const std::string& path) const {
  if (SnapshotPtr open = find(uri_of_path(path))) return open;
  std::optional<std::string> text = read_policy_file(path);
  return text ? std::make_shared<const Snapshot>(path, std::move(*text)) : nullptr;
}

std::vector<SnapshotPtr> Workspace::imports_of(const Snapshot& from) const {
  std::vector<SnapshotPtr> all;
  std::set<std::string> seen = {from.path()};
  const auto add_imports = [&](const Snapshot& of) {
    for (const ImportOutline& import : of.outline().imports) {
      if (all.size() >= kMostImports) return;
      const std::optional<std::string> path = resolve_import(of, import.path);
      if (!path || !seen.insert(*path).second) continue;
      if (SnapshotPtr file = load(*path)) all.push_back(std::move(file));
    }
  };
  add_imports(from);
  for (size_t i = 0; i < all.size(); ++i) add_imports(*SnapshotPtr(all[i]));
  return all;
}

}  // namespace moe::lsp
