// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "codegen/compiler.h"
#include "ir/explain.h"
#include "ir/explain_parts.h"
#include "ir/pages.h"
#include "ir/shape.h"
#include "tools/explain_decision.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::string subject;  ///< a code or a file
  TargetOptions target;
  DecisionOptions decision;
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
                   nearest.empty()
                       ? fmt::format("there is no file and no code `{}`; codes look like `MOE2103`", code)
                       : fmt::format("there is no file and no code `{}`; did you mean `{}`?", code, nearest)});
  }
  if (options.format == "json") {
    const nlohmann::ordered_json json = {{"code", page->code}, {"title", page->title}, {"page", page->text}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}", page->text);
  }
  return kFine;
}

/// "policy.moe:3:15: a capacity of 2 is ... (MOE2208); raise `capacity` to at least 4"
std::string finding_text(const ir::SourceFile& source, const ir::Diagnostics& diagnostics,
                         const ir::Diagnostic& finding) {
  const ir::SourcePlace place = diagnostics.place_of(source, finding.span);
  const ir::LineColumn at = place.file->locate(place.span.begin);
  std::string text =
      fmt::format("{}:{}:{}: {} ({})", place.file->name(), at.line, at.column, finding.message, finding.code);
  return finding.hint.empty() ? text : text + "; " + finding.hint;
}

/// Errors go where all commands print them; warnings are part of what there is to say of the policy.
std::vector<std::string> warnings_of(const ir::SourceFile& source, const ir::Diagnostics& diagnostics) {
  std::vector<std::string> out;
  for (const ir::Diagnostic& finding : diagnostics.items()) out.push_back(finding_text(source, diagnostics, finding));
  return out;
}

void print_explanations(const std::vector<ir::Explanation>& explanations, const std::vector<std::string>& warnings,
                        const Options& options) {
  if (options.format == "json") {
    fmt::print("{}", ir::print_json(explanations, warnings));
    return;
  }
  for (size_t i = 0; i < explanations.size(); ++i) fmt::print("{}{}", i == 0 ? "" : "\n", print_text(explanations[i]));
  if (warnings.empty()) return;
  fmt::print("\nWarnings\n");
  for (const std::string& warning : warnings) fmt::print("  {}\n", warning);
}

/// What native code keeps: the last sentence about the model. A policy without native code has none.
void add_state_size(const ir::BoundPolicy& policy, ir::Explanation& explanation) {
  const Result<codegen::StateSize> state = codegen::state_size(policy);
  if (!state) return;
  const auto size = [](size_t bytes) { return ir::plain::size(static_cast<double>(bytes)); };
  std::string text = fmt::format("native code keeps {} in all", size(state->bytes));
  if (state->predictors != 0) {
    text += fmt::format(", of which {} are what its predictors know", size(state->predictors));
  }
  explanation.parts.back().sentences.push_back(ir::plain::sentence(text));
}

/// Without a model: the file's policies, or the chosen one. With one: the chosen policy with its slots and bytes.
Result<std::vector<ir::Explanation>> explanations_of(const ir::SourceFile& source, const Options& options,
                                                     ir::Diagnostics& diagnostics) {
  ir::ModelShape shape;
  if (!options.target.model.empty()) {
    const Result<ir::ModelShape> loaded = ir::load_shape(options.target.model);
    if (!loaded) return loaded.error();
    shape = *loaded;
  }
  Result<compiler::Target> target = options.target.resolve(shape);
  if (!target) return std::move(target).error();
  target->replay = true;  // what only a replay can do can be explained too
  std::vector<ir::Explanation> out;
  if (!options.target.model.empty()) {
    const std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(source, *target, diagnostics);
    if (!bound) return out;
    out.push_back(ir::explain(*bound));
    add_state_size(*bound, out.back());
    return out;
  }
  const std::optional<ir::Module> module = compiler::compile_to_module(source, target->settings, diagnostics, true);
  if (!module) return out;
  if (!options.target.policy.empty()) {
    const ir::Policy* policy = compiler::select_policy(*module, options.target.policy, diagnostics);
    if (policy != nullptr) out.push_back(ir::explain(*policy));
    return out;
  }
  for (size_t i = 0; i < module->num_own; ++i) out.push_back(ir::explain(module->policies[i]));
  return out;
}

int explain_file(const Options& options, const Common& common) {
  const Result<ir::SourceFile> source = read_source(options.subject);
  if (!source) return report(source.error());
  ir::Diagnostics diagnostics;
  const Result<std::vector<ir::Explanation>> explanations = explanations_of(*source, options, diagnostics);
  if (!explanations) return report(explanations.error());
  if (diagnostics.has_errors()) {
    print_diagnostics(*source, diagnostics, common);
    return kInputErrors;
  }
  print_explanations(*explanations, warnings_of(*source, diagnostics), options);
  return kFine;
}

/// A word that is neither a file nor a code, such as MOE21: a code was meant.
bool names_a_file(const std::string& subject) {
  std::error_code error;
  return subject == "-" || subject.find_first_of("./") != std::string::npos || std::filesystem::exists(subject, error);
}

}  // namespace

void register_explain(CLI::App& app, const Common& common, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "explain",
      "what a policy does, in plain sentences; why one of its decisions fell as it did (--decision); or what a finding "
      "means and how to mend it");
  command->add_option("FILE|CODE", options->subject,
                      "a policy file (- is stdin), or the code of a finding, such as MOE2103");
  options->target.add_to(*command, /*model_required=*/false);
  options->decision.add_to(*command);
  command->add_option("--format", options->format, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([options, &common, &exit_code] {
    if (options->decision.wanted()) {
      exit_code = explain_decision(options->subject, options->decision, options->target, options->format, common);
      return;
    }
    if (options->subject.empty()) throw CLI::RequiredError("FILE|CODE");
    const bool is_file = !ir::looks_like_code(options->subject) && names_a_file(options->subject);
    exit_code = is_file ? explain_file(*options, common) : explain_code(options->subject, *options);
  });
}

}  // namespace moe::tools
