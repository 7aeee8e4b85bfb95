// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ir/pages.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::string subject;
  std::string format = "text";
};

/// A code's page.
int explain_code(const std::string& code, const Options& options) {
  const ir::DiagnosticPage* page = ir::find_page(code);
  if (page == nullptr) {
    std::vector<std::string_view> codes;
    for (const ir::DiagnosticPage& known : ir::diagnostic_pages()) codes.push_back(known.code);
    const std::string full = code.size() == 4 ? "MOE" + code : code;
    const std::string_view nearest = ir::nearest_word(full, codes);
    return report({Error::Kind::invalid,
                   nearest.empty() ? fmt::format("there is no code `{}`; codes look like `MOE2103`", code)
                                   : fmt::format("there is no code `{}`; did you mean `{}`?", code, nearest)});
  }
  if (options.format == "json") {
    const nlohmann::ordered_json json = {{"code", page->code}, {"title", page->title}, {"page", page->text}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}", page->text);
  }
  return kFine;
}

}  // namespace

void register_explain(CLI::App& app, const Common& /*common*/, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("explain", "what a finding means, with an example and how to mend it");
  command->add_option("CODE", options->subject, "the code of a finding, such as MOE2103")->required();
  command->add_option("--format", options->format, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([options, &exit_code] { exit_code = explain_code(options->subject, *options); });
}

}  // namespace moe::tools
