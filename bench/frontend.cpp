// SPDX-License-Identifier: Apache-2.0
// What the front end costs: a policy of 20 lines, files of 1 KiB to 1 MiB, and the memory of the largest.
//
//   build/release/bin/bench-frontend            all; --benchmark_... options are Google Benchmark's
//
// The files are whole policies, pin lists, comments, and mistakes. The rows BigO say that time grows with the size:
// RMS is how far the sizes are from a straight line.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "frontend/frontend.h"
#include "frontend/limits.h"

namespace {

using namespace moe;

constexpr std::string_view kTwentyLines = R"(policy warm {
  param slots = 16 in 4..64
  let busy = hit_rate < 0.6
  cache {
    capacity = slots
    eviction = lfu
    frequency_decay = 0.9
    pin = [0:1, 2:3..5]
  }
  prefetch {
    strategy = affinity | history
    budget = 4
    lookahead = 2
  }
  schedule { mode = hybrid }
  monitor { window = 200 }
  adapt {
    when busy for 50 accesses cooldown 100 { eviction = lru } revert
  }
}
)";

/// At least 1 KiB, so that 1 MiB stays below the limit of policies.
std::string policy(size_t number) {
  return fmt::format(R"(# Policy {0}: the hot experts stay, the others come and go by how often they were used lately.
policy p{0} {{
  # The first figure is what fits beside the model, measured with a context of 8192 tokens on the smallest card that it runs on.
  cache {{
    capacity = 16              # slots per layer; a third of the experts
    scope = layer
    eviction = lfu
    frequency_decay = 0.9      # forgets half of what it saw in seven intervals
    decay_interval = 128
    pin = [0:1, 2:3..5, 7:0]   # always used by the system prompt
    ttl = 4096
    protect_selected = true
  }}
  prefetch {{
    strategy = affinity | history
    budget = 4
    lookahead = 2              # layers; more did not pay on this link
    history_window = 64
    affinity_threshold = 0.25
  }}
  schedule {{ mode = hybrid  overlap = true }}
  monitor {{ window = 200  log_interval = 50 }}
  adapt {{
    # A prompt in another language: recency is what is left to go by, until the frequencies have caught up with it.
    when hit_rate < 0.6 for 50 accesses cooldown 100 {{ eviction = lru }} revert
  }}
}}

)",
                     number);
}

std::string policies(size_t bytes) {
  std::string text;
  for (size_t number = 0;; ++number) {
    const std::string next = policy(number);
    if (number > 0 && text.size() + next.size() > bytes) return text;
    text += next;
  }
}

std::string pins(size_t bytes) {
  std::string text = "policy p { cache { capacity = 64  pin = [";
  for (size_t i = 0; text.size() + 16 < bytes; ++i) text += fmt::format("{}:{},\n", i / 65000, i % 65000);
  return text + "] } }\n";
}

std::string comments(size_t bytes) {
  std::string text = "policy p { cache { capacity = 64 } }\n";
  while (text.size() + 32 < bytes) text += "# one of many lines of text\n";
  return text;
}

std::string mistakes(size_t bytes) {
  std::string text = "policy p { cache { capacity = 64\n";
  while (text.size() + 32 < bytes) text += "evicton = lfru  capacity : = 5\n";
  return text + "} }\n";
}

struct Kind {
  const char* name;
  std::string (*make)(size_t bytes);
};
constexpr std::array kKinds = {Kind{"policies", policies}, Kind{"pins", pins}, Kind{"comments", comments},
                               Kind{"mistakes", mistakes}};

bool compile(const ir::SourceFile& file) {
  ir::Diagnostics diagnostics;
  const auto module = frontend::compile_to_ir(file, {}, diagnostics);
  return module.has_value();
}

void parse_check_lower(benchmark::State& state, const std::string& text) {
  const ir::SourceFile file("bench.moe", text);
  for (auto _ : state) benchmark::DoNotOptimize(compile(file));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

void parse_only(benchmark::State& state, const std::string& text) {
  const ir::SourceFile file("bench.moe", text);
  for (auto _ : state) {
    ir::Diagnostics diagnostics;
    benchmark::DoNotOptimize(frontend::parse(file, diagnostics));
  }
}

void check_lower(benchmark::State& state, const std::string& text) {
  const ir::SourceFile file("bench.moe", text);
  ir::Diagnostics diagnostics;
  const frontend::ParseResult parsed = frontend::parse(file, diagnostics);
  for (auto _ : state) {
    ir::Diagnostics found;
    benchmark::DoNotOptimize(frontend::lower(*parsed.file, {}, found));
  }
}

void file_of(benchmark::State& state, const Kind& kind) {
  const std::string text = kind.make(static_cast<size_t>(state.range(0)));
  parse_check_lower(state, text);
  state.SetComplexityN(static_cast<int64_t>(text.size()));
}

/// Peak memory of a process that compiles one file of 1 MiB and does nothing else.
void print_memory(const Kind& kind) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const bool good = compile(ir::SourceFile("bench.moe", kind.make(frontend::kMaxFileBytes)));
    _exit(good == (kind.make != mistakes) ? 0 : 1);
  }
  rusage usage{};
  int status = 0;
  if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
    fmt::print("1 MiB of {}: it was not compiled as expected\n", kind.name);
    return;
  }
  const double seconds =
      static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
  fmt::print("1 MiB of {}, a fresh process: {} MB at its peak, {:.2f} s of user time\n", kind.name,
             usage.ru_maxrss * 1024 / 1000000, seconds);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const std::string text(kTwentyLines);
  if (!compile(ir::SourceFile("bench.moe", text))) {
    fmt::print(stderr, "the policy of 20 lines does not compile\n");
    return 1;
  }
  for (const Kind& kind : kKinds) print_memory(kind);
  benchmark::RegisterBenchmark("twenty_lines/parse_check_lower", parse_check_lower, text)
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("twenty_lines/parse", parse_only, text)->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("twenty_lines/check_lower", check_lower, text)->Unit(benchmark::kMicrosecond);
  for (const Kind& kind : kKinds) {
    benchmark::RegisterBenchmark(fmt::format("file_of_{}", kind.name).c_str(), file_of, kind)
        ->RangeMultiplier(4)
        ->Range(1 << 10, 1 << 20)
        ->Complexity(benchmark::oN)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
