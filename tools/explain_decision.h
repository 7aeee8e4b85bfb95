// SPDX-License-Identifier: Apache-2.0
// `moec explain --decision N`: why one dispatch decided as it did.
#pragma once
#include <optional>
#include <string>

#include "tools/moec.h"

namespace moe::tools {

struct DecisionOptions {
  std::string trace;
  std::string log;
  std::optional<uint64_t> decision;
  std::optional<uint32_t> layer;
  std::string expert;  ///< "[L,]E"
  size_t candidates = 8;
  void add_to(CLI::App& app);
  bool wanted() const { return decision || !trace.empty() || !log.empty(); }
};

/// `file`: the policy; may be empty with a log that carries its own.
int explain_decision(const std::string& file, const DecisionOptions& options, const TargetOptions& target,
                     const std::string& format, const Common& common);

}  // namespace moe::tools
