// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <moe/moe.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "examples/engine/generate.h"
#include "examples/engine/perplexity.h"

namespace engine {

/// What a run came to.
struct Report {
  std::vector<int32_t> prompt_ids;
  Generation generation;
  std::string text;  ///< the generated tokens', special ones left out
  bool exact = false;
  bool checked = false;  ///< `exact` was measured; else it is what the policy's manifest promises
  std::string policy;
  std::string backend;
  moe_stats_t stats{};
  std::optional<Perplexity> perplexity;           ///< of --perplexity; then nothing was generated
  std::optional<Perplexity> resident_perplexity;  ///< the same with every expert resident: of --check
};

/// One JSON object on one line, with a final newline.
std::string to_json(const Report& report);

/// The generated text and a small table, for people.
std::string to_text(const Report& report);

}  // namespace engine
