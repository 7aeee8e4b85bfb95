// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "ir/shape.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::vector<std::string> files;
  std::string model;
  std::string format = "text";
  bool warnings_are_errors = false;
};

/// What one file came to.
struct Verdict {
  bool ok = true;
  std::string summary;  ///< "2 policies: a (exact), b (exact on host)"
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
};

std::string summary_of(const ir::Module& module) {
  std::string text = fmt::format("{} {}: ", module.num_own, module.num_own == 1 ? "policy" : "policies");
  for (size_t i = 0; i < module.num_own; ++i) {
    const ir::Policy& policy = module.policies[i];
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", policy.name.value, ir::to_word(ir::exactness(policy)));
  }
  return text;
}

Verdict judge(const ir::SourceFile& source, const std::optional<ir::ModelShape>& shape, const Options& options,
              const Common& common) {
  ir::Diagnostics diagnostics;
  const std::optional<ir::Module> module = compiler::compile_to_module(source, {}, diagnostics);
  if (module && shape) {
    for (size_t i = 0; i < module->num_own; ++i) (void)ir::bind(module->policies[i], *shape, {}, diagnostics);
    diagnostics.sort();
  }
  Verdict verdict;
  verdict.ok = module && !diagnostics.has_errors() && !(options.warnings_are_errors && diagnostics.num_warnings() > 0);
  if (module) verdict.summary = summary_of(*module);
  if (options.format == "json") {
    verdict.findings = nlohmann::ordered_json::parse(ir::render_json(source, diagnostics));
  } else {
    print_diagnostics(source, diagnostics, common);
  }
  return verdict;
}

int run(const Options& options, const Common& common) {
  std::optional<ir::ModelShape> shape;
  if (!options.model.empty()) {
    Result<ir::ModelShape> loaded = ir::load_shape(options.model);
    if (!loaded) return report(loaded.error());
    shape = *loaded;
  }
  int exit_code = kFine;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const std::string& path : options.files) {
    const Result<ir::SourceFile> source = read_source(path);
    if (!source) {
      exit_code = report(source.error());
      continue;
    }
    const Verdict verdict = judge(*source, shape, options, common);
    if (!verdict.ok) exit_code = std::max<int>(exit_code, kInputErrors);
    for (const auto& finding : verdict.findings) all.push_back(finding);
    if (options.format == "text" && verdict.ok) fmt::print("{}: ok, {}\n", source->name(), verdict.summary);
  }
  if (options.format == "json") fmt::print("{}\n", all.dump(2));
  return exit_code;
}

}  // namespace

void register_validate(CLI::App& app, const Common& common, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("validate", "check policies and say what is wrong with them");
  command->add_option("FILE", options->files, "policy files; - is stdin")->required();
  command
      ->add_option("--model", options->model, "also check against a model: config.json, its folder, or LxExK[:BYTES]")
      ->type_name("M");
  command->add_option("--format", options->format, "how findings are printed: text to stderr, json to stdout")
      ->check(CLI::IsMember({"text", "json"}));
  command->add_flag("--Werror", options->warnings_are_errors, "warnings make the exit code 1 (also -Werror)");
  command->callback([options, &common, &exit_code] { exit_code = run(*options, common); });
}

}  // namespace moe::tools
