// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "runtime/pack/pack.h"
#include "tools/moec.h"
#include "tools/progress.h"

namespace moe::tools {
namespace {

struct Options {
  std::string store;
  std::string out;
};

int run(const Options& options) {
  const Result<void> done = [&] {
    ProgressBar bar("unpacking");
    pack::UnpackOptions how;
    how.progress = [&bar](uint64_t bytes, uint64_t total) { bar.show(bytes, total); };
    return pack::unpack(options.store, options.out, how);
  }();
  return done ? static_cast<int>(kFine) : report(done.error());
}

}  // namespace

void register_unpack(CLI::App& app, const Common&, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("unpack", "write a store's model as a Hugging Face folder again");
  command->add_option("STORE", options->store, "a store that `moec pack` wrote")->required();
  command->add_option("-o,--out", options->out, "the folder to write; it must not exist")->type_name("DIR")->required();
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace moe::tools
