// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "codegen/native.h"
#include "replay/kernel_engine.h"
#include "replay/load_trace.h"
#include "replay/replayer.h"
#include "tools/moec.h"
#include "tools/trace_shape.h"

namespace moe::tools {
namespace {

struct Options {
  std::string file;
  std::string trace;
  TargetOptions target;
  std::string decisions;
  std::string engine;
  std::string format = "text";
};

/// A decision engine and what it runs on.
struct Engine {
  std::unique_ptr<codegen::JitPolicy> code;
  std::unique_ptr<replay::DecisionEngine> decides;
};

/// Without a wish: native code where there is a kernel for all of the policy, else the reference interpreter.
Result<Engine> make_engine(const ir::BoundPolicy& policy, const std::string& kind) {
  const bool by_default = kind.empty() && !codegen::beyond_kernels(policy).empty();
  if (by_default || kind == "interp") return Engine{nullptr, replay::make_interpreter_engine(policy)};
  Result<std::unique_ptr<codegen::JitPolicy>> code = codegen::jit(policy, {});
  if (!code) return std::move(code).error();
  Result<replay::KernelEngine> kernel = replay::KernelEngine::create((*code)->descriptor());
  if (!kernel) return std::move(kernel).error();
  return Engine{std::move(*code), std::make_unique<replay::KernelEngine>(std::move(*kernel))};
}

void print_result(const replay::ReplayResult& result) {
  const replay::Counts& n = result.total;
  fmt::print("{}: {} tokens, {} dispatches\n", result.policy, result.tokens, n.dispatches);
  fmt::print("  hit rate    {:8.4f} %  ({} of {} accesses)\n", 100 * n.hit_rate(), n.hits, n.accesses);
  fmt::print("  loads       {:>8}    streams {}, on the host {}\n", n.loads, n.streams, n.cpu);
  fmt::print("  evictions   {:>8}\n", n.evictions);
  if (n.degraded + n.shared + n.skipped + n.dropped != 0) {
    fmt::print("  degraded    {:>8}    shared {}, skipped {}, dropped {}\n", n.degraded, n.shared, n.skipped,
               n.dropped);
  }
  if (n.tier_moves != 0) fmt::print("  tier moves  {:>8}\n", n.tier_moves);
  for (size_t i = 0; i < result.copies.size(); ++i) {
    if (result.copies[i] == 0) continue;
    fmt::print("  in {:<9}{:>8}\n", to_word(static_cast<ir::Dtype>(i)), result.copies[i]);
  }
  if (result.raised != 0) fmt::print("  raised      {:>8}\n", result.raised);
  for (size_t i = 0; i < result.rules_fired.size(); ++i) {
    if (result.rules_fired[i] != 0) fmt::print("  rule {:<6} {:>8} times\n", i + 1, result.rules_fired[i]);
  }
  if (n.prefetched != 0) {
    fmt::print("  prefetched  {:>8}    used {} ({:.2f} %), coverage {:.2f} %\n", n.prefetched, n.prefetch_used,
               100 * n.prefetch_accuracy(), 100 * n.prefetch_coverage());
  }
}

int run(const Options& options, const Common& common) {
  const Result<ir::SourceFile> source = read_source(options.file);
  if (!source) return report(source.error());
  const Result<replay::Trace> trace = replay::load_trace(options.trace);
  if (!trace) return report(trace.error());
  const Result<ir::ModelShape> shape = shape_of(*trace, options.target.model);
  if (!shape) return report(shape.error());
  Result<compiler::Target> target = options.target.resolve(*shape);
  if (!target) return report(target.error());
  target->replay = true;

  ir::Diagnostics diagnostics;
  const std::optional<ir::BoundPolicy> policy = compiler::compile_to_bound(*source, *target, diagnostics);
  print_diagnostics(*source, diagnostics, common);
  if (!policy) return kInputErrors;
  Result<Engine> engine = make_engine(*policy, options.engine);
  if (!engine) return report(engine.error());

  std::optional<replay::DecisionWriter> writer;
  if (!options.decisions.empty()) {
    Result<replay::DecisionWriter> opened = replay::DecisionWriter::open(options.decisions);
    if (!opened) return report(opened.error());
    writer.emplace(std::move(opened).value());
  }
  const Result<replay::ReplayResult> result =
      replay::replay(*trace, *policy, *engine->decides, writer ? &*writer : nullptr);
  if (!result) return report(result.error());
  if (writer) {
    const Result<void> finished = writer->finish();
    if (!finished) return report(finished.error());
  }
  if (options.format == "json") {
    fmt::print("{}\n", replay::print_json(std::span(&*result, 1)));
  } else if (options.decisions != "-") {
    print_result(*result);
  }
  return kFine;
}

}  // namespace

void register_replay(CLI::App& app, const Common& common, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("replay", "run a policy over a recorded routing trace");
  command->add_option("FILE", options->file, "a policy file; - is stdin")->required();
  command->add_option("--trace", options->trace, "a trace: .moet, .moet.zst, .npz or JSON Lines")
      ->type_name("T")
      ->required();
  options->target.add_to(*command, /*model_required=*/false);
  command->add_option("--decisions", options->decisions, "write every decision as JSON Lines; - is stdout")
      ->type_name("OUT");
  command
      ->add_option("--engine", options->engine,
                   "who decides: jit (native code) or interp (the reference interpreter); by default native code where "
                   "there is a kernel for all of the policy")
      ->check(CLI::IsMember({"jit", "interp"}));
  command->add_option("--format", options->format, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([options, &common, &exit_code] { exit_code = run(*options, common); });
}

}  // namespace moe::tools
