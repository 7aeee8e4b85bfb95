// SPDX-License-Identifier: Apache-2.0
// ns per dispatch of JIT-compiled policies, beside the same kernels compiled statically (static_kernels.h), policies
// written by hand (baselines/), and the Python package that the language comes from (python_baseline.py). Everything is
// measured in random interleaving, but for Python, which runs first; ratios are of medians. Before, whoever decides a
// row is checked to decide the same on the row's routing, dispatch by dispatch.
//
//   build/release/bin/bench-dispatch [--only rules|policies|stdlib|limits|engine] [--format text|json]
//                                    [--python INTERPRETER|none] [--verbose] [--benchmark_...]
//
//   rules     eviction rules, 27 layers x 64 experts, top-6, half of the experts resident in one cache
//   policies  the sixteen of MoE-PolicyLang 1.4.2's benchmark, and `composed`, at three shapes
//   stdlib    the standard library at 61x256, top-8
//   limits    least(E) of five terms
//   engine    a whole moe_dispatch
// --verbose shows Google Benchmark's own table on stderr; --benchmark_... are its options. MOE_BENCH_PYTHON names the
// interpreter too.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "bench/measure.h"
#include "bench/python.h"
#include "bench/report.h"

namespace {

using namespace moe;

struct Options {
  std::string only;
  std::string format = "text";
  std::string python = "python3";
  bool verbose = false;
};

[[noreturn]] void fail(const Error& error) {
  fmt::print(stderr, "bench-dispatch: {}\n", error.message);
  std::exit(3);
}

/// What is left is Google Benchmark's.
std::vector<std::string> parse(int argc, char** argv, Options& options) {
  CLI::App app("times the decisions of compiled policies");
  app.allow_extras();
  app.add_option("--only", options.only)->check(CLI::IsMember({"rules", "policies", "stdlib", "limits", "engine"}));
  app.add_option("--format", options.format)->check(CLI::IsMember({"text", "json"}));
  app.add_option("--python", options.python)->envname("MOE_BENCH_PYTHON");
  app.add_flag("--verbose", options.verbose);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  return app.remaining();
}

void start_benchmark(const char* program, std::vector<std::string> options) {
  options.insert(options.begin(), {program, "--benchmark_enable_random_interleaving=true"});
  std::vector<char*> arguments;
  for (std::string& option : options) arguments.push_back(option.data());
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) std::exit(2);
}

std::string python_columns(const Options& options, const bench::Routings& routings, std::vector<bench::Row>& rows) {
  const bool any = !rows.empty() && (options.only.empty() || options.only == "policies");
  if (!any || options.python == "none") return "skipped: not asked for";
  Result<std::string> python = bench::time_python(options.python, routings, rows);
  if (python) return *python;
  if (python.error().kind != Error::Kind::unsupported) fail(python.error());
  return "skipped: " + python.error().message;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  start_benchmark(argv[0], parse(argc, argv, options));
  const bench::Routings routings = bench::make_routings();
  Result<bench::Rows> rows = bench::make_rows(routings, options.only);
  if (!rows) fail(rows.error());
  bench::Report report{std::move(*rows), {}, {}};
  report.python = python_columns(options, routings, report.rows.rows);

  bench::EngineBench engine(routings.rules);
  bench::register_rows(report.rows.rows);
  if (options.only.empty() || options.only == "engine") {
    if (Result<void> started = engine.start(); !started) fail(started.error());
  }
  auto times = bench::run_registered(options.verbose);
  for (bench::Row& row : report.rows.rows) {
    row.jit_times = bench::times_of(times, row.name() + "/jit");
    row.compiled_times = bench::times_of(times, row.name() + "/static");
    row.by_hand_times = bench::times_of(times, row.name() + "/hand");
  }
  if (const auto batch = bench::times_of(times, engine.name())) {
    report.engine = bench::Times{batch->median / bench::EngineBench::kBatch, batch->least / bench::EngineBench::kBatch};
  }
  options.format == "json" ? print_json(report) : print_table(report);
}
