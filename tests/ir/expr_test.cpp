// SPDX-License-Identifier: Apache-2.0
// Expressions: values worked by hand, an independent evaluator on random trees, and their text.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "ir/keys.h"
#include "tests/ir/random_ir.h"

namespace moe::ir::test {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

/// Every variable, history and rate has a value that only it has.
class Numbered : public Environment {
 public:
  double variable(Variable v, bool of_victim) override {
    if (v == Variable::phase) return 1;
    return 0.25 * (static_cast<double>(v) + 1) + (of_victim ? 100 : 0);
  }
  void history(Variable v, uint32_t window, std::vector<double>& out) override {
    for (uint32_t i = 0; i < std::min(window, 5u); ++i) out.push_back(static_cast<double>(v) + i * i);
  }
  double rate(ExprOp op, uint32_t window, uint32_t largest, bool of_victim) override {
    return 1.0 / window + largest + (op == ExprOp::use_rate ? 0 : 0.5) + (of_victim ? 0.125 : 0);
  }
};

/// The meaning of an expression, from the root downwards.
double value_of(const Expr& expr, uint32_t place, Environment& environment) {
  const ExprNode& node = expr.nodes[place];
  const auto x = [&](size_t k) { return value_of(expr, node.operand[k], environment); };
  const auto truth = [](bool b) { return b ? 1.0 : 0.0; };
  std::vector<double> samples;
  if (node.op >= ExprOp::avg_over && node.op <= ExprOp::trend) environment.history(node.variable, node.window, samples);
  const auto n = static_cast<double>(samples.size());
  double sum = 0, best = samples.empty() ? kNaN : samples[0], weighted = 0, squares = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    const double offset = static_cast<double>(i) - (n - 1) / 2;
    sum += samples[i];
    best = std::max(best, samples[i]);
    weighted += offset * samples[i];
    squares += offset * offset;
  }
  switch (node.op) {
    case ExprOp::constant:
      return node.number;
    case ExprOp::variable:
      return environment.variable(node.variable, node.of_victim);
    case ExprOp::negate:
      return -x(0);
    case ExprOp::not_:
      return truth(x(0) == 0);
    case ExprOp::abs:
      return std::abs(x(0));
    case ExprOp::exp:
      return std::exp(x(0));
    case ExprOp::log:
      return std::log(x(0));
    case ExprOp::log2:
      return std::log2(x(0));
    case ExprOp::sqrt:
      return std::sqrt(x(0));
    case ExprOp::floor:
      return std::floor(x(0));
    case ExprOp::sigmoid:
      return 1 / (1 + std::exp(-x(0)));
    case ExprOp::add:
      return x(0) + x(1);
    case ExprOp::subtract:
      return x(0) - x(1);
    case ExprOp::multiply:
      return x(0) * x(1);
    case ExprOp::divide:
      return x(0) / x(1);
    case ExprOp::modulo:
      return std::fmod(x(0), x(1));
    case ExprOp::eq:
      return truth(x(0) == x(1));
    case ExprOp::ne:
      return truth(x(0) != x(1));
    case ExprOp::lt:
      return truth(x(0) < x(1));
    case ExprOp::le:
      return truth(x(0) <= x(1));
    case ExprOp::gt:
      return truth(x(0) > x(1));
    case ExprOp::ge:
      return truth(x(0) >= x(1));
    case ExprOp::and_:
      return truth(x(0) != 0 && x(1) != 0);
    case ExprOp::or_:
      return truth(x(0) != 0 || x(1) != 0);
    case ExprOp::min:
      return x(0) < x(1) ? x(0) : x(1);
    case ExprOp::max:
      return x(0) > x(1) ? x(0) : x(1);
    case ExprOp::pow:
      return std::pow(x(0), x(1));
    case ExprOp::conditional:
      return x(0) != 0 ? x(1) : x(2);
    case ExprOp::clamp: {
      const double raised = x(0) > x(1) ? x(0) : x(1);
      return raised < x(2) ? raised : x(2);
    }
    case ExprOp::avg_over:
      return sum / n;
    case ExprOp::max_over:
      return best;
    case ExprOp::trend:
      return weighted / squares;
    case ExprOp::use_rate:
    case ExprOp::weight_rate:
      return environment.rate(node.op, node.window, node.largest, node.of_victim);
  }
  return kNaN;
}

