// SPDX-License-Identifier: Apache-2.0
// What the subcommands share.
#pragma once
#include <CLI/CLI.hpp>

#include <optional>
#include <string>
#include <vector>

#include "compiler/driver.h"

namespace moe::tools {

/// Exit codes that outsiders rely on.
enum ExitCode : int {
  kFine = 0,
  kInputErrors = 1,  ///< the policy, or input data, has errors
  kUsage = 2,
  kMachine = 3,  ///< a file, memory, a device
};

/// Options of the whole program.
struct Common {
  std::string color = "auto";  ///< auto, always, never
};

/// A subcommand: adds itself to `app`; its callback leaves the exit code in `exit_code`.
using Register = void (*)(CLI::App& app, const Common& common, int& exit_code);
void register_validate(CLI::App& app, const Common& common, int& exit_code);
void register_compile(CLI::App& app, const Common& common, int& exit_code);
void register_lsp(CLI::App& app, const Common& common, int& exit_code);
void register_replay(CLI::App& app, const Common& common, int& exit_code);
void register_fmt(CLI::App& app, const Common& common, int& exit_code);
void register_quantize(CLI::App& app, const Common& common, int& exit_code);
void register_explain(CLI::App& app, const Common& common, int& exit_code);
void register_pack(CLI::App& app, const Common& common, int& exit_code);
void register_doctor(CLI::App& app, const Common& common, int& exit_code);
void register_unpack(CLI::App& app, const Common& common, int& exit_code);

/// Prints `moec: error: MESSAGE` to stderr and returns the exit code that suits the error.
int report(const Error& error);

/// The text of `path`, or of stdin for `-`.
Result<ir::SourceFile> read_source(const std::string& path);

/// Writes `bytes` to `path`, or to stdout for `-`. Nothing is left half written.
Result<void> write_output(const std::string& path, std::string_view bytes);

/// Diagnostics go to stderr, with colour where it is wanted.
void print_diagnostics(const ir::SourceFile& source, const ir::Diagnostics& diagnostics, const Common& common);

/// Options that choose and bind one policy of a file, shared by compile and replay.
struct TargetOptions {
  std::string policy;
  std::string model;
  std::vector<std::string> settings;
  std::optional<uint32_t> slots;
  std::string budget;
  std::string profile;
  uint64_t seed = 1;
  void add_to(CLI::App& app, bool model_required);
  /// The target for `shape`. Errors: invalid (a setting or a size that cannot be read).
  Result<compiler::Target> resolve(const ir::ModelShape& shape) const;
};

/// "4GB", "512MiB", "1000000": bytes.
std::optional<uint64_t> parse_size(std::string_view text);

}  // namespace moe::tools
