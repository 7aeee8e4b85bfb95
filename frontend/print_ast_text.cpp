// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "frontend/ast.h"

namespace moe::frontend::ast {
namespace {

class TextPrinter {
 public:
  explicit TextPrinter(const File& file) : file_(file) {}

  std::string print() {
    for (const Version& version : file_.versions) line("version {}", written(version.number));
    for (const Import& import : file_.imports) line("import \"{}\"", import.path);
    for (const Policy& policy : file_.policies) print_policy(policy);
    return std::move(out_);
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    out_.append(indent_ * 2, ' ');
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  std::string_view written(ExprId id) const { return file_.exprs.written(file_.exprs[id]); }

  void print_policy(const Policy& policy) {
    line("policy {}{}", policy.name.text, policy.base ? " extends " + policy.base->text : std::string());
    ++indent_;
    for (const Param& param : policy.params) {
      line("param {} = {}{}", param.name.text, written(param.value),
           param.domain ? fmt::format(" in {}", written(*param.domain)) : std::string());
    }
    for (const Let& let : policy.lets) line("let {} = {}", let.name.text, written(let.value));
    for (const Block& block : policy.blocks) print_node(block);
    --indent_;
  }

  void print_items(const std::vector<Item>& items) {
    ++indent_;
    for (const Item& item : items) {
      std::visit([this](const auto& node) { print_node(node); }, item.node);
    }
    --indent_;
  }

  void print_node(const Block& block) {
    std::string head = block.name.text;
    if (block.label) head += " " + block.label->text;
    if (block.band) head += " " + std::string(written(*block.band));
    line("{}", head);
    print_items(block.items);
  }

  void print_node(const Entry& entry) {
    line("{}{} = {}", entry.block ? entry.block->text + "." : std::string(), entry.key.text, written(entry.value));
  }

  void print_node(const When& rule) {
    std::string head = fmt::format("when {}", written(rule.condition));
    if (rule.stretch) head += fmt::format(" for {} {}", written(*rule.stretch), rule.stretch_unit->text);
    if (rule.cooldown) head += fmt::format(" cooldown {}", written(*rule.cooldown));
    line("{}{}", head, rule.revert ? " revert" : "");
    print_items(rule.items);
  }

  void print_node(const Arm& arm) {
    if (arm.condition) {
      line("when {} -> {}", written(*arm.condition), arm.action.text);
    } else {
      line("else -> {}", arm.action.text);
    }
  }

  void print_node(const Choose& choose) {
    std::string names;
    for (const Name& name : choose.policies) names += (names.empty() ? "" : ", ") + name.text;
    line("choose {} by {} every {} {}{}", names, written(choose.reward), written(choose.every), choose.every_unit.text,
         choose.explore ? fmt::format(" explore {}", written(*choose.explore)) : std::string());
  }

  void print_node(const Move& move) {
    line("{} {} -> {} {}", move.verb.text, move.from.text, move.to.text,
         move.condition ? fmt::format("when {}", written(*move.condition))
                        : fmt::format("on {}", move.event ? move.event->text : std::string()));
  }

  void print_node(const Command& command) { line("{} {}", command.verb.text, command.operand.text); }

  const File& file_;
  std::string out_;
  size_t indent_ = 0;
};

}  // namespace

std::string print_text(const File& file) { return TextPrinter(file).print(); }

std::string_view to_word(Op op) {
  switch (op) {
    case Op::negate:
    case Op::subtract:
      return "-";
    case Op::not_:
      return "not";
    case Op::multiply:
      return "*";
    case Op::divide:
      return "/";
    case Op::modulo:
      return "%";
    case Op::add:
      return "+";
    case Op::eq:
      return "==";
    case Op::ne:
      return "!=";
    case Op::lt:
      return "<";
    case Op::le:
      return "<=";
    case Op::gt:
      return ">";
    case Op::ge:
      return ">=";
    case Op::and_:
      return "and";
    case Op::or_:
      break;
  }
  return "or";
}

}  // namespace moe::frontend::ast