bool calls_libm(const Expr& expr) {
  return std::any_of(expr.nodes.begin(), expr.nodes.end(), [](const ExprNode& node) {
    return (node.op >= ExprOp::exp && node.op <= ExprOp::sigmoid && node.op != ExprOp::sqrt) || node.op == ExprOp::pow;
  });
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST_CASE("random trees have the value of their meaning") {
  Numbered environment;
  std::mt19937_64 random(1);
  size_t num_exact = 0;
  for (int i = 0; i < 20000; ++i) {
    CAPTURE(i);
    RandomExpr exprs(random);
    const auto site = static_cast<ExprSite>(random() % 5);
    const Expr expr = random() % 2 == 0 ? exprs.condition(site) : exprs.quantity(site);
    if (calls_libm(expr)) continue;  // differs from libm in the last place, and in what a comparison makes of it
    ++num_exact;
    const double expected = value_of(expr, static_cast<uint32_t>(expr.nodes.size() - 1), environment);
    CAPTURE(print_expr(expr));
    CHECK(same(evaluate(expr, environment), expected));
  }
  CHECK(num_exact > 10000);
}

TEST_CASE("operators by hand") {
  CHECK(apply(ExprOp::subtract, 1, 3) == -2);
  CHECK(apply(ExprOp::modulo, -7, 3) == -1);
  CHECK(apply(ExprOp::modulo, 7.5, 2) == 1.5);
  CHECK(apply(ExprOp::divide, 1, 0) == kInf);
  CHECK(std::isnan(apply(ExprOp::divide, 0, 0)));
  CHECK(apply(ExprOp::lt, kNaN, 1) == 0);
  CHECK(apply(ExprOp::ne, kNaN, kNaN) == 1);
  CHECK(apply(ExprOp::min, kNaN, 1) == 1);  // a < b ? a : b
  CHECK(std::isnan(apply(ExprOp::min, 1, kNaN)));
  CHECK(apply(ExprOp::max, kNaN, 1) == 1);
  CHECK(apply(ExprOp::clamp, 5, 0, 2) == 2);
  CHECK(apply(ExprOp::clamp, -5, 0, 2) == 0);
  CHECK(apply(ExprOp::conditional, 1, 7, 8) == 7);
  CHECK(apply(ExprOp::conditional, 0, 7, 8) == 8);
  CHECK(apply(ExprOp::sqrt, 2.25) == 1.5);
  CHECK(apply(ExprOp::log2, 8) == 3);
  CHECK(apply(ExprOp::pow, 2, 10) == 1024);
  CHECK(apply(ExprOp::sigmoid, 0) == 0.5);
  CHECK(apply(ExprOp::not_, 0) == 1);
  CHECK(apply(ExprOp::and_, 1, 0) == 0);
  CHECK(apply(ExprOp::or_, 1, 0) == 1);
}

TEST_CASE("variables and words agree") {
  for (size_t i = 0; i < kNumVariables; ++i) {
    const auto v = static_cast<Variable>(i);
    CHECK(find_variable(to_word(v)) == v);
  }
  CHECK_FALSE(find_variable("no such thing"));
  CHECK(is_measured(Variable::load_ms));
  CHECK(is_measured(Variable::kv_used));
  CHECK_FALSE(is_measured(Variable::hit_rate));
}

TEST_CASE("constants as text") {
  CHECK(print_constant(-2.5, Type::number) == "-2.5");
  CHECK(print_constant(0.29, Type::ratio) == "29%");
  CHECK(print_constant(2.5, Type::time) == "2.5ms");
  CHECK(print_constant(1e9, Type::size) == "1000000000B");
  CHECK(print_constant(1, Type::boolean) == "true");
  CHECK(print_constant(0, Type::phase) == "prefill");
  CHECK(print_constant(kInf, Type::time) == "(1e308ms * 10)");
  CHECK(print_constant(-kInf, Type::number) == "-(1e308 * 10)");
  CHECK(print_constant(kNaN, Type::number) == "(1e308 * 10 - 1e308 * 10)");
}

TEST_CASE("equality ignores spans and the sign of a NaN, not that of a zero") {
  Expr a = constant(1), b = constant(1);
  b.nodes[0].span = {3, 4};
  CHECK(a == b);
  CHECK(constant(kNaN) == constant(-kNaN));
  CHECK_FALSE(constant(0.0) == constant(-0.0));
  CHECK_FALSE(constant(1) == constant(1, Type::ratio));
}

TEST_CASE("every key is found by name, keeps what is assigned, and refuses the rest") {
  for (size_t k = 0; k < kNumKeys; ++k) {
    const auto key = static_cast<Key>(k);
    CAPTURE(k);
    CHECK(find_key(info_of(key).block, info_of(key).name) == key);
    Rules rules;
    const KeyValue value = get(Rules{}, key);
    CHECK(assign(rules, {key, value, {}}));
    CHECK(rules == Rules{});
    CHECK_FALSE(assign(rules, {key, std::vector<Arm>(1), {}}) != (key == Key::on_miss));
  }
  CHECK_FALSE(find_key("cache", "scope"));
  Rules rules;
  CHECK(assign(rules, {Key::ttl, uint64_t{5}, {}}));
  CHECK(rules.cache.ttl->value == 5);
  CHECK(assign(rules, {Key::ttl, {}, {}}));
  CHECK_FALSE(rules.cache.ttl);
  CHECK_FALSE(assign(rules, {Key::budget, uint64_t{1} << 32, {}}));
}

}  // namespace
}  // namespace moe::ir::test
