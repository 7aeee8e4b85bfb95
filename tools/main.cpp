// SPDX-License-Identifier: Apache-2.0
// moec: the compiler's command line. Subcommands that live in programs of their own are started git-style: `moec run`
// is `moec-run`, beside this program or on the PATH.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>

#include "moe/moe.h"
#include "tools/moec.h"

namespace {

using namespace moe::tools;

constexpr Register kCommands[] = {register_validate, register_compile,  register_replay, register_fmt,
                                  register_explain,  register_quantize, register_lsp,    register_pack,
                                  register_unpack,   register_doctor};

bool is_word(const char* text) {
  if (*text < 'a' || *text > 'z') return false;
  for (; *text != '\0'; ++text) {
    const bool part_of_word = (*text >= 'a' && *text <= 'z') || *text == '-';
    if (!part_of_word) return false;
  }
  return true;
}

bool has_command(const CLI::App& app, const std::string& name) {
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == name) return true;
  }
  return false;
}

/// Subcommands that are programs of their own.
constexpr const char* kPrograms[] = {"run"};

int unknown_command(const CLI::App& app, const std::string& name) {
  std::vector<std::string> names;
  for (const char* const program : kPrograms) {
    if (name == program) {
      std::fprintf(stderr,
                   "moec: error: `%s` is the program moec-%s, which is neither beside moec nor on the PATH; build the "
                   "target moec-%s, or install it\n",
                   program, program, program);
      return kMachine;
    }
    names.emplace_back(program);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  const std::string_view nearest = moe::ir::nearest_word(name, {names.begin(), names.end()});
  const std::string hint =
      nearest.empty() ? "`moec --help` lists them" : "did you mean `" + std::string(nearest) + "`?";
  std::fprintf(stderr, "moec: error: there is no subcommand `%s`; %s\n", name.c_str(), hint.c_str());
  return kUsage;
}

/// Becomes the program `moec-WORD`; returns only when there is none.
void become_program(char** argv) {
  const std::string name = std::string("moec-") + argv[1];
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) execv((self.parent_path() / name).c_str(), argv + 1);
  execvp(name.c_str(), argv + 1);
}

int run(int argc, char** argv) {
  CLI::App app{"Compiler and runtime for Mixture-of-Experts expert policies"};
  app.name("moec");
  app.set_version_flag("--version", "moec " + std::to_string(MOE_VERSION_MAJOR) + "." +
                                        std::to_string(MOE_VERSION_MINOR) + "." + std::to_string(MOE_VERSION_PATCH));
  app.require_subcommand(1);
  app.fallthrough();
  app.footer("`moec run MODEL_DIR --policy FILE --prompt TEXT` runs a model under a policy: see `moec run --help`.");
  Common common;
  int exit_code = kFine;
  app.add_option("--color", common.color, "auto, always or never; NO_COLOR is honoured")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  for (Register add : kCommands) add(app, common, exit_code);

  if (argc > 1 && is_word(argv[1]) && !has_command(app, argv[1])) {
    become_program(argv);
    return unknown_command(app, argv[1]);
  }
  // LLVM-style spelling of one flag, as compilers have it.
  static char long_werror[] = "--Werror";
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "-Werror") == 0) argv[i] = long_werror;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked_for = error.get_exit_code() == 0;  // --help, --version
    const int printed = app.exit(error);
    return asked_for ? printed : static_cast<int>(kUsage);
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("moec: error: out of memory\n", stderr);
    return kMachine;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "moec: error: %s (a fault of this program; please report it)\n", error.what());
    return kMachine;
  }
}
