// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "tools/moec.h"

namespace moe::tools {
namespace {

bool wants_color(const Common& common) {
  if (common.color == "always") return true;
  if (common.color == "never" || std::getenv("NO_COLOR") != nullptr) return false;
  return isatty(STDERR_FILENO) != 0;
}

/// A policy is at most 1 MiB; a little more is read so that the frontend can say that it is too long.
constexpr size_t kMostSource = (size_t{1} << 20) + 1;

Result<std::string> read_some(std::FILE* file, const std::string& name) {
  std::string text;
  std::array<char, 65536> chunk;
  while (text.size() < kMostSource) {
    const size_t n = std::fread(chunk.data(), 1, chunk.size(), file);
    text.append(chunk.data(), n);
    if (n < chunk.size()) break;
  }
  if (std::ferror(file) != 0) return Error{Error::Kind::io, "cannot read `" + name + "`: " + std::strerror(errno)};
  return text;
}

}  // namespace

int report(const Error& error) {
  std::fprintf(stderr, "moec: error: %s\n", error.message.c_str());
  switch (error.kind) {
    case Error::Kind::format:
    case Error::Kind::unsupported:  // what the policy asks for
      return kInputErrors;
    case Error::Kind::invalid:
      return kUsage;
    default:
      return kMachine;
  }
}

Result<ir::SourceFile> read_source(const std::string& path) {
  if (path == "-") {
    Result<std::string> text = read_some(stdin, "stdin");
    if (!text) return std::move(text).error();
    return ir::SourceFile("<stdin>", std::move(text).value());
  }
  std::error_code status_error;
  if (std::filesystem::is_directory(path, status_error)) {
    return Error{Error::Kind::io, "`" + path + "` is a directory; name a .moe file"};
  }
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return Error{Error::Kind::io, "cannot open `" + path + "`: " + std::strerror(errno)};
  Result<std::string> text = read_some(file, path);
  std::fclose(file);
  if (!text) return std::move(text).error();
  return ir::SourceFile(path, std::move(text).value());
}

Result<void> write_output(const std::string& path, std::string_view bytes) {
  if (path == "-") {
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() && std::fflush(stdout) == 0;
    if (!written) return Error{Error::Kind::io, std::string("cannot write to stdout: ") + std::strerror(errno)};
    return {};
  }
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  std::error_code error;
  if (file) {
    std::filesystem::rename(partial, path, error);
    if (!error) return {};
  }
  const std::string reason = error ? error.message() : std::strerror(errno);
  std::filesystem::remove(partial, error);
  return Error{Error::Kind::io, "cannot write `" + path + "`: " + reason};
}

void print_diagnostics(const ir::SourceFile& source, const ir::Diagnostics& diagnostics, const Common& common) {
  if (diagnostics.empty()) return;
  std::cerr << ir::render_text(source, diagnostics, wants_color(common));
}

void TargetOptions::add_to(CLI::App& app, bool model_required) {
  app.add_option("--policy", policy, "the policy to take when the file has several")->type_name("NAME");
  app.add_option("--model", model, "a Hugging Face config.json, a folder that holds one, or LxExK[:BYTES]")
      ->type_name("M")
      ->required(model_required);
  app.add_option("--set", settings, "value of one of the policy's params (may be repeated)")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("--slots", slots, "capacity in slots, instead of the policy's")->check(CLI::Range(1u, 1u << 28));
  app.add_option("--budget", budget, "fast memory that `capacity = auto` fills, e.g. 4GB")->type_name("SIZE");
  app.add_option("--profile", profile, "a routing profile for `hottest`, `affinity` and `learn`")->type_name("P");
  app.add_option("--seed", seed, "of `random` and `choose`")->capture_default_str();
}

Result<compiler::Target> TargetOptions::resolve(const ir::ModelShape& shape) const {
  compiler::Target target;
  target.shape = shape;
  target.policy_name = policy;
  target.bind.capacity_slots = slots;
  if (!budget.empty()) {
    const std::optional<uint64_t> bytes = parse_size(budget);
    if (!bytes || *bytes == 0)
      return Error{Error::Kind::invalid, "`--budget " + budget + "` is not a size; write for example 4GB"};
    target.bind.fast_bytes = *bytes;
  }
  target.bind.seed = seed;
  if (!profile.empty()) {
    Result<std::shared_ptr<const ir::Profile>> loaded = compiler::load_profile(profile);
    if (!loaded) return std::move(loaded).error();
    target.bind.profile = std::move(loaded).value();
  }
  for (const std::string& text : settings) {
    std::optional<frontend::Setting> setting = compiler::parse_setting(text);
    if (!setting) return Error{Error::Kind::invalid, "`--set " + text + "` is not NAME=VALUE"};
    target.settings.push_back(std::move(*setting));
  }
  return target;
}

std::optional<uint64_t> parse_size(std::string_view text) {
  double number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !(number >= 0)) return std::nullopt;
  const std::string_view unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
  struct Unit {
    std::string_view name;
    double bytes;
  };
  static constexpr Unit kUnits[] = {{"", 1},     {"B", 1},        {"KB", 1e3},        {"MB", 1e6},
                                    {"GB", 1e9}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};
  for (const Unit& known : kUnits) {
    const double bytes = std::floor(number * known.bytes);
    if (unit == known.name && bytes < 0x1p63) return static_cast<uint64_t>(bytes);
  }
  return std::nullopt;
}

}  // namespace moe::tools
