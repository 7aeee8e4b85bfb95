// SPDX-License-Identifier: Apache-2.0
// Processor time of compiling one policy to native code in this process, 27 layers x 64 experts, top-6: medians, at O0
// and O2, with what each step of the pipeline takes; before them, what it takes until a policy with expressions or
// changing rules decides by the kernels that serve every policy. What a dispatch takes with each stands behind it
// (least of five rounds; Zipf's law, half of them warmed up).
//
//   build/release/bin/bench-compile [-n REPETITIONS] [NAME...]
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "bench/contender.h"
#include "bench/workload.h"
#include "codegen/any_policy.h"
#include "codegen/compiler.h"
#include "compiler/driver.h"

namespace {

using namespace moe;

struct Case {
  const char* name;
  const char* text;
};
constexpr Case kCases[] = {
    {"lru", "policy p { cache { capacity = 50%  eviction = lru } }"},
    {"lfu", "policy p { cache { capacity = 50%  eviction = lfu } }"},
    {"lirs", "policy p { cache { capacity = 50%  eviction = lirs } }"},
    {"gate", R"(policy p {
       cache { capacity = 50%  scope = layer  eviction = lru }
       prefetch { strategy = gate  budget = 2 } })"},
    {"composed", R"(policy p {
       cache { capacity = 50%  eviction = lru  ttl = 500  memory_threshold = 90%  memory_headroom = 70%  memory_budget_gb = 24 }
       prefetch { strategy = history  budget = 4  history_window = 50 }
       schedule { mode = cpu_fallback } })"},
    {"composed_lfu", R"(policy p {
       cache { capacity = 50%  eviction = lfu  ttl = 500  memory_threshold = 90%  memory_headroom = 70%  memory_budget_gb = 24 }
       prefetch { strategy = history  budget = 4  history_window = 50 }
       schedule { mode = cpu_fallback } })"},
    {"composed_adapt", R"(policy p {
       cache { capacity = 50%  eviction = lru  ttl = 500  memory_threshold = 90%  memory_headroom = 70%  memory_budget_gb = 24 }
       prefetch { strategy = history  budget = 4  history_window = 50 }
       schedule { mode = cpu_fallback }
       adapt { when hit_rate < 0.4 for 100 accesses cooldown 50 { eviction = lfu } } })"},
    {"least_1", "policy p { cache { capacity = 50%  eviction = least(seen) } }"},
    {"least_5", R"(policy p {
       cache {
         capacity = 50%
         eviction = least(0.2 * use_rate(4) + 0.4 * use_rate(20) + 0.4 * use_rate(100) - 0.05 * log(1 + idle) - 0.08 * distance / num_layers)
       } })"},
    {"expressions", R"(policy p {
       cache {
         capacity = 25%
         eviction = least(0.2 * use_rate(4) + 0.4 * use_rate(20) - 0.05 * log(1 + idle))
         admit = when(exp(-idle / 50) + weight > victim(use_rate(20)))
       }
       prefetch { strategy = gate  budget = 4  when = pow(use_rate(20), 2) > 0.01  admit = when(use_rate(20) > victim(use_rate(20))) }
       schedule {
         order = least(sigmoid(weight))
         on miss { when log(tokens + 1) > 1 -> load  when weight < 0.1 -> cpu  else -> cpu_load }
       } })"},
};

double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void print_totals(const char* name, const char* what, const std::vector<double>& totals) {
  fmt::print("{:<14} {:<4} {:>8.3f} ms  (least {:.3f}) ", name, what, median(totals),
             *std::min_element(totals.begin(), totals.end()));
}

std::optional<ir::BoundPolicy> bind(const Case& c) {
  const ir::SourceFile source(c.name, c.text);
  ir::Diagnostics diagnostics;
  compiler::Target target;
  target.shape = {27, 64, 6, 0};
  std::optional<ir::BoundPolicy> bound = compiler::compile_to_bound(source, target, diagnostics);
  if (!bound) fmt::print(stderr, "{}", ir::render_text(source, diagnostics, false));
  return bound;
}

