// SPDX-License-Identifier: Apache-2.0
#include "bench/rows.h"

#include <fmt/format.h>

#include <filesystem>

#include "bench/policies.h"
#include "bench/static_kernels.h"
#include "codegen/native.h"

namespace moe::bench {
namespace {

constexpr ir::Eviction kRules[] = {ir::Eviction::lru,   ir::Eviction::lfu,       ir::Eviction::score,
                                   ir::Eviction::sieve, ir::Eviction::s3_fifo,   ir::Eviction::arc,
                                   ir::Eviction::lirs,  ir::Eviction::w_tinylfu, ir::Eviction::random};

/// Whoever decides the row decides it as the JIT's code does.
Result<void> check(Row& row) {
  const decision::Params& params = *row.jit->descriptor().params;
  const decision::DispatchFn code = row.jit->descriptor().dispatch;
  const auto against = [&](Contender other, const char* who) -> Result<void> {
    Contender jit(params, code);
    const Result<Summary> both = compare(jit, other, *row.routing);
    if (both) return {};
    return Error{both.error().kind, fmt::format("{}: {} by {} and by the JIT", row.name(), both.error().message, who)};
  };
  if (row.compiled != nullptr) {
    if (auto done = against(Contender(params, row.compiled), "the static kernel"); !done) return done;
  }
  if (row.by_hand != nullptr) {
    if (auto done = against(Contender(params, *row.by_hand), "the hand-written policy"); !done) return done;
  }
  Contender jit(params, code);
  Result<Summary> summary = summarize(jit, *row.routing);
  if (!summary) return summary.error();
  row.summary = *summary;
  return {};
}

class Maker {
 public:
  Maker(const Routings& routings, const std::string& only) : routings_(routings), only_(only) {}

  Result<Rows> make() {
    Result<void> done = rules();
    if (done) done = policies();
    if (done) done = stdlib();
    if (done) done = limits();
    if (!done) return done.error();
    return std::move(made_);
  }

 private:
  bool wanted(const char* group) const { return only_.empty() || only_ == group; }

  Result<void> add(const char* group, std::string name, const Routing& routing, Result<ir::BoundPolicy> bound,
                   decision::DispatchFn compiled) {
    if (!bound) return bound.error();
    const std::vector<std::string> beyond = codegen::beyond_kernels(*bound);
    if (!beyond.empty()) {
      made_.left_out.push_back(fmt::format("{} {}: {}", name, name_of(routing.shape), fmt::join(beyond, ", ")));
      return {};
    }
    Result<std::unique_ptr<codegen::JitPolicy>> jit = codegen::jit(*bound, {});
    if (!jit) return jit.error();
    const ir::ModelShape& shape = routing.shape;
    const Baseline* const by_hand = find_baseline(name, shape.num_layers, shape.num_experts, shape.top_k);
    Row row;
    row.group = group;
    row.policy = std::move(name);
    row.routing = &routing;
    row.jit = std::move(*jit);
    row.compiled = compiled;
    row.by_hand = std::string_view(group) == "stdlib" ? nullptr : by_hand;
    made_.rows.push_back(std::move(row));
    return check(made_.rows.back());
  }

  Result<void> rules() {
    for (const ir::Eviction rule : kRules) {
      if (!wanted("rules")) break;
      const std::string word(ir::to_word(rule));
      const decision::DispatchFn compiled = find_static(static_rules_27x64x6(), word);
      auto done = add("rules", word, routings_.rules, bind_rule(rule, routings_.rules.shape), compiled);
      if (!done) return done;
    }
    return {};
  }

  Result<void> policies() {
    const StaticKernels* const kernels[] = {&static_policies_32x8x2(), &static_policies_27x64x6(),
                                            &static_policies_24x60x4()};
    for (size_t s = 0; wanted("policies") && s < routings_.policies.size(); ++s) {
      const Routing& routing = routings_.policies[s];
      for (const std::string_view name : policy_names()) {
        auto bound = bind_file(path_of_policy(name), routing.shape, /*layer_blind=*/true);
        auto done = add("policies", std::string(name), routing, std::move(bound), find_static(*kernels[s], name));
        if (!done) return done;
      }
    }
    return {};
  }

  Result<void> stdlib() {
    if (!wanted("stdlib")) return {};
    for (const std::string& path : standard_library()) {
      const std::string name = std::filesystem::path(path).stem();
      std::vector<std::string> settings;
      if (name == "auto") settings = {"fast_memory=320GB"};  // about half of the experts, as with most of the others
      auto bound = bind_file(path, routings_.stdlib.shape, /*layer_blind=*/false, settings);
      const decision::DispatchFn compiled = find_static(static_stdlib_61x256x8(), name);
      if (auto done = add("stdlib", name, routings_.stdlib, std::move(bound), compiled); !done) return done;
    }
    return {};
  }

  Result<void> limits() {
    if (!wanted("limits")) return {};
    const Routing& routing = routings_.policies[1];
    auto bound = bind_file(path_of_policy("least_five"), routing.shape, /*layer_blind=*/false);
    return add("limits", "least_five", routing, std::move(bound), nullptr);
  }

  const Routings& routings_;
  const std::string& only_;
  Rows made_;
};

}  // namespace

decision::DispatchFn find_static(const StaticKernels& kernels, std::string_view policy) {
  for (size_t i = 0; i < kernels.count; ++i) {
    if (kernels.kernels[i].policy == policy) return kernels.kernels[i].dispatch;
  }
  return nullptr;
}

Result<Rows> make_rows(const Routings& routings, const std::string& only) { return Maker(routings, only).make(); }

Routings make_routings() {
  constexpr ir::ModelShape kMixtral{32, 8, 2, 0}, kDeepSeekLite{27, 64, 6, 0}, kQwen{24, 60, 4, 0},
      kDeepSeek{61, 256, 8, 44'040'192};  // at one byte a weight
  Routings made;
  made.rules = skewed_routing(kDeepSeekLite, 2000);
  made.policies.push_back(zipf_routing(kMixtral, 400, 0));
  made.policies.push_back(zipf_routing(kDeepSeekLite, 400, 0));
  made.policies.push_back(zipf_routing(kQwen, 400, 100));
  made.stdlib = zipf_routing(kDeepSeek, 200, 0);
  return made;
}

}  // namespace moe::bench
