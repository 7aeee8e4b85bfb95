// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "frontend/format.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::vector<std::string> files;
  bool check = false;
};

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

Error cannot_write(const std::string& path) {
  return {Error::Kind::io, "cannot write `" + path + "`: " + std::strerror(errno)};
}

/// Readers see the old file or the new one, with the old one's permissions. Follows symbolic links.
Result<void> replace_file(const std::string& path, std::string_view bytes) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  if (error) return Error{Error::Kind::io, "cannot write `" + path + "`: " + error.message()};
  struct stat status = {};
  if (stat(target.c_str(), &status) != 0 || access(target.c_str(), W_OK) != 0) return cannot_write(path);
  std::string partial = target.string() + ".XXXXXX";
  const int file = mkstemp(partial.data());
  if (file < 0) return cannot_write(path);
  // Another owner's file keeps its owner where that is allowed.
  (void)!fchown(file, status.st_uid, status.st_gid);
  bool good = write_all(file, bytes) && fchmod(file, status.st_mode & 07777U) == 0 && fsync(file) == 0;
  good = close(file) == 0 && good;
  if (good && rename(partial.c_str(), target.c_str()) == 0) return {};
  const Error failed = cannot_write(path);
  (void)unlink(partial.c_str());
  return failed;
}

int format_one(const std::string& path, const Options& options, const Common& common) {
  const Result<ir::SourceFile> source = read_source(path);
  if (!source) return report(source.error());
  ir::Diagnostics diagnostics;
  const std::optional<std::string> formatted = frontend::format_source(*source, diagnostics);
  print_diagnostics(*source, diagnostics, common);
  if (!formatted) return kInputErrors;
  const bool changes = *formatted != source->text();
  if (options.check) {
    if (changes) fmt::print("{}\n", source->name());
    return changes ? kInputErrors : kFine;
  }
  Result<void> written;
  if (path == "-") {
    written = write_output("-", *formatted);
  } else if (changes) {
    written = replace_file(path, *formatted);
  }
  return written ? kFine : report(written.error());
}

int run(const Options& options, const Common& common) {
  int exit_code = kFine;
  for (const std::string& path : options.files) exit_code = std::max(exit_code, format_one(path, options, common));
  return exit_code;
}

}  // namespace

void register_fmt(CLI::App& app, const Common& common, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("fmt", "lay policy files out in one way, in place; comments stay");
  command->add_option("FILE", options->files, "policy files; - is stdin, formatted to stdout")->required();
  command->add_flag("--check", options->check, "write nothing; name the files that would change, and exit with 1");
  command->callback([options, &common, &exit_code] { exit_code = run(*options, common); });
}

}  // namespace moe::tools
