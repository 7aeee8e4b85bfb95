// SPDX-License-Identifier: Apache-2.0
#include "frontend/build_ast.h"

#include <fmt/format.h>

#include <ranges>

#include "frontend/limits.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::ExprId;
using ast::Name;

auto nodes_of(const ParseTree& tree, const TreeNode& node) {
  return tree.children_of(node) | std::views::filter([](const TreeChild& child) { return !child.is_token; }) |
         std::views::transform([&tree](const TreeChild& child) { return &tree.nodes[child.index]; });
}

class FileBuilder {
 public:
  FileBuilder(const TreeSource& source, BuiltExpressions expressions, ir::Diagnostics& diagnostics)
      : source_(source), of_node_(std::move(expressions.of_node)), diagnostics_(diagnostics) {
    file_.exprs = std::move(expressions.exprs);
  }

  ast::File build() {
    const TreeNode& root = source_.tree.nodes.back();
    file_.broken = root.broken;
    for (const TreeNode* item : nodes_of(source_.tree, root)) {
      file_.broken = file_.broken || item->broken;
      for (const TreeNode* node : nodes_of(source_.tree, *item)) add_file_item(*node);
    }
    return std::move(file_);
  }

 private:
  // ---- walking the tree

  const TreeNode* find(const TreeNode& node, Rule rule) const {
    for (const TreeNode* child : nodes_of(source_.tree, node)) {
      if (child->rule == rule) return child;
    }
    return nullptr;
  }

  const Token* find_token(const TreeNode& node, TokenKind kind) const {
    for (const TreeChild& child : source_.tree.children_of(node)) {
      if (child.is_token && source_.tokens[child.index].kind == kind) return &source_.tokens[child.index];
    }
    return nullptr;
  }

  std::vector<Name> names_of(const TreeNode& node) const {
    std::vector<Name> names;
    for (const TreeNode* child : nodes_of(source_.tree, node)) {
      if (child->rule == Rule::name) names.push_back(name(source_.tokens[child->first_token]));
    }
    return names;
  }

  std::vector<ExprId> exprs_of(const TreeNode& node) const {
    std::vector<ExprId> exprs;
    for (const TreeNode* child : nodes_of(source_.tree, node)) {
      const ExprId id = of_node_[static_cast<size_t>(child - source_.tree.nodes.data())];
      if (id != BuiltExpressions::kNone) exprs.push_back(id);
    }
    return exprs;
  }

  ExprId expr_of(const TreeNode& node) const {
    return of_node_[static_cast<size_t>(&node - source_.tree.nodes.data())];
  }

  Name name(const Token& token) const { return {std::string(text_of(source_.text, token)), token.span()}; }

  // ---- files

  void add_file_item(const TreeNode& node) {
    switch (node.rule) {
      case Rule::version:
        if (!node.broken) add_version(node);
        break;
      case Rule::import_file:
        if (!node.broken) add_import(node);
        break;
      default:
        add_policy(node);
        break;
    }
  }

  void add_version(const TreeNode& node) {
    ast::Version version;
    version.span = source_.span_of(node);
    version.number = static_cast<ExprId>(file_.exprs.nodes.size());
    const Token& token = source_.tokens[node.first_token + 1];
    const NumberText number = parse_number(text_of(source_.text, token));
    ast::Expr e;
    e.kind = token.kind == TokenKind::number ? ast::ExprKind::number : ast::ExprKind::missing;
    e.number = number.value;
    e.unit = number.unit;
    e.span = e.text = token.span();
    e.first = version.number;
    file_.exprs.nodes.push_back(e);
    const bool is_first = file_.versions.empty() && file_.imports.empty() && file_.policies.empty();
    if (!is_first && !too_many(diagnostics_)) {
      diagnostics_.error("MOE1028", version.span, "`version` stands first in a file, and once", "move it to the top");
    }
    file_.versions.push_back(version);
  }

