// SPDX-License-Identifier: Apache-2.0
// What the replay tests share: where data lies, gzip, and the policies whose decisions are recorded.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ir/bind.h"
#include "replay/trace.h"

namespace moe::replay::test {

/// A file of the large data folder that may lie beside the checkout; nullopt, and a note on stdout, when it does not.
std::optional<std::string> shared_data(const std::string& relative);

/// A file of tests/data, from the repository's root where CTest runs.
inline std::string data(const char* relative) { return std::string("tests/data/").append(relative); }

/// The lines of a gzipped text file; empty when it cannot be read.
std::vector<std::string> gzip_lines(const std::string& path);

/// The policies of the recorded decisions, bound to 24 layers of 32 experts, top 4.
std::vector<ir::BoundPolicy> recorded_policies();

/// A small valid trace with every optional array, drawn from `seed`.
Trace random_trace(uint32_t seed);

/// A directory of this process's own, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace moe::replay::test
