// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "frontend/extend.h"
#include "frontend/keys.h"
#include "frontend/text.h"

namespace moe::frontend {
namespace {

using ast::Block;
using ast::Item;

/// Entries of the parent that own's may replace, by what makes two of them the same. Taken once: a second one of own
/// with the same key is a mistake of its author, and stays beside the first.
class Places {
 public:
  void add(std::string key, size_t place) { places_.emplace(std::move(key), place); }
  std::optional<size_t> take(const std::string& key) {
    const auto found = places_.find(key);
    if (found == places_.end()) return std::nullopt;
    const size_t place = found->second;
    places_.erase(found);
    return place;
  }

 private:
  std::map<std::string, size_t, std::less<>> places_;
};

class Merger {
 public:
  Merger(const ast::Expressions& exprs, ir::Diagnostics& diagnostics) : exprs_(exprs), diagnostics_(diagnostics) {}

  // `broken` is kept: parts of the parent that were lost are lost to the child too.
  void merge_blocks(std::vector<Block>& all, const std::vector<Block>& own) {
    Places places;
    for (size_t i = 0; i < all.size(); ++i) places.add(key_of(all[i]), i);
    for (const Block& block : own) {
      if (const auto place = places.take(key_of(block))) {
        merge_block(all[*place], block);
      } else {
        all.push_back(block);
      }
    }
  }

 private:
  std::string key_of(const Block& block) const {
    std::string key = block.name.text;
    if (block.label) key += ' ' + block.label->text;
    if (block.band) {
      for (const ast::ExprId bound : exprs_.operands_of(exprs_[*block.band])) {
        const ast::Expr& e = exprs_[bound];
        const bool plain = e.kind == ast::ExprKind::number && e.unit == Unit::none;
        key += ' ' + (plain ? number_text(e.number) : std::string(exprs_.written(e)));
      }
    }
    return key;
  }

  // Blocks inside blocks: nesting was limited before parsing.
  void merge_block(Block& all, const Block& own) {
    if (own.items.empty() && !own.broken) {
      diagnostics_.error("MOE2009", own.span, fmt::format("the block {} is empty", quote(own.name.text)),
                         "remove it: what is inherited stays");
    }
    all.name = own.name;
    all.label = own.label;
    all.band = own.band;
    all.span = own.span;
    all.broken = all.broken || own.broken;
    if (own.name.text == "on") {
      all.items = own.items;
      return;
    }
    if (own.name.text == "schedule") drop_replaced_misses(all, own);
    Places places;
    for (size_t i = 0; i < all.items.size(); ++i) {
      if (std::string key = key_of(all.items[i], all.name.text); !key.empty()) places.add(std::move(key), i);
    }
    for (const Item& item : own.items) {
      const std::string key = key_of(item, own.name.text);
      const auto place = key.empty() ? std::nullopt : places.take(key);
      if (!place) {
        all.items.push_back(item);
      } else if (auto* inner = std::get_if<Block>(&all.items[*place].node)) {
        merge_block(*inner, std::get<Block>(item.node));
      } else {
        all.items[*place] = item;
      }
    }
  }

  // Empty: the item is appended, whatever is there.
  std::string key_of(const Item& item, const std::string& block) const {
    if (const auto* entry = std::get_if<ast::Entry>(&item.node)) {
      const BlockSpec* spec = find_block(block);
      const KeySpec* key = spec == nullptr ? nullptr : find_key(*spec, entry->key.text);
      return "= " + (key == nullptr ? entry->key.text : std::string(key->name));
    }
    if (const auto* inner = std::get_if<Block>(&item.node)) return "{ " + key_of(*inner);
    if (const auto* move = std::get_if<ast::Move>(&item.node)) {
      return move->verb.text + ' ' + move->from.text + ' ' + move->to.text;
    }
    return {};
  }

  static bool is_key(const Item& item, std::string_view name) {
    const auto* entry = std::get_if<ast::Entry>(&item.node);
    return entry != nullptr && entry->key.text == name;
  }
  static bool is_on_miss(const Item& item) {
    const auto* block = std::get_if<Block>(&item.node);
    return block != nullptr && block->name.text == "on" && block->label && block->label->text == "miss";
  }

  // `on miss` stands in for `mode`: the one that was written later is meant.
  static void drop_replaced_misses(Block& all, const Block& own) {
    const bool mode = std::any_of(own.items.begin(), own.items.end(), [](const Item& i) { return is_key(i, "mode"); });
    const bool on_miss = std::any_of(own.items.begin(), own.items.end(), is_on_miss);
    if (mode == on_miss) return;
    std::erase_if(all.items, [&](const Item& item) { return mode ? is_on_miss(item) : is_key(item, "mode"); });
  }

