// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "frontend/ast.h"

namespace moe::frontend::ast {
namespace {

using Json = nlohmann::ordered_json;

std::string_view to_word(ExprKind kind) {
  switch (kind) {
    case ExprKind::missing:
      return "missing";
    case ExprKind::number:
      return "number";
    case ExprKind::string:
      return "string";
    case ExprKind::boolean:
      return "boolean";
    case ExprKind::name:
      return "name";
    case ExprKind::call:
      return "call";
    case ExprKind::unary:
      return "unary";
    case ExprKind::binary:
      return "binary";
    case ExprKind::conditional:
      return "conditional";
    case ExprKind::list:
      return "list";
    case ExprKind::range:
      return "range";
    case ExprKind::placed:
      return "placed";
    case ExprKind::any:
      return "any";
    case ExprKind::chain:
      return "chain";
    case ExprKind::switched:
      return "switched";
    case ExprKind::ladder:
      return "ladder";
    case ExprKind::rung:
      break;
  }
  return "rung";
}

class JsonPrinter {
 public:
  explicit JsonPrinter(const File& file) : file_(file) {}

  Json print() const {
    Json out;
    out["versions"] = Json::array();
    for (const Version& version : file_.versions) out["versions"].push_back(expr(version.number));
    out["imports"] = Json::array();
    for (const Import& import : file_.imports) out["imports"].push_back(at(import.span, {{"path", import.path}}));
    out["policies"] = Json::array();
    for (const Policy& policy : file_.policies) out["policies"].push_back(print_policy(policy));
    out["exprs"] = Json::array();
    for (const Expr& e : file_.exprs.nodes) out["exprs"].push_back(print_expr(e));
    return out;
  }

 private:
  static Json at(SourceSpan span, Json out) {
    out["begin"] = span.begin;
    out["end"] = span.end;
    return out;
  }

  // Expressions stand in one array, children first, and are named by their place in it: chains of thousands of
  // operators would nest deeper than readers of JSON take.
  static Json expr(ExprId id) { return id; }
  static Json name(const Name& name) { return at(name.span, {{"text", name.text}}); }

  Json print_expr(const Expr& e) const {
    Json out = {{"kind", to_word(e.kind)}};
    if (e.kind == ExprKind::number) {
      out["value"] = e.number;
      out["unit"] = frontend::to_word(e.unit);
    }
    if (e.kind == ExprKind::boolean) out["value"] = e.truth;
    const bool worded =
        e.kind == ExprKind::name || e.kind == ExprKind::string || e.kind == ExprKind::call || e.kind == ExprKind::rung;
    if (worded) out["text"] = file_.exprs.text_of(e);
    if (e.kind == ExprKind::unary || e.kind == ExprKind::binary) out["op"] = ast::to_word(e.op);
    if (e.end_operand > e.first_operand) {
      out["operands"] = Json::array();
      for (const ExprId id : file_.exprs.operands_of(e)) out["operands"].push_back(id);
    }
    return at(e.span, std::move(out));
  }

  Json print_policy(const Policy& policy) const {
    Json out = {{"name", name(policy.name)}};
    if (policy.base) out["extends"] = name(*policy.base);
    out["params"] = Json::array();
    for (const Param& param : policy.params) {
      Json one = {{"name", name(param.name)}, {"value", expr(param.value)}};
      if (param.domain) one["domain"] = expr(*param.domain);
      out["params"].push_back(at(param.span, std::move(one)));
    }
    out["lets"] = Json::array();
    for (const Let& let : policy.lets) {
      out["lets"].push_back(at(let.span, {{"name", name(let.name)}, {"value", expr(let.value)}}));
    }
    out["blocks"] = Json::array();
    for (const Block& block : policy.blocks) out["blocks"].push_back(node(block));
    return at(policy.span, std::move(out));
  }

  Json items(const std::vector<Item>& list) const {
    Json out = Json::array();
    for (const Item& item : list) {
      out.push_back(std::visit([this](const auto& one) { return node(one); }, item.node));
    }
    return out;
  }

  Json node(const Block& block) const {
    Json out = {{"kind", "block"}, {"name", name(block.name)}};
    if (block.label) out["label"] = name(*block.label);
    if (block.band) out["band"] = expr(*block.band);
    out["items"] = items(block.items);
    return at(block.span, std::move(out));
  }

  Json node(const Entry& entry) const {
    Json out = {{"kind", "entry"}};
    if (entry.block) out["block"] = name(*entry.block);
    out["key"] = name(entry.key);
    out["value"] = expr(entry.value);
    return at(entry.span, std::move(out));
  }

  Json node(const When& rule) const {
    Json out = {{"kind", "when"}, {"condition", expr(rule.condition)}};
    if (rule.stretch) out["for"] = expr(*rule.stretch);
    if (rule.stretch_unit) out["unit"] = name(*rule.stretch_unit);
    if (rule.cooldown) out["cooldown"] = expr(*rule.cooldown);
    out["revert"] = rule.revert;
    out["items"] = items(rule.items);
    return at(rule.span, std::move(out));
  }

  Json node(const Arm& arm) const {
    Json out = {{"kind", "arm"}};
    if (arm.condition) out["condition"] = expr(*arm.condition);
    out["action"] = name(arm.action);
    return at(arm.span, std::move(out));
  }

  Json node(const Choose& choose) const {
    Json out = {{"kind", "choose"}, {"policies", Json::array()}};
    for (const Name& policy : choose.policies) out["policies"].push_back(name(policy));
    out["by"] = expr(choose.reward);
    out["every"] = expr(choose.every);
    out["unit"] = name(choose.every_unit);
    if (choose.explore) out["explore"] = expr(*choose.explore);
    return at(choose.span, std::move(out));
  }

  Json node(const Move& move) const {
    Json out = {{"kind", "move"}, {"verb", name(move.verb)}, {"from", name(move.from)}, {"to", name(move.to)}};
    if (move.condition) out["condition"] = expr(*move.condition);
    if (move.event) out["event"] = name(*move.event);
    return at(move.span, std::move(out));
  }

  Json node(const Command& command) const {
    return at(command.span, {{"kind", "command"}, {"verb", name(command.verb)}, {"operand", name(command.operand)}});
  }

  const File& file_;
};

}  // namespace

std::string print_json(const File& file) {
  return JsonPrinter(file).print().dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moe::frontend::ast
