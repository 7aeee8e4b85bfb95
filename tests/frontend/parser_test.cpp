// SPDX-License-Identifier: Apache-2.0
// The parser's interface: spans, the shape of the AST, errors in one run.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "frontend/frontend.h"
#include "tests/frontend/support.h"

namespace {

namespace ast = moe::frontend::ast;
using moe::frontend::parse;
using moe::ir::Diagnostics;
using moe::ir::SourceFile;
using moe::ir::SourceSpan;

ast::File parse_good(const std::string& text) {
  Diagnostics diagnostics;
  const SourceFile source("x.moe", text);
  auto parsed = parse(source, diagnostics);
  INFO(moe::ir::render_text(source, diagnostics, false));
  REQUIRE(diagnostics.empty());
  REQUIRE(parsed.file.has_value());
  return std::move(*parsed.file);
}

// The value of the first key of the first block.
std::string shape(const ast::File& file, ast::ExprId id) {
  const ast::Expr& e = file.exprs[id];
  const auto operand = [&](size_t i) { return shape(file, file.exprs.operands_of(e)[i]); };
  switch (e.kind) {
    case ast::ExprKind::unary:
      return "(" + std::string(to_word(e.op)) + " " + operand(0) + ")";
    case ast::ExprKind::binary:
      return "(" + operand(0) + " " + std::string(to_word(e.op)) + " " + operand(1) + ")";
    case ast::ExprKind::conditional:
      return "(if " + operand(0) + " " + operand(1) + " " + operand(2) + ")";
    case ast::ExprKind::chain:
      return "[" + operand(0) + "|" + operand(1) + "]";
    case ast::ExprKind::switched:
      return "<" + operand(0) + ":" + operand(1) + ":" + operand(2) + ">";
    default:
      return std::string(file.exprs.written(e));
  }
}

std::string shape_of(const std::string& value) {
  const ast::File file = parse_good("policy p { cache { x = " + value + " } }");
  return shape(file, std::get<ast::Entry>(file.policies[0].blocks[0].items[0].node).value);
}

std::string under(const std::string& text, SourceSpan span) { return text.substr(span.begin, span.end - span.begin); }

std::vector<std::string> codes(const std::string& text) {
  Diagnostics diagnostics;
  parse(SourceFile("x.moe", text), diagnostics);
  std::vector<std::string> out;
  for (const auto& finding : diagnostics.items()) out.push_back(finding.code);
  return out;
}

}  // namespace

TEST_CASE("spans are byte ranges of the source") {
  const std::string text = "# \xC3\xBC\npolicy tiny {\n  cache { capacity = 8 * (1 + 2)  pin = [0..3, 2:5] }\n}\n";
  const ast::File file = parse_good(text);
  const ast::Policy& policy = file.policies.at(0);
  CHECK(under(text, policy.name.span) == "tiny");
  CHECK(under(text, policy.span) == text.substr(text.find("policy"), text.rfind('}') + 1 - text.find("policy")));
  const ast::Block& cache = policy.blocks.at(0);
  CHECK(under(text, cache.name.span) == "cache");
  CHECK(under(text, cache.span).starts_with("cache {"));
  CHECK(under(text, cache.span).ends_with("}"));
  const auto& capacity = std::get<ast::Entry>(cache.items.at(0).node);
  CHECK(under(text, capacity.span) == "capacity = 8 * (1 + 2)");
  CHECK(under(text, capacity.key.span) == "capacity");
  CHECK(under(text, file.exprs[capacity.value].span) == "8 * (1 + 2)");
  const auto& pin = std::get<ast::Entry>(cache.items.at(1).node);
  const auto elements = file.exprs.operands_of(file.exprs[pin.value]);
  CHECK(under(text, file.exprs[elements[0]].span) == "0..3");
  CHECK(file.exprs[elements[1]].kind == ast::ExprKind::placed);
}

TEST_CASE("a byte order mark does not move spans") {
  const std::string text = "\xEF\xBB\xBFpolicy p { cache { capacity = 8 } }";
  const ast::File file = parse_good(text);
  CHECK(under(text, file.policies[0].name.span) == "p");
}