  void add_import(const TreeNode& node) {
    ast::Import import;
    import.span = source_.span_of(node);
    const Token& token = source_.tokens[node.first_token + 1];
    std::string_view quoted = text_of(source_.text, token).substr(1);
    if (quoted.ends_with('"')) quoted.remove_suffix(1);
    import.path = quoted;
    if (!file_.policies.empty() && !too_many(diagnostics_)) {
      diagnostics_.error("MOE1028", import.span, "`import` stands before the first policy", "move it to the top");
    }
    file_.imports.push_back(std::move(import));
  }

  void add_policy(const TreeNode& node) {
    const std::vector<Name> names = names_of(node);
    const TreeNode* body = find(node, Rule::policy_body);
    if (names.empty() || body == nullptr) return;
    ast::Policy policy;
    policy.name = names[0];
    if (names.size() > 1) policy.base = names[1];
    policy.span = source_.span_of(node);
    policy.broken = node.broken || body->broken;
    for (const TreeNode* member : nodes_of(source_.tree, *body)) {
      policy.broken = policy.broken || member->broken;
      if (member->broken) continue;
      for (const TreeNode* child : nodes_of(source_.tree, *member)) add_member(*child, policy);
    }
    file_.policies.push_back(std::move(policy));
  }

  void add_member(const TreeNode& node, ast::Policy& policy) {
    if (node.rule == Rule::param) {
      const std::vector<ExprId> exprs = exprs_of(node);
      ast::Param param{names_of(node)[0], exprs[0], {}, source_.span_of(node)};
      if (exprs.size() > 1) param.domain = exprs[1];
      policy.params.push_back(std::move(param));
    } else if (node.rule == Rule::let) {
      policy.lets.push_back({names_of(node)[0], exprs_of(node)[0], source_.span_of(node)});
    } else if (find(node, Rule::body) != nullptr) {
      policy.blocks.push_back(block(node));
    } else {
      report_no_body(node);
      policy.broken = true;
    }
  }

  void report_no_body(const TreeNode& node) {
    if (too_many(diagnostics_)) return;
    const std::string_view word = text_of(source_.text, source_.tokens[node.first_token]);
    diagnostics_.error("MOE1020", source_.span_of(node), fmt::format("{} has no `{{ ... }}`", quote(word)),
                       "add its block");
  }

  // ---- blocks

  ast::Block block(const TreeNode& node) {
    ast::Block out;
    out.name = name(source_.tokens[node.first_token]);
    out.span = source_.span_of(node);
    const std::vector<Name> names = names_of(node);
    if (node.rule != Rule::block && !names.empty()) out.label = names[0];
    if (const TreeNode* band = find(node, Rule::band)) out.band = expr_of(*band);
    add_items(*find(node, Rule::body), out.items, out.broken);
    return out;
  }

  void add_items(const TreeNode& body, std::vector<ast::Item>& items, bool& broken) {
    broken = body.broken;
    for (const TreeNode* item : nodes_of(source_.tree, body)) {
      broken = broken || item->broken;
      if (item->broken) continue;
      for (const TreeNode* node : nodes_of(source_.tree, *item)) add_item(*node, items, broken);
    }
  }

  void add_item(const TreeNode& node, std::vector<ast::Item>& items, bool& broken) {
    switch (node.rule) {
      case Rule::entry:
      case Rule::bad_assign:
      case Rule::bad_plain:
        items.push_back({entry(node)});
        break;
      case Rule::labelled:
        if (find(node, Rule::body) != nullptr) {
          items.push_back({block(node)});
        } else if (source_.tokens[node.first_token].kind == TokenKind::name) {
          items.push_back({entry(node)});
        } else {
          report_no_body(node);
          broken = true;
        }
        break;
      case Rule::block:
      case Rule::on_block:
        items.push_back({block(node)});
        break;
      case Rule::when_item:
        add_when(node, items);
        break;
      case Rule::else_arm:
        items.push_back({ast::Arm{{}, names_of(node)[0], source_.span_of(node)}});
        break;
      case Rule::choose:
        items.push_back({choose(node)});
        break;
      case Rule::move:
        items.push_back({move(node)});
        break;
      default:
        items.push_back(
            {ast::Command{name(source_.tokens[node.first_token]), names_of(node)[0], source_.span_of(node)}});
        break;
    }
  }

