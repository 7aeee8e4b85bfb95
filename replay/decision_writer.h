// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdio>
#include <string>

#include "ir/decision.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// Writes decisions as JSON Lines, one object a dispatch:
/// {"d":0,"t":0,"l":0,"e":[3,7],"hit":[0,1],"act":["load","hit"],"evict":[[0,5]],"pre":[[1,2]]}
/// d: the dispatch, t: the first token of its step, pairs: [layer, expert].
///
/// Cost  about 100 ns a line; a buffer of 64 KiB.
class DecisionWriter {
 public:
  /// Creates or replaces the file; "-" is stdout.
  static Result<DecisionWriter> open(const std::string& path);
  DecisionWriter(DecisionWriter&& other) noexcept;
  DecisionWriter& operator=(DecisionWriter&&) = delete;
  /// Drops what finish() has not written.
  ~DecisionWriter();

  void write(uint64_t dispatch, uint64_t token, uint32_t layer, uint32_t num_experts, const ir::Decision& decision);
  /// Writes what is left. Reports the first failure since open().
  Result<void> finish();

 private:
  DecisionWriter(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  void flush();

  std::FILE* file_;
  std::string path_;
  std::string buffer_;
  int first_error_ = 0;  ///< errno of the first write that failed
};

/// One line of that format, with its newline, appended to `out`.
void append_decision(std::string& out, uint64_t dispatch, uint64_t token, uint32_t layer, uint32_t num_experts,
                     const ir::Decision& decision);

}  // namespace moe::replay
