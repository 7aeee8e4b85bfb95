// SPDX-License-Identifier: Apache-2.0
// Compiled policies on disk: shared libraries as `moec compile` makes them, each named by what it was made from.
//
// An entry is the library's bytes and, behind them, where no loader looks, a trailer with their checksum. It is written
// under another name and renamed, so nobody reads half of one; what the checksum does not fit is no entry. The folder
// belongs to the user alone, because whoever can write there can run code as the user.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace moe::compiler {

class CodeCache {
 public:
  /// By the environment: MOE_CACHE_DIR ("" is off), or moe in XDG_CACHE_HOME, or in HOME's .cache. The folder is made
  /// if it is not there.
  static CodeCache open();
  /// In `folder`; "": off.
  explicit CodeCache(std::string folder);

  bool on() const { return !folder_.empty(); }
  /// Why there is none though one was wanted: one line, or "".
  const std::string& problem() const { return problem_; }

  /// The path of the undamaged entry of `key`, now the most recently used; nullopt: there is none. `key` is any text;
  /// entries know it by its SHA-256.
  std::optional<std::string> find(std::string_view key) const;

  /// Keeps `library` as the entry of `key`, in place of any other, and removes the entries not used for longest when
  /// there are more than kMostBytes. Failures go unnoticed but for the result: a cache may forget.
  bool store(std::string_view key, std::string_view library) const;

  /// Removes the entry of `key`, which turned out to be of no use.
  void remove(std::string_view key) const;

  static constexpr size_t kMostBytes = size_t{64} << 20;

 private:
  std::string path_of(std::string_view key) const;
  void evict() const;

  std::string folder_;
  std::string problem_;
};

}  // namespace moe::compiler