/// Processor time of a dispatch by `decide`, least of five rounds.
template <class Decide>
double dispatch_ns(const decision::Params& params, Decide decide) {
  static const bench::Routing routing = bench::zipf_routing({27, 64, 6, 0}, 200, 100);
  double least = std::numeric_limits<double>::infinity();
  for (int round = 0; round < 5; ++round) {
    bench::Contender contender(params, nullptr);
    double begin = 0;
    for (size_t d = 0; d < routing.num_dispatches; ++d) {
      if (d == routing.num_dispatches / 2) begin = cpu_ms();
      const decision::Input in = bench::input_of(routing, d);
      if (decide(contender.state(), &in, &contender.arrays()) != decision::kOk) std::abort();
    }
    least = std::min(least, cpu_ms() - begin);
  }
  return least * 1e6 / static_cast<double>(routing.num_dispatches - routing.num_dispatches / 2);
}

/// Each prints a line; false when it cannot be done.
bool measure_any(const Case& c, const ir::BoundPolicy& bound, int repetitions) {
  std::vector<double> totals;
  for (int i = 0; i < repetitions; ++i) {
    const double begin = cpu_ms();
    const Result<std::unique_ptr<codegen::AnyPolicy>> made = codegen::AnyPolicy::make(bound);
    totals.push_back(cpu_ms() - begin);
    if (made) continue;
    fmt::print(stderr, "bench-compile: {}\n", made.error().message);
    return false;
  }
  const Result<std::unique_ptr<codegen::AnyPolicy>> made = codegen::AnyPolicy::make(bound);
  if (!made) return false;
  const codegen::AnyPolicy& policy = **made;
  print_totals(c.name, "any", totals);
  fmt::print("  dispatch {:.0f} ns\n",
             dispatch_ns(policy.params(), [&](void* state, const decision::Input* in, decision::Output* out) {
               return policy.dispatch(state, in, out);
             }));
  return true;
}

bool measure(const Case& c, const ir::BoundPolicy& bound, int opt_level, int repetitions) {
  std::vector<double> totals;
  std::vector<std::string_view> order;
  std::map<std::string_view, std::vector<double>> steps;
  double ns = 0;
  for (int i = 0; i < repetitions; ++i) {
    std::vector<codegen::StepTime> times;
    codegen::Options options;
    options.opt_level = opt_level;
    options.times = &times;
    const double begin = cpu_ms();
    const Result<std::unique_ptr<codegen::JitPolicy>> code = codegen::jit(bound, options);
    totals.push_back(cpu_ms() - begin);
    if (!code) {
      fmt::print(stderr, "bench-compile: {}\n", code.error().message);
      return false;
    }
    if (i == 0) ns = dispatch_ns(*(*code)->descriptor().params, (*code)->descriptor().dispatch);
    for (const codegen::StepTime& time : times) {
      if (steps[time.step].empty()) order.push_back(time.step);
      steps[time.step].push_back(time.milliseconds);
    }
  }
  print_totals(c.name, opt_level == 0 ? "O0" : "O2", totals);
  fmt::print("  dispatch {:.0f} ns", ns);
  for (const std::string_view step : order) fmt::print("  {} {:.2f}", step, median(steps[step]));
  fmt::print("\n");
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  int repetitions = 11;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
      repetitions = std::max(1, std::atoi(argv[++i]));
    } else {
      names.emplace_back(argv[i]);
    }
  }
  for (const Case& c : kCases) {
    if (!names.empty() && std::find(names.begin(), names.end(), c.name) == names.end()) continue;
    const std::optional<ir::BoundPolicy> bound = bind(c);
    if (!bound || !measure_any(c, *bound, repetitions)) return 1;
    for (const int opt_level : {0, 2}) {
      if (!measure(c, *bound, opt_level, repetitions)) return 1;
    }
  }
}