TEST_CASE("precedence") {
  CHECK(shape_of("1 + 2 * 3 - 4") == "((1 + (2 * 3)) - 4)");
  CHECK(shape_of("-a * b") == "((- a) * b)");
  CHECK(shape_of("a - b - c") == "((a - b) - c)");
  CHECK(shape_of("not a == b and c or d") == "(((not (a == b)) and c) or d)");
  CHECK(shape_of("a < b + 1 and b >= c % 2") == "((a < (b + 1)) and (b >= (c % 2)))");
  CHECK(shape_of("if a then b else c + 1") == "(if a b (c + 1))");
  CHECK(shape_of("if a then b else if c then d else e") == "(if a b (if c d e))");
  CHECK(shape_of("a | b : c | d when x < 1") == "<[a|b]:[c|d]:(x < 1)>");
  CHECK(shape_of("(1 + 2) * 3") == "((1 + 2) * 3)");
}

TEST_CASE("numbers") {
  const auto number = [](const std::string& text) {
    const ast::File file = parse_good("policy p { cache { x = " + text + " } }");
    const ast::Expr e = file.exprs[std::get<ast::Entry>(file.policies[0].blocks[0].items[0].node).value];
    REQUIRE(e.kind == ast::ExprKind::number);
    return e;
  };
  CHECK(number("12").number == 12);
  CHECK(number("12").digits_only);
  CHECK(number("5.").number == 5);
  CHECK(!number("5.").digits_only);
  CHECK(number(".5").number == 0.5);
  CHECK(number("1e-3").number == 0.001);
  CHECK(number("12_000").number == 12000);
  CHECK(number("007").number == 7);
  CHECK(number("1e-999").number == 0);
  CHECK(number("16GB").unit == moe::frontend::Unit::GB);
  CHECK(number("1.5e1GiB").number == 15);
  CHECK(number("20GB/s").unit == moe::frontend::Unit::GB_per_s);
  CHECK(number("7%").unit == moe::frontend::Unit::percent);
  CHECK(shape_of("7 % 4") == "(7 % 4)");
  CHECK(shape_of("16GB/size") == "(16GB / size)");
  CHECK(shape_of("[0..3]") == "[0..3]");
}

TEST_CASE("`..` wins over a decimal point") {
  const ast::File file =
      parse_good("policy p { cache { x = [0..3, .5..1., 3:0..7] } layers 0..3 { cache { capacity = 8 } } }");
  const auto& entry = std::get<ast::Entry>(file.policies[0].blocks[0].items[0].node);
  const auto elements = file.exprs.operands_of(file.exprs[entry.value]);
  CHECK(file.exprs[elements[0]].kind == ast::ExprKind::range);
  CHECK(file.exprs[elements[1]].kind == ast::ExprKind::range);
  CHECK(file.exprs[elements[2]].kind == ast::ExprKind::placed);
  CHECK(file.policies[0].blocks[1].band.has_value());
}

TEST_CASE("every word may be a name") {
  for (const char* word :
       {"version", "import",  "policy",  "extends", "param", "let",       "in",      "step",   "layers",
        "phase",   "tier",    "on",      "when",    "for",   "cooldown",  "revert",  "choose", "by",
        "every",   "explore", "promote", "demote",  "use",   "rebalance", "trigger", "signal", "and",
        "or",      "not",     "if",      "then",    "else",  "true",      "false",   "lru",    "cache"}) {
    INFO(word);
    const ast::File file = parse_good(std::string("policy ") + word + " { " + word + " { " + word + " = 1 " + word +
                                      "." + word + " = 2 } }");
    CHECK(file.policies[0].name.text == word);
    CHECK(file.policies[0].blocks[0].name.text == word);
    CHECK(std::get<ast::Entry>(file.policies[0].blocks[0].items[1].node).block->text == word);
  }
}

