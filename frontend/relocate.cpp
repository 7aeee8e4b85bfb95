// SPDX-License-Identifier: Apache-2.0
#include "frontend/relocate.h"

#include <iterator>

namespace moe::frontend {
namespace {

class Relocation {
 public:
  Relocation(uint32_t text_offset, ast::ExprId first_expr, uint32_t first_operand)
      : text_offset_(text_offset), first_expr_(first_expr), first_operand_(first_operand) {}

  void move(ast::SourceSpan& span) const {
    span.begin += text_offset_;
    span.end += text_offset_;
  }
  void move(ast::Name& name) const { move(name.span); }
  void move(ast::ExprId& id) const { id += first_expr_; }
  template <class T>
  void move(std::optional<T>& value) const {
    if (value) move(*value);
  }

  void move(ast::Expr& e) const {
    move(e.span);
    move(e.text);
    e.first += first_expr_;
    e.first_operand += first_operand_;
    e.end_operand += first_operand_;
  }

  void move(ast::Policy& policy) const {
    move(policy.name);
    move(policy.base);
    move(policy.span);
    for (ast::Param& param : policy.params) {
      move(param.name);
      move(param.value);
      move(param.domain);
      move(param.span);
    }
    for (ast::Let& let : policy.lets) {
      move(let.name);
      move(let.value);
      move(let.span);
    }
    for (ast::Block& block : policy.blocks) move_tree(block);
  }

 private:
  // Blocks hold items that hold blocks: a list of what is left instead of recursion.
  void move_tree(ast::Block& block) const {
    std::vector<std::vector<ast::Item>*> left;
    move(block, left);
    while (!left.empty()) {
      std::vector<ast::Item>& items = *left.back();
      left.pop_back();
      for (ast::Item& item : items) {
        std::visit([&](auto& node) { move(node, left); }, item.node);
      }
    }
  }

  using Left = std::vector<std::vector<ast::Item>*>;

  void move(ast::Block& block, Left& left) const {
    move(block.name);
    move(block.label);
    move(block.band);
    move(block.span);
    left.push_back(&block.items);
  }
  void move(ast::When& when, Left& left) const {
    move(when.condition);
    move(when.stretch);
    move(when.stretch_unit);
    move(when.cooldown);
    move(when.span);
    left.push_back(&when.items);
  }
  void move(ast::Entry& entry, Left&) const {
    move(entry.block);
    move(entry.key);
    move(entry.value);
    move(entry.span);
  }
  void move(ast::Command& command, Left&) const {
    move(command.verb);
    move(command.operand);
    move(command.span);
  }
  void move(ast::Arm& arm, Left&) const {
    move(arm.condition);
    move(arm.action);
    move(arm.span);
  }
  void move(ast::Move& tiers, Left&) const {
    move(tiers.verb);
    move(tiers.from);
    move(tiers.to);
    move(tiers.condition);
    move(tiers.event);
    move(tiers.span);
  }
  void move(ast::Choose& choose, Left&) const {
    for (ast::Name& name : choose.policies) move(name);
    move(choose.reward);
    move(choose.every);
    move(choose.every_unit);
    move(choose.explore);
    move(choose.span);
  }

  uint32_t text_offset_;
  ast::ExprId first_expr_;
  uint32_t first_operand_;
};

}  // namespace

uint32_t append_file(ast::File& all, ast::File& file) {
  ast::Expressions& pool = all.exprs;
  pool.source += '\n';
  const auto text_offset = static_cast<uint32_t>(pool.source.size());
  const auto first_expr = static_cast<ast::ExprId>(pool.nodes.size());
  const Relocation relocation(text_offset, first_expr, static_cast<uint32_t>(pool.operands.size()));
  pool.source += file.exprs.source;
  for (ast::Expr& e : file.exprs.nodes) {
    relocation.move(e);
    pool.nodes.push_back(e);
  }
  for (const ast::ExprId operand : file.exprs.operands) pool.operands.push_back(operand + first_expr);
  for (ast::Version& version : file.versions) {
    relocation.move(version.number);
    relocation.move(version.span);
    all.versions.push_back(version);
  }
  for (ast::Import& import : file.imports) relocation.move(import.span);
  for (ast::Policy& policy : file.policies) relocation.move(policy);
  std::move(file.policies.begin(), file.policies.end(), std::back_inserter(all.policies));
  file.policies.clear();
  all.broken = all.broken || file.broken;
  return text_offset;
}

}  // namespace moe::frontend
