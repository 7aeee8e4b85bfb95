// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "compiler/file_imports.h"
#include "moe/moe.h"
#include "tools/lsp/server.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::string standard_library;
  std::string code_pages;
  bool stdio = true;  // asked for or not: there is no other way
};

// In the nearest folder above this program that has it: an installed tree, or the sources. "" when there is none.
std::string find_code_pages() {
  constexpr int kMostLevels = 5;
  std::error_code error;
  std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (int level = 0; level < kMostLevels && folder.has_relative_path(); ++level, folder = folder.parent_path()) {
    for (const char* place : {"share/doc/moe/diagnostics", "docs/diagnostics"}) {
      if (std::filesystem::is_directory(folder / place, error)) return (folder / place).string();
    }
  }
  return {};
}

int run(const Options& options) {
  lsp::ServerOptions server;
  server.version = std::to_string(MOE_VERSION_MAJOR) + "." + std::to_string(MOE_VERSION_MINOR) + "." +
                   std::to_string(MOE_VERSION_PATCH);
  server.code_pages = options.code_pages.empty() ? find_code_pages() : options.code_pages;
  std::signal(SIGPIPE, SIG_IGN);  // a client that is gone is an error of a write, and a quiet end
  compiler::FileImports files(options.standard_library.empty() ? compiler::find_standard_library()
                                                               : options.standard_library);
  return lsp::Server(std::move(server), files, STDIN_FILENO, STDOUT_FILENO).run();
}

}  // namespace

void register_lsp(CLI::App& app, const Common&, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("lsp", "language server for editors, on stdin and stdout");
  command->add_option("--std", options->standard_library, "the folder of `import \"std/NAME.moe\"`")->type_name("DIR");
  command->add_option("--pages", options->code_pages, "the folder with a page CODE.md for each finding")
      ->type_name("DIR");
  command->add_flag("--stdio", options->stdio, "speak on stdin and stdout, which is the only way there is");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace moe::tools
