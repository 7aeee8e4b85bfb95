// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "examples/engine/engine.h"
#include "examples/engine/generate.h"

namespace engine {

/// What the command line says.
struct Options {
  std::filesystem::path model_dir;
  std::optional<std::string> prompt;  ///< else prompt_ids
  std::vector<int32_t> prompt_ids;
  EngineOptions engine;
  GenerateOptions generate;
  std::filesystem::path stats_file;  ///< empty: none
  std::string log_file;              ///< of the decision log; empty: none
  std::string timeline_file;         ///< empty: none
  std::filesystem::path texts_file;  ///< whose perplexity is measured; empty: a prompt is continued
  bool json = false;
  bool watch = false;  ///< the policy's file may change during the run
  bool check = false;  ///< compare with the fully resident run
};

/// nullopt: the help text was asked for and printed. Errors: usage.
std::optional<Options> parse_options(int argc, const char* const* argv);

/// "64MiB", "1.5GB", "4096": bytes. Errors: usage, naming `option`.
uint64_t parse_size(std::string_view text, std::string_view option);

/// "4GB/s", "500MB/s"; a bare number is GB/s. Bytes per second. Errors: usage, naming `option`.
uint64_t parse_rate(std::string_view text, std::string_view option);

}  // namespace engine
