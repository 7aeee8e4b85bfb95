// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <csignal>
#include <filesystem>

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

// Below the prefix that this program is installed under; "" when it is not there.
std::string installed_folder(const char* below_prefix) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path folder = self.parent_path().parent_path() / below_prefix;
  return !error && std::filesystem::is_directory(folder, error) ? folder.string() : std::string();
}

int run(const Options& options) {
  lsp::ServerOptions server;
  server.version = std::to_string(MOE_VERSION_MAJOR) + "." + std::to_string(MOE_VERSION_MINOR) + "." +
                   std::to_string(MOE_VERSION_PATCH);
  server.standard_library =
      options.standard_library.empty() ? installed_folder("share/moe/std") : options.standard_library;
  server.code_pages = options.code_pages.empty() ? installed_folder("share/doc/moe/diagnostics") : options.code_pages;
  std::signal(SIGPIPE, SIG_IGN);  // a client that is gone is an error of a write, and a quiet end
  return lsp::Server(std::move(server), STDIN_FILENO, STDOUT_FILENO).run();
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