TEST_CASE("all errors of a file come in one run, in order of text") {
  const std::string text =
      "policy a { cache { capacity : 8 } }\n"
      "policy b { cache { capacity = ) } }\n"
      "policy c { cache { capacity = 8kb @ } prefetch { budget 3 } }\n"
      "nonsense\n"
      "policy d { cache { capacity = +8 } }\n";
  Diagnostics diagnostics;
  parse(SourceFile("x.moe", text), diagnostics);
  diagnostics.sort();
  std::vector<std::string> found;
  for (const auto& finding : diagnostics.items()) found.push_back(finding.code);
  CHECK(found == std::vector<std::string>{"MOE1022", "MOE1025", "MOE1024", "MOE1013", "MOE1010", "MOE1021", "MOE1020",
                                          "MOE1026"});
}

TEST_CASE("one slip gives one finding") {
  CHECK(codes("policy p { cache { capacity = 8 ").size() == 2);  // two braces
  CHECK(codes("policy p { cache { capacity = 8 } } }").size() == 1);
  CHECK(codes("policy p { cache { pin = [1, 2 capacity = 8 } }").size() == 1);
  CHECK(codes("policy p { cache { capacity = 1 + } }").size() == 1);
  CHECK(codes("policy p { adapt { when a < { capacity = 9 } } }").size() == 1);
  CHECK(codes("policy p { adapt { when a < 1 for 10 { capacity = 9 } } }").size() == 1);
  CHECK(codes("policy p { param x = 8 in }").size() == 1);
}

TEST_CASE("messages never show the parser's own names") {
  for (const char* text :
       {"policy", "policy p", "policy p {", "policy p { cache", "policy p { cache { a = [1,", "version", "import",
        "policy p { cache { a = (1 } }", "policy p { tiers { tier } }", "policy p { x . y }",
        "policy p { layers 0 { } }", "policy p { adapt { choose a by b } }", "policy p extends { }"}) {
    Diagnostics diagnostics;
    const SourceFile source("x.moe", text);
    parse(source, diagnostics);
    CHECK(diagnostics.has_errors());
    const std::string shown = moe::ir::render_text(source, diagnostics, false);
    for (const char* inner :
         {"NAME,", "NUMBER", "LBRACE", "RBRACE", "<EOF>", "mismatched", "viable", "extraneous", "MISSING"}) {
      CHECK_MESSAGE(shown.find(inner) == std::string::npos, shown);
    }
  }
}

TEST_CASE("the printers cover the whole language") {
  const std::string text = moe::test::read_file("tests/golden/check/everything.moe");
  const ast::File file = parse_good(text);
  const std::string outline = ast::print_text(file);
  for (const char* line :
       {"policy tiered extends other", "  param slots = 16 in [8, 16, 32]", "  let big = slots * 2 + 1", "    on miss",
        "      else -> load", "    demote fast -> slow on evict", "  layers 0..3", "  phase prefill", "    tier cold",
        "use other", "rebalance entropy", " revert",
        "choose whole, other by tokens_per_s every 100 dispatches explore 0.1", "prefetch.budget = 2"}) {
    CHECK_MESSAGE(outline.find(line) != std::string::npos, line);
  }
  const nlohmann::json json = nlohmann::json::parse(ast::print_json(file));
  CHECK(json["policies"].size() == file.policies.size());
  CHECK(json["exprs"].size() == file.exprs.nodes.size());
  CHECK(json["imports"][0]["path"] == "imported/base.moe");
  CHECK(json["policies"][0]["blocks"][0]["items"][0]["key"]["text"] == "capacity");
}

TEST_CASE("numbers give back what is not theirs") {
  CHECK(shape_of("16GB/2") == "(16GB / 2)");
  CHECK(shape_of("16GB/size_2") == "(16GB / size_2)");
  CHECK(shape_of("16GB/s/2") == "(16GB/s / 2)");
  CHECK(shape_of("16GB/min(1, 2)") == "(16GB / min(1, 2))");
  CHECK(codes("policy p { cache { x = [1...5] } }").empty());  // 1 .. .5
  CHECK(codes("policy p { cache { x = [1_0..2_0, 1.5..2.5, 1...] } }").size() == 1);
}