  const ast::Expressions& exprs_;
  ir::Diagnostics& diagnostics_;
};

template <class Member>
void merge_members(std::vector<Member>& all, const std::vector<Member>& own) {
  Places places;
  for (size_t i = 0; i < all.size(); ++i) places.add(all[i].name.text, i);
  for (const Member& member : own) {
    if (const auto place = places.take(member.name.text)) {
      all[*place] = member;
    } else {
      all.push_back(member);
    }
  }
}

/// Lets in an order in which each stands after those that it names. Where they name each other in a circle, the order
/// stays as it was, and the name that is used before its place is reported when lets are checked.
class LetOrder {
 public:
  LetOrder(const std::vector<ast::Let>& lets, const ast::Expressions& exprs)
      : lets_(lets), exprs_(exprs), entered_(lets.size()) {
    for (size_t i = 0; i < lets.size(); ++i) by_name_.emplace(lets[i].name.text, i);
  }

  std::vector<ast::Let> sorted() {
    for (size_t i = 0; i < lets_.size(); ++i) visit(i);
    return std::move(order_);
  }

 private:
  struct Step {
    size_t let = 0;
    ast::ExprId next = 0;  ///< expression node to look at
  };

  void visit(size_t first) {
    enter(first);
    while (!path_.empty()) {
      Step& step = path_.back();
      const ast::ExprId root = lets_[step.let].value;
      if (step.next > root) {
        order_.push_back(lets_[step.let]);
        path_.pop_back();
        continue;
      }
      const ast::Expr& e = exprs_[step.next++];
      if (e.kind != ast::ExprKind::name) continue;
      const auto named = by_name_.find(exprs_.text_of(e));
      if (named != by_name_.end()) enter(named->second);
    }
  }

  void enter(size_t let) {
    if (entered_[let]) return;
    entered_[let] = true;
    path_.push_back({let, exprs_[lets_[let].value].first});
  }

  const std::vector<ast::Let>& lets_;
  const ast::Expressions& exprs_;
  std::vector<bool> entered_;
  std::map<std::string_view, size_t> by_name_;
  std::vector<Step> path_;
  std::vector<ast::Let> order_;
};

Block* find_block_in(ast::Policy& policy, std::string_view name) {
  for (Block& block : policy.blocks) {
    if (block.name.text == name) return &block;
  }
  return nullptr;
}

bool sets_capacity(const Block& cache) {
  return std::any_of(cache.items.begin(), cache.items.end(), [](const Item& item) {
    const auto* entry = std::get_if<ast::Entry>(&item.node);
    return entry != nullptr && entry->key.text == "capacity";
  });
}

bool has_block(const ast::Policy& policy, std::string_view name) {
  return std::any_of(policy.blocks.begin(), policy.blocks.end(), [&](const Block& b) { return b.name.text == name; });
}

// `tiers` says how large the fast tier is in place of `capacity`: the one that was written later is meant.
void drop_replaced_sizes(ast::Policy& all, const ast::Policy& own) {
  const bool capacity = std::any_of(own.blocks.begin(), own.blocks.end(), [](const Block& block) {
    return block.name.text == "cache" && sets_capacity(block);
  });
  const bool tiers = has_block(own, "tiers");
  if (capacity == tiers) return;
  if (capacity) {
    std::erase_if(all.blocks, [](const Block& block) { return block.name.text == "tiers"; });
    return;
  }
  Block* cache = find_block_in(all, "cache");
  if (cache == nullptr) return;
  std::erase_if(cache->items, [](const Item& item) {
    const auto* entry = std::get_if<ast::Entry>(&item.node);
    return entry != nullptr && entry->key.text == "capacity";
  });
  if (cache->items.empty()) std::erase_if(all.blocks, [](const Block& block) { return block.name.text == "cache"; });
}

}  // namespace

ast::Policy merge(const ast::Policy& parent, const ast::Policy& own, const ast::Expressions& exprs,
                  ir::Diagnostics& diagnostics) {
  ast::Policy all = parent;
  all.name = own.name;
  all.base = own.base;
  all.span = own.span;
  all.broken = parent.broken || own.broken;
  merge_members(all.params, own.params);
  if (!own.lets.empty()) {
    merge_members(all.lets, own.lets);
    all.lets = LetOrder(all.lets, exprs).sorted();
  }
  drop_replaced_sizes(all, own);
  Merger(exprs, diagnostics).merge_blocks(all.blocks, own.blocks);
  return all;
}

}  // namespace moe::frontend
