// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>

#include "ir/shape.h"
#include "tools/moec.h"

namespace moe::tools {
namespace {

struct Options {
  std::string file;
  TargetOptions target;
  std::string output;
  std::string emit;
  std::string cpu;
  int opt_level = 2;
  std::string print_after;
  bool time_passes = false;
};

/// What an output's ending chooses; "" when it chooses nothing.
std::string emit_for(const std::string& output) {
  const std::string ending = std::filesystem::path(output).extension().string();
  if (ending == ".json" || ending == ".moeir") return "ir";
  if (ending == ".ll") return "llvm";
  if (ending == ".s") return "asm";
  if (ending == ".o") return "obj";
  if (ending == ".so") return "so";
  return "";
}

bool is_json(const std::string& output) { return std::filesystem::path(output).extension() == ".json"; }

codegen::Artifact artifact_of(const std::string& emit) {
  if (emit == "llvm") return codegen::Artifact::llvm;
  if (emit == "asm") return codegen::Artifact::assembly;
  if (emit == "obj") return codegen::Artifact::object;
  return codegen::Artifact::shared_library;
}

int emit_ast(const ir::SourceFile& source, const Options& options, const Common& common) {
  ir::Diagnostics diagnostics;
  const frontend::ParseResult parsed = frontend::parse(source, diagnostics);
  print_diagnostics(source, diagnostics, common);
  if (!parsed.file || diagnostics.has_errors()) return kInputErrors;
  const std::string text =
      is_json(options.output) ? frontend::ast::print_json(*parsed.file) : frontend::ast::print_text(*parsed.file);
  const Result<void> written = write_output(options.output, text);
  return written ? kFine : report(written.error());
}

/// Without a model: the checked policies of the file. With one: the chosen policy's numbers.
int emit_ir(const ir::SourceFile& source, const Options& options, const Common& common) {
  ir::Diagnostics diagnostics;
  std::string text;
  const bool json = is_json(options.output);
  if (options.target.model.empty()) {
    const Result<compiler::Target> target = options.target.resolve({});
    if (!target) return report(target.error());
    const std::optional<ir::Module> module = compiler::compile_to_module(source, target->settings, diagnostics);
    const bool one = module && !options.target.policy.empty();
    const ir::Policy* policy = one ? compiler::select_policy(*module, options.target.policy, diagnostics) : nullptr;
    if (policy != nullptr) text = json ? ir::print_json(*policy) : ir::print_text(*policy);
    if (module && !one) text = json ? ir::print_json(*module) : ir::print_text(*module);
  } else {
    const Result<ir::ModelShape> shape = ir::load_shape(options.target.model);
    if (!shape) return report(shape.error());
    const Result<compiler::Target> target = options.target.resolve(*shape);
    if (!target) return report(target.error());
    const std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(source, *target, diagnostics);
    if (bound) text = ir::print_json(*bound);
  }
  print_diagnostics(source, diagnostics, common);
  if (diagnostics.has_errors()) return kInputErrors;
  if (!text.empty() && text.back() != '\n') text += '\n';
  const Result<void> written = write_output(options.output, text);
  return written ? kFine : report(written.error());
}

int emit_code(const ir::SourceFile& source, const Options& options, const std::string& emit, const Common& common) {
  if (options.target.model.empty()) {
    return report(
        {Error::Kind::invalid, "native code is specialised for a model: add --model, for example --model 27x64x6"});
  }
  const Result<ir::ModelShape> shape = ir::load_shape(options.target.model);
  if (!shape) return report(shape.error());
  const Result<compiler::Target> target = options.target.resolve(*shape);
  if (!target) return report(target.error());
  ir::Diagnostics diagnostics;
  const std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(source, *target, diagnostics);
  print_diagnostics(source, diagnostics, common);
  if (!bound) return kInputErrors;

  std::vector<codegen::StepTime> times;
  codegen::Options code;
  code.opt_level = options.opt_level;
  code.cpu = options.cpu;
  code.print_after = options.print_after;
  code.print = [](std::string_view text) { fmt::print(stderr, "{}", text); };
  code.times = &times;
  const Result<std::string> artifact = codegen::generate(*bound, artifact_of(emit), code);
  if (!artifact) return report(artifact.error());
  if (options.time_passes) {
    for (const codegen::StepTime& time : times) fmt::print(stderr, "{:>9.3f} ms  {}\n", time.milliseconds, time.step);
  }
  const Result<void> written = write_output(options.output, *artifact);
  return written ? kFine : report(written.error());
}

int run(Options& options, const Common& common) {
  const Result<ir::SourceFile> source = read_source(options.file);
  if (!source) return report(source.error());
  const std::string chosen = emit_for(options.output);
  const std::string emit = !options.emit.empty() ? options.emit : chosen;
  if (emit.empty() && !options.output.empty()) {
    return report({Error::Kind::invalid,
                   "the ending of `" + options.output + "` says nothing: use .json .moeir .ll .s .o .so, or --emit"});
  }
  const bool binary = emit == "obj" || emit == "so" || emit.empty();
  if (options.output.empty()) {
    const std::string stem = options.file == "-" ? "policy" : std::filesystem::path(options.file).stem().string();
    options.output = binary ? stem + (emit == "obj" ? ".o" : ".so") : "-";
  }
  if (emit == "ast") return emit_ast(*source, options, common);
  if (emit == "ir") return emit_ir(*source, options, common);
  return emit_code(*source, options, emit.empty() ? "so" : emit, common);
}

}  // namespace

void register_compile(CLI::App& app, const Common& common, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("compile", "compile a policy: to a shared library, or to any stage before it");
  command->add_option("FILE", options->file, "a policy file (.moe, or the canonical text .moeir); - is stdin")
      ->required();
  options->target.add_to(*command, /*model_required=*/false);
  command
      ->add_option("-o", options->output,
                   "output; its ending chooses what is made (.json .moeir .ll .s .o .so); - is stdout")
      ->type_name("OUT");
  command->add_option("--emit", options->emit, "what is made: ast, ir, llvm, asm, obj or so")
      ->check(CLI::IsMember({"ast", "ir", "llvm", "asm", "obj", "so"}));
  command->add_option("-O", options->opt_level, "optimisation level")->check(CLI::Range(0, 3))->capture_default_str();
  command->add_option("--cpu", options->cpu, "an LLVM processor name, or native; x86-64-v2 if not given")
      ->type_name("NAME");
  std::vector<std::string> steps;
  for (std::string_view step : codegen::step_names()) steps.emplace_back(step);
  command->add_option("--print-after", options->print_after, "print LLVM IR to stderr after a step")
      ->check(CLI::IsMember(steps));
  command->add_flag("--time-passes", options->time_passes, "print the time of every step to stderr");
  command->callback([options, &common, &exit_code] { exit_code = run(*options, common); });
}

}  // namespace moe::tools
