// SPDX-License-Identifier: Apache-2.0
#include "tools/explain_decision.h"

#include <fmt/format.h>

#include <charconv>

#include "codegen/any_policy.h"
#include "compiler/program.h"
#include "ir/shape.h"
#include "replay/explain.h"
#include "replay/file.h"
#include "replay/load_trace.h"
#include "tools/trace_shape.h"

namespace moe::tools {
namespace {

/// "[L,]E" as a key; without a layer it is of the dispatch's.
Result<uint32_t> parse_expert(std::string_view text, uint32_t layer, const ir::ModelShape& shape) {
  const Error error{Error::Kind::invalid, fmt::format("`--expert {}` is not [L,]E within {} layers of {} experts", text,
                                                      shape.num_layers, shape.num_experts)};
  const auto number = [](std::string_view digits) -> std::optional<uint32_t> {
    uint32_t value = 0;
    const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (failure != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const size_t comma = text.find(',');
  std::optional<uint32_t> of_layer = layer;
  if (comma != std::string_view::npos) of_layer = number(text.substr(0, comma));
  const std::optional<uint32_t> expert = number(comma == std::string_view::npos ? text : text.substr(comma + 1));
  if (!of_layer || !expert || *of_layer >= shape.num_layers || *expert >= shape.num_experts) return error;
  return *of_layer * shape.num_experts + *expert;
}

int print(const ir::ExplainedDecision& explained, const ir::BoundPolicy& policy, const DecisionOptions& options,
          const std::string& format) {
  ir::DecisionFilter filter;
  filter.most_candidates = options.candidates;
  if (!options.expert.empty()) {
    const Result<uint32_t> key = parse_expert(options.expert, explained.account.layer, policy.shape);
    if (!key) return report(key.error());
    filter.key = *key;
  }
  const std::string text =
      format == "json" ? print_json(explained, policy, filter) : print_text(explained, policy, filter);
  const Result<void> written = write_output("-", text);
  return written ? kFine : report(written.error());
}

int explain_in_trace(const std::string& file, const DecisionOptions& options, const TargetOptions& given,
                     const std::string& format, const Common& common) {
  const Result<ir::SourceFile> source = read_source(file);
  if (!source) return report(source.error());
  const Result<replay::Trace> trace = replay::load_trace(options.trace);
  if (!trace) return report(trace.error());
  const Result<ir::ModelShape> shape = shape_of(*trace, given.model);
  if (!shape) return report(shape.error());
  Result<compiler::Target> target = given.resolve(*shape);
  if (!target) return report(target.error());
  target->replay = true;
  ir::Diagnostics diagnostics;
  const std::optional<ir::BoundPolicy> policy = compiler::compile_to_bound(*source, *target, diagnostics);
  print_diagnostics(*source, diagnostics, common);
  if (!policy) return kInputErrors;
  const Result<ir::ExplainedDecision> explained = replay::explain(*trace, *policy, {*options.decision, options.layer});
  return explained ? print(*explained, *policy, options, format) : report(explained.error());
}

/// The policy that a log names, as it was made, or as the command line says.
Result<compiler::Program> program_of(const std::string& file, const replay::DecisionLog& log,
                                     const replay::LoggedPolicy& logged, const TargetOptions& given) {
  if (file.empty()) {
    if (!logged.program.empty()) return compiler::read_program(logged.program);
    return Error{Error::Kind::invalid,
                 "the log has no text of the policy, which was not compiled from one: name its file"};
  }
  Result<ir::SourceFile> source = read_source(file);
  if (!source) return std::move(source).error();
  if (!logged.program.empty()) {
    const Result<compiler::Program> own = compiler::read_program(logged.program);
    if (own && own->source.text() != source->text()) {
      fmt::print(stderr, "moec: note: the engine's policy had another text than `{}`; without FILE it is used\n", file);
    }
  }
  ir::ModelShape shape{log.num_layers, log.num_experts, log.top_k, 0};
  if (!given.model.empty()) {
    const Result<ir::ModelShape> named = ir::load_shape(given.model);
    if (!named) return named.error();
    shape = *named;
  }
  Result<compiler::Target> target = given.resolve(shape);
  if (!target) return std::move(target).error();
  return compiler::Program{std::move(source).value(), std::move(target).value()};
}

/// Policies of a log, made again once each.
class RemadePolicies {
 public:
  RemadePolicies(const replay::DecisionLog& log, const TargetOptions& given, const Common& common)
      : log_(log), given_(given), common_(common), made_(log.policies.size()) {}

  /// kFine, or the exit status of what was reported. `file`: instead of the log's own text, unless it is "".
  int remake(uint32_t which, const std::string& file) {
    if (made_[which]) return kFine;
    const Result<compiler::Program> program = program_of(file, log_, log_.policies[which], given_);
    if (!program) return report(program.error());
    ir::Diagnostics diagnostics;
    std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(program->source, program->target, diagnostics);
    print_diagnostics(program->source, diagnostics, common_);
    if (!bound) return kInputErrors;
    made_[which] = std::make_unique<Made>(std::move(*bound));
    return kFine;
  }

  replay::RemadePolicy operator[](uint32_t which) const {
    const Made& made = *made_[which];
    return {&made.bound, made.native ? &made.native->params() : nullptr};
  }

 private:
  struct Made {
    explicit Made(ir::BoundPolicy policy) : bound(std::move(policy)) {
      // The layout of a state is the native code's.
      if (auto any = codegen::AnyPolicy::make(bound); any.ok()) native = std::move(any).value();
    }
    ir::BoundPolicy bound;
    std::unique_ptr<codegen::AnyPolicy> native;
  };

  const replay::DecisionLog& log_;
  const TargetOptions& given_;
  const Common& common_;
  std::vector<std::unique_ptr<Made>> made_;
};

int explain_in_log(const std::string& file, const DecisionOptions& options, const TargetOptions& given,
                   const std::string& format, const Common& common) {
  const Result<replay::MappedFile> mapped = replay::MappedFile::open(options.log);
  if (!mapped) return report(mapped.error());
  const Result<replay::DecisionLog> log = replay::read_decision_log(mapped->bytes());
  if (!log) return report(Error{log.error().kind, options.log + ": " + log.error().message});
  const Result<replay::LoggedDispatch> dispatch = find(*log, {*options.decision, options.layer});
  if (!dispatch) return report(dispatch.error());
  RemadePolicies policies(*log, given, common);
  // FILE is of the dispatch's own policy.
  if (const int refused = policies.remake(dispatch->policy, file); refused != kFine) return refused;
  const Result<ir::ExplainedDecision> explained =
      replay::explain(*log, *dispatch, [&](uint32_t which) -> Result<replay::RemadePolicy> {
        if (policies.remake(which, "") == kFine) return policies[which];
        return Error{Error::Kind::unsupported, "a policy that ran before cannot be made again"};
      });
  return explained ? print(*explained, *policies[dispatch->policy].bound, options, format) : report(explained.error());
}

}  // namespace

void DecisionOptions::add_to(CLI::App& app) {
  app.add_option(
         "--decision", decision,
         "explain dispatch N, counted from 0, of --trace or --log: what became of each expert, who left and why, "
         "who could have")
      ->type_name("N");
  app.add_option("--trace", trace, "a trace that the policy runs on until then: .moet, .moet.zst, .npz or JSON Lines")
      ->type_name("T");
  app.add_option("--log", log,
                 "a decision log of an engine, which has the policy where it was compiled from a text: no FILE then")
      ->type_name("LOG");
  app.add_option("--layer", layer, "with --decision: N counts the dispatches of layer L, of a log those that it has")
      ->type_name("L");
  app.add_option("--expert", expert, "with --decision: only what became of expert E (of layer L)")->type_name("[L,]E");
  app.add_option("--candidates", candidates, "with --decision: so many of those who could leave are listed")
      ->capture_default_str();
}

int explain_decision(const std::string& file, const DecisionOptions& options, const TargetOptions& target,
                     const std::string& format, const Common& common) {
  if (!options.decision) return report({Error::Kind::invalid, "name the dispatch: --decision N"});
  if (options.trace.empty() == options.log.empty()) {
    return report({Error::Kind::invalid, "--decision needs what was dispatched: --trace T or --log LOG"});
  }
  if (!options.log.empty()) return explain_in_log(file, options, target, format, common);
  if (file.empty()) return report({Error::Kind::invalid, "name the policy's file"});
  return explain_in_trace(file, options, target, format, common);
}

}  // namespace moe::tools
