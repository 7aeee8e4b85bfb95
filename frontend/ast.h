// SPDX-License-Identifier: Apache-2.0
// What a file says, as it was written: every construct of the language with its place, nothing checked, no default
// filled in. Plain values; independent of the source text they came from.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "frontend/number.h"
#include "ir/source.h"

namespace moe::frontend::ast {

using ir::SourceSpan;

struct Name {
  std::string text;
  SourceSpan span;
};

/// Index into Expressions.
using ExprId = uint32_t;

enum class ExprKind : uint8_t {
  missing,      ///< a value that was left out or wrong, and has been reported
  number,       ///< `number`, `unit`, `digits_only`
  string,       ///< text without the quotes
  boolean,      ///< `truth`
  name,         ///< a variable, a param or let, or a word such as `lru`
  call,         ///< text is the function; the arguments
  unary,        ///< `op` one
  binary,       ///< one `op` two
  conditional,  ///< if one then two else three
  // Only in values, not inside expressions:
  list,      ///< [ ... ]
  range,     ///< one .. two [step three]
  placed,    ///< one : two, a layer (or range, or any) and an expert (or range)
  any,       ///< `*`
  chain,     ///< one | two | ...
  switched,  ///< one : two when three
  ladder,    ///< by (one) [ rungs ]
  rung,      ///< text is the dtype; its threshold, if any
};

enum class Op : uint8_t { negate, not_, multiply, divide, modulo, add, subtract, eq, ne, lt, le, gt, ge, and_, or_ };

/// "+", "and", ...
std::string_view to_word(Op op);

struct Expr {
  ExprKind kind = ExprKind::missing;
  Op op = Op::negate;
  Unit unit = Unit::none;
  bool digits_only = false;  ///< of a number: written without point and exponent
  bool truth = false;        ///< of a boolean
  double number = 0;         ///< of a number: as written, before its unit
  SourceSpan span;
  SourceSpan text;             ///< of a name, string, call or rung: where its text is
  ExprId first = 0;            ///< the subtree is [first, own id]: children stand before parents
  uint32_t first_operand = 0;  ///< [first_operand, end_operand) of Expressions::operands
  uint32_t end_operand = 0;
};

/// All expressions of a file. A flat pool: thousands of nodes in a row need no recursion, neither to walk nor to free.
struct Expressions {
  std::string source;
  std::vector<Expr> nodes;
  std::vector<ExprId> operands;

  const Expr& operator[](ExprId id) const { return nodes[id]; }
  std::span<const ExprId> operands_of(const Expr& e) const {
    return std::span(operands).subspan(e.first_operand, e.end_operand - e.first_operand);
  }
  std::string_view text_of(const Expr& e) const {
    return std::string_view(source).substr(e.text.begin, e.text.end - e.text.begin);
  }
  /// The source text of a whole expression.
  std::string_view written(const Expr& e) const {
    return std::string_view(source).substr(e.span.begin, e.span.end - e.span.begin);
  }
};

/// key = value, or block.key = value
struct Entry {
  std::optional<Name> block;
  Name key;
  ExprId value = 0;
  SourceSpan span;
};

/// use NAME, rebalance NAME, trigger NAME, signal NAME
struct Command {
  Name verb;
  Name operand;
  SourceSpan span;
};

/// when E -> action; without a condition: else -> action
struct Arm {
  std::optional<ExprId> condition;
  Name action;
  SourceSpan span;
};

/// promote A -> B when E; without a condition: on EVENT
struct Move {
  Name verb;
  Name from;
  Name to;
  std::optional<ExprId> condition;
  std::optional<Name> event;
  SourceSpan span;
};

/// choose A, B by E every N dispatches [explore X]
struct Choose {
  std::vector<Name> policies;
  ExprId reward = 0;
  ExprId every = 0;
  Name every_unit;
  std::optional<ExprId> explore;
  SourceSpan span;
};

struct Item;

/// when E [for N unit] [cooldown N] { ... } [revert]
struct When {
  ExprId condition = 0;
  std::optional<ExprId> stretch;
  std::optional<Name> stretch_unit;
  std::optional<ExprId> cooldown;
  std::vector<Item> items;
  bool broken = false;  ///< items were lost to a syntax error
  bool revert = false;
  SourceSpan span;
};

/// NAME { ... }; with a label: tier NAME { ... }, phase NAME { ... }, on NAME { ... }; with a band: layers A..B { ... }
struct Block {
  Name name;
  std::optional<Name> label;
  std::optional<ExprId> band;  ///< a range
  std::vector<Item> items;
  bool broken = false;  ///< items were lost to a syntax error
  SourceSpan span;
};

struct Item {
  std::variant<Entry, Block, When, Arm, Choose, Move, Command> node;
};

/// param NAME = literal [in domain]
struct Param {
  Name name;
  ExprId value = 0;
  std::optional<ExprId> domain;  ///< a list, or a range; `step` is the range's third operand
  SourceSpan span;
};

/// let NAME = expr
struct Let {
  Name name;
  ExprId value = 0;
  SourceSpan span;
};

struct Policy {
  Name name;
  std::optional<Name> base;  ///< extends
  std::vector<Param> params;
  std::vector<Let> lets;
  std::vector<Block> blocks;
  bool broken = false;  ///< members were lost to a syntax error
  SourceSpan span;
};

struct Version {
  ExprId number = 0;
  SourceSpan span;
};

struct Import {
  std::string path;
  SourceSpan span;
};

struct File {
  std::string name;               ///< of the source
  std::vector<Version> versions;  ///< more than one is reported by the parser
  std::vector<Import> imports;
  std::vector<Policy> policies;
  Expressions exprs;
  bool broken = false;  ///< parts were lost to a syntax error
};

/// An indented outline, one construct a line.
std::string print_text(const File& file);
/// One JSON object; every node has "begin" and "end" in bytes. Expressions stand in "exprs", children first, and are
/// named by their place there.
std::string print_json(const File& file);

}  // namespace moe::frontend::ast
