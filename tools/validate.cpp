// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "ir/sarif.h"
#include "ir/shape.h"
#include "moe/moe.h"
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
  ir::Diagnostics findings;
};

/// What has been read and judged, for formats that print everything at once.
struct Judged {
  ir::SourceFile source;
  ir::Diagnostics findings;
};

std::string summary_of(const ir::Module& module) {
  std::string text = fmt::format("{} {}: ", module.num_own, module.num_own == 1 ? "policy" : "policies");
  for (size_t i = 0; i < module.num_own; ++i) {
    const ir::Policy& policy = module.policies[i];
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", policy.name.value, ir::to_word(ir::exactness(policy)));
  }
  return text;
}

Verdict judge(const ir::SourceFile& source, const std::optional<ir::ModelShape>& shape, const Options& options) {
  Verdict verdict;
  ir::Diagnostics& diagnostics = verdict.findings;
  const std::optional<ir::Module> module = compiler::compile_to_module(source, {}, diagnostics);
  if (module && shape) {
    for (size_t i = 0; i < module->num_own; ++i) (void)ir::bind(module->policies[i], *shape, {}, diagnostics);
    diagnostics.sort();
  }
  verdict.ok = module && !diagnostics.has_errors() && !(options.warnings_are_errors && diagnostics.num_warnings() > 0);
  if (module) verdict.summary = summary_of(*module);
  return verdict;
}

std::string json_of(const std::vector<Judged>& all) {
  nlohmann::ordered_json findings = nlohmann::ordered_json::array();
  for (const Judged& one : all) {
    for (auto& finding : nlohmann::ordered_json::parse(ir::render_json(one.source, one.findings))) {
      findings.push_back(std::move(finding));
    }
  }
  return findings.dump(2);
}

std::string sarif_of(const std::vector<Judged>& all, const std::vector<std::string>& failures) {
  std::vector<ir::FileFindings> files;
  files.reserve(all.size());
  for (const Judged& one : all) files.push_back({&one.source, &one.findings});
  const std::string version = fmt::format("{}.{}.{}", MOE_VERSION_MAJOR, MOE_VERSION_MINOR, MOE_VERSION_PATCH);
  return ir::render_sarif(files, failures, version);
}

int run(const Options& options, const Common& common) {
  std::optional<ir::ModelShape> shape;
  if (!options.model.empty()) {
    Result<ir::ModelShape> loaded = ir::load_shape(options.model);
    if (!loaded) return report(loaded.error());
    shape = *loaded;
  }
  int exit_code = kFine;
  std::vector<Judged> all;
  std::vector<std::string> failures;
  for (const std::string& path : options.files) {
    Result<ir::SourceFile> source = read_source(path);
    if (!source) {
      exit_code = report(source.error());
      failures.push_back(source.error().message);
      continue;
    }
    Verdict verdict = judge(*source, shape, options);
    if (!verdict.ok) exit_code = std::max<int>(exit_code, kInputErrors);
    if (options.format == "text") {
      print_diagnostics(*source, verdict.findings, common);
      if (verdict.ok) fmt::print("{}: ok, {}\n", source->name(), verdict.summary);
    } else {
      all.push_back({std::move(source).value(), std::move(verdict.findings)});
    }
  }
  if (options.format == "json") fmt::print("{}\n", json_of(all));
  if (options.format == "sarif") fmt::print("{}", sarif_of(all, failures));
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
  command
      ->add_option("--format", options->format,
                   "how findings are printed: text to stderr, json or sarif (2.1.0) to stdout")
      ->check(CLI::IsMember({"text", "json", "sarif"}));
  command->add_flag("--Werror", options->warnings_are_errors, "warnings make the exit code 1 (also -Werror)");
  command->callback([options, &common, &exit_code] { exit_code = run(*options, common); });
}

}  // namespace moe::tools