  ast::Entry entry(const TreeNode& node) {
    ast::Entry out;
    out.span = source_.span_of(node);
    out.key = name(source_.tokens[node.first_token]);
    if (node.rule == Rule::labelled) {
      out.value = expr_of(node);
    } else {
      out.value = exprs_of(node)[0];
    }
    if (const TreeNode* key = find(node, Rule::key)) {
      const std::vector<Name> names = names_of(*key);
      out.key = names.back();
      if (names.size() > 1) out.block = names.front();
    }
    std::string_view value = file_.exprs.written(file_.exprs[out.value]);
    constexpr size_t kMaxShown = 30;  // the hint is the whole entry as it should be
    if (value.empty() || value.size() > kMaxShown) value = "...";
    const std::string hint = fmt::format("write `{} = {}`", out.key.text, value);
    if (too_many(diagnostics_)) return out;
    if (node.rule == Rule::bad_assign) {
      const Token& sign = source_.tokens[find(node, Rule::key)->end_token];
      diagnostics_.error("MOE1022", sign.span(), fmt::format("{} does not give a key its value", name_of(sign)), hint);
    } else if (node.rule != Rule::entry) {
      diagnostics_.error("MOE1021", out.span, fmt::format("`=` is missing after {}", quote(out.key.text)), hint);
    }
    return out;
  }

  std::string name_of(const Token& token) const { return quote(text_of(source_.text, token)); }

  void add_when(const TreeNode& node, std::vector<ast::Item>& items) {
    const ir::SourceSpan span = source_.span_of(node);
    const ExprId condition = exprs_of(node)[0];
    const TreeNode* body = find(node, Rule::body);
    if (body == nullptr) {
      items.push_back({ast::Arm{condition, names_of(node)[0], span}});
      return;
    }
    ast::When when;
    when.condition = condition;
    when.span = span;
    if (const TreeNode* stretch = find(node, Rule::for_clause)) {
      when.stretch = exprs_of(*stretch)[0];
      when.stretch_unit = names_of(*stretch)[0];
    }
    if (const TreeNode* cooldown = find(node, Rule::cooldown)) when.cooldown = exprs_of(*cooldown)[0];
    when.revert = find_token(node, TokenKind::revert) != nullptr;
    add_items(*body, when.items, when.broken);
    items.push_back({std::move(when)});
  }

  ast::Choose choose(const TreeNode& node) const {
    ast::Choose out;
    out.span = source_.span_of(node);
    out.policies = names_of(node);
    out.every_unit = out.policies.back();
    out.policies.pop_back();
    const std::vector<ExprId> exprs = exprs_of(node);
    out.reward = exprs[0];
    out.every = exprs[1];
    if (exprs.size() > 2) out.explore = exprs[2];
    return out;
  }

  ast::Move move(const TreeNode& node) const {
    const std::vector<Name> names = names_of(node);
    ast::Move out{name(source_.tokens[node.first_token]), names[0], names[1], {}, {}, source_.span_of(node)};
    const std::vector<ExprId> exprs = exprs_of(node);
    if (!exprs.empty()) out.condition = exprs[0];
    if (names.size() > 2) out.event = names[2];
    return out;
  }

  const TreeSource& source_;
  std::vector<ExprId> of_node_;
  ir::Diagnostics& diagnostics_;
  ast::File file_;
};

}  // namespace

ast::File build_file(const TreeSource& source, BuiltExpressions expressions, ir::Diagnostics& diagnostics) {
  return FileBuilder(source, std::move(expressions), diagnostics).build();
}

}  // namespace moe::frontend
