// SPDX-License-Identifier: Apache-2.0
#include "frontend/extend.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/limits.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

/// Items and expression nodes of a policy.
class CopyCost {
 public:
  explicit CopyCost(const ast::Expressions& exprs) : exprs_(exprs) {}

  size_t of(const ast::Policy& policy) {
    constexpr size_t kPolicy = 50;  // even an empty one has its rules
    cost_ = kPolicy;
    for (const ast::Param& param : policy.params) add(param.value, param.domain);
    for (const ast::Let& let : policy.lets) add(let.value);
    for (const ast::Block& block : policy.blocks) visit(block);
    while (!left_.empty()) {
      const std::vector<ast::Item>& items = *left_.back();
      left_.pop_back();
      for (const ast::Item& item : items) std::visit([this](const auto& node) { visit(node); }, item.node);
    }
    return cost_;
  }

 private:
  void add(std::optional<ast::ExprId> id) {
    if (id) cost_ += *id - exprs_[*id].first + 1;
  }
  template <class... Ids>
  void add(std::optional<ast::ExprId> id, Ids... ids) {
    add(id);
    add(ids...);
  }

  void visit(const ast::Block& block) {
    ++cost_;
    left_.push_back(&block.items);
  }
  void visit(const ast::When& when) {
    ++cost_;
    add(when.condition, when.stretch, when.cooldown);
    left_.push_back(&when.items);
  }
  void visit(const ast::Entry& entry) { add(entry.value); }
  void visit(const ast::Command&) { ++cost_; }
  void visit(const ast::Arm& arm) {
    ++cost_;
    add(arm.condition);
  }
  void visit(const ast::Move& move) {
    ++cost_;
    add(move.condition);
  }
  void visit(const ast::Choose& choose) {
    cost_ += choose.policies.size();
    add(choose.reward, choose.every, choose.explore);
  }

  const ast::Expressions& exprs_;
  size_t cost_ = 0;
  std::vector<const std::vector<ast::Item>*> left_;
};

}  // namespace

Inheritance::Inheritance(const Linked& linked, ir::Diagnostics& diagnostics)
    : linked_(linked), diagnostics_(diagnostics), nodes_(linked.policies().size()) {}

const ast::Policy& Inheritance::whole(size_t policy) {
  const std::vector<ast::Policy>& policies = linked_.policies();
  // Up to the first ancestor that is done, and down again.
  std::vector<size_t> path;
  std::optional<size_t> at = policy;
  while (at && !nodes_[*at].done && !nodes_[*at].on_path) {
    nodes_[*at].on_path = true;
    path.push_back(*at);
    const std::optional<ast::Name>& base = policies[*at].base;
    if (!base) {
      at.reset();
      continue;
    }
    at = linked_.find(base->text, base->span);
    if (!at) linked_.report_unknown(*base, diagnostics_);
  }
  if (at && !nodes_[*at].done) {
    report_circle(path, *at);
    at.reset();
  }
  while (!path.empty()) {
    finish(path.back(), at);
    at = path.back();
    path.pop_back();
  }
  const Node& node = nodes_[policy];
  return node.merged ? *node.merged : policies[policy];
}

void Inheritance::finish(size_t policy, std::optional<size_t> parent) {
  const ast::Policy& own = linked_.policies()[policy];
  Node& node = nodes_[policy];
  node.done = true;
  node.on_path = false;
  if (!own.base) return;
  if (parent && !may_copy(cost(*parent), own.base->span)) parent.reset();
  if (!parent) {
    node.merged = own;
    node.merged->broken = true;
    return;
  }
  const ast::Policy& base = nodes_[*parent].merged ? *nodes_[*parent].merged : linked_.policies()[*parent];
  node.merged = merge(base, own, linked_.file().exprs, diagnostics_);
}

size_t Inheritance::cost(size_t policy) {
  Node& node = nodes_[policy];
  if (!node.cost) {
    const ast::Policy& all = node.merged ? *node.merged : linked_.policies()[policy];
    node.cost = CopyCost(linked_.file().exprs).of(all);
  }
  return *node.cost;
}

bool Inheritance::may_copy(size_t cost, ast::SourceSpan span) {
  const bool fitted = copied_ <= kMaxCopied;
  copied_ += cost;
  if (copied_ <= kMaxCopied) return true;
  if (fitted) {
    diagnostics_.error("MOE2145", span, "`extends`, `use` and `choose` copy too much",
                       fmt::format("all copies of a file together have at most {} entries", kMaxCopied));
  }
  return false;
}

void Inheritance::report_circle(const std::vector<size_t>& path, size_t from) {
  const std::vector<ast::Policy>& policies = linked_.policies();
  const auto begin = std::find(path.begin(), path.end(), from);
  const ast::Name& base = *policies[path.back()].base;
  if (path.end() - begin == 1) {
    diagnostics_.error("MOE2121", base.span, "a policy cannot extend itself", "remove `extends`");
    return;
  }
  std::string way;
  constexpr ptrdiff_t kMostShown = 8;
  for (auto i = begin; i != path.end(); ++i) {
    if (i - begin < kMostShown) way += quote(policies[*i].name.text) + " -> ";
    if (i - begin == kMostShown) way += "... -> ";
  }
  diagnostics_.error("MOE2121", base.span, "policies extend each other in a circle: " + way + quote(base.text),
                     "remove one `extends`");
}

}  // namespace moe::frontend
