// SPDX-License-Identifier: Apache-2.0
#include "frontend/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "frontend/frontend.h"
#include "frontend/limits.h"
#include "frontend/relocate.h"
#include "frontend/text.h"

namespace moe::frontend {

class Linker {
 public:
  Linker(const ast::File& main, std::string_view name, ImportResolver* resolver, ir::Diagnostics& diagnostics)
      : linked_(main), resolver_(resolver), diagnostics_(diagnostics) {
    linked_.units_[0].imports = main.imports;
    linked_.units_[0].location = {std::string(name), std::string(name)};
  }

  Linked run() {
    if (!linked_.units_[0].imports.empty()) load_all();
    for (Linked::Unit& unit : linked_.units_) index_names(unit);
    for (const Linked::Unit& unit : linked_.units_) check_clashes(unit);
    return std::move(linked_);
  }

 private:
  /// A unit whose imports are being read.
  struct Open {
    size_t unit = 0;
    size_t next = 0;  ///< of its imports
  };

  void error(std::string_view code, ast::SourceSpan span, std::string message, std::string hint = "") {
    diagnostics_.error(code, span, std::move(message), std::move(hint));
  }

  // Depth first, so that the open units are the way that led here: what a cycle is made of.
  void load_all() {
    if (resolver_ == nullptr) {
      error("MOE2140", linked_.units_[0].imports[0].span, "this text has no place from which it could import",
            "save it as a file");
      linked_.units_[0].incomplete = true;
      return;
    }
    linked_.units_[0].location = resolver_->main_file(linked_.units_[0].location.name);
    by_id_.emplace(linked_.units_[0].location.id, 0);
    open_.push_back({0, 0});
    while (!open_.empty() && !too_many(diagnostics_)) {
      Open& top = open_.back();
      if (top.next == linked_.units_[top.unit].imports.size()) {
        open_.pop_back();
        continue;
      }
      const size_t unit = top.unit;
      const bool good = import(unit, ast::Import(linked_.units_[unit].imports[top.next++]));
      linked_.units_[unit].incomplete = linked_.units_[unit].incomplete || !good;
    }
  }

  bool import(size_t importer, const ast::Import& import) {
    if (++num_imports_ > kMaxImports) {
      if (num_imports_ == kMaxImports + 1) {
        error("MOE2142", import.span, fmt::format("more than {} imports", kMaxImports), "join the files");
      }
      return false;
    }
    const Result<ImportResolver::Location> location = resolver_->locate(import.path, linked_.units_[importer].location);
    if (!location) {
      cannot_read(import, location.error());
      return false;
    }
    const auto known = by_id_.find(location->id);
    if (known == by_id_.end()) {
      const std::optional<size_t> unit = load(import, *location);
      if (unit) connect(importer, *unit, import);
      return unit.has_value();
    }
    const auto opened =
        std::find_if(open_.begin(), open_.end(), [&](const Open& open) { return open.unit == known->second; });
    if (opened != open_.end()) {
      report_cycle(opened - open_.begin(), import);
      return false;
    }
    connect(importer, known->second, import);
    return true;
  }

  void cannot_read(const ast::Import& import, const Error& cause) {
    error("MOE2140", import.span, cause.message,
          import.path.starts_with("std/") ? "the standard library is what `std/` names"
                                          : "a path is seen from the file that imports it");
  }

  std::optional<size_t> load(const ast::Import& import, const ImportResolver::Location& location) {
    if (open_.size() > kMaxImportDepth) {
      error("MOE2142", import.span, fmt::format("imports more than {} deep", kMaxImportDepth));
      return std::nullopt;
    }
    Result<std::string> text = resolver_->read(location);
    if (!text) {
      cannot_read(import, text.error());
      return std::nullopt;
    }
    num_bytes_ += text->size();
    if (num_bytes_ > kMaxImportedBytes) {
      if (!too_large_) {
        error("MOE2142", import.span,
              fmt::format("the imported files have more than {} MiB", kMaxImportedBytes >> 20U));
      }
      too_large_ = true;
      return std::nullopt;
    }
    return add_unit(location, std::make_shared<const ir::SourceFile>(location.name, std::move(text).value()));
  }

  size_t add_unit(const ImportResolver::Location& location, std::shared_ptr<const ir::SourceFile> source) {
    ir::Diagnostics findings;
    ParseResult parsed = parse(*source, findings);
    ast::File file;
    if (parsed.file) {
      file = std::move(*parsed.file);
    } else {
      file.exprs.source = source->text();
      file.broken = true;
    }
    if (!linked_.all_) linked_.all_ = *linked_.main_;
    ast::File& all = *linked_.all_;
    Linked::Unit unit;
    unit.location = location;
    unit.first_policy = all.policies.size();
    unit.base = append_file(all, file);
    unit.end_policy = all.policies.size();
    unit.imports = std::move(file.imports);
    diagnostics_.add_imported(unit.base, std::move(source));
    diagnostics_.append(findings, unit.base);
    const size_t index = linked_.units_.size();
    by_id_.emplace(location.id, index);
    linked_.units_.push_back(std::move(unit));
    open_.push_back({index, 0});
    return index;
  }

  void connect(size_t importer, size_t imported, const ast::Import& import) {
    Linked::Unit& unit = linked_.units_[importer];
    const auto first = std::find(unit.imported.begin(), unit.imported.end(), imported);
    if (first == unit.imported.end()) {
      unit.imported.push_back(imported);
      unit.imported_at.push_back(import.span);
      return;
    }
    auto& twice = diagnostics_.warning("MOE2143", import.span, fmt::format("{} is imported twice", quote(import.path)),
                                       "remove one");
    twice.related_span = unit.imported_at[static_cast<size_t>(first - unit.imported.begin())];
    twice.related_message = "the first is here";
  }

  void report_cycle(ptrdiff_t from, const ast::Import& import) {
    std::string way;
    for (size_t i = static_cast<size_t>(from); i < open_.size(); ++i) {
      way += quote(linked_.units_[open_[i].unit].location.name) + " -> ";
    }
    way += quote(linked_.units_[open_[static_cast<size_t>(from)].unit].location.name);
    error("MOE2141", import.span, "imports go in a circle: " + way, "remove one of these imports");
  }

  void index_names(Linked::Unit& unit) {
    for (size_t i = unit.first_policy; i < unit.end_policy; ++i) {
      const ast::Name& name = linked_.policies()[i].name;
      const auto [place, inserted] = unit.names.emplace(name.text, i);
      if (inserted) continue;
      auto& error = diagnostics_.error("MOE2008", name.span,
                                       fmt::format("two policies are called {}", quote(name.text)), "rename one");
      error.related_span = linked_.policies()[place->second].name.span;
      error.related_message = "the first is here";
    }
  }

  // A name that an import brings must not be taken, neither by the file nor by another import.
  void check_clashes(const Linked::Unit& unit) {
    std::map<std::string_view, size_t> seen(unit.names.begin(), unit.names.end());
    for (size_t i = 0; i < unit.imported.size(); ++i) {
      for (const auto& [name, policy] : linked_.units_[unit.imported[i]].names) {
        const auto [place, inserted] = seen.emplace(name, policy);
        if (inserted || too_many(diagnostics_)) continue;
        const bool own = place->second >= unit.first_policy && place->second < unit.end_policy;
        auto& error =
            diagnostics_.error("MOE2008", own ? linked_.policies()[place->second].name.span : unit.imported_at[i],
                               own ? fmt::format("an imported policy is called {} too", quote(name))
                                   : fmt::format("two imported policies are called {}", quote(name)),
                               own ? "rename this one" : "remove one of the imports");
        error.related_span = linked_.policies()[own ? policy : place->second].name.span;
        error.related_message = own ? "the imported one is here" : "the first is here";
      }
    }
  }

  Linked linked_;
  ImportResolver* resolver_;
  ir::Diagnostics& diagnostics_;
  std::map<std::string, size_t> by_id_;
  std::vector<Open> open_;
  size_t num_imports_ = 0;
  size_t num_bytes_ = 0;
  bool too_large_ = false;
};

Linked::Linked(const ast::File& main) : main_(&main) {
  Unit unit;
  unit.end_policy = main.policies.size();
  units_.push_back(std::move(unit));
}

const Linked::Unit& Linked::unit_of(ast::SourceSpan span) const {
  const auto after = std::upper_bound(units_.begin(), units_.end(), span.begin,
                                      [](uint32_t offset, const Unit& unit) { return offset < unit.base; });
  return *std::prev(after);
}

std::optional<size_t> Linked::find(std::string_view name, ast::SourceSpan span) const {
  const Unit& unit = unit_of(span);
  if (const auto own = unit.names.find(name); own != unit.names.end()) return own->second;
  for (size_t i = 0; i < unit.imported.size(); ++i) {
    const Unit& imported = units_[unit.imported[i]];
    const auto found = imported.names.find(name);
    if (found == imported.names.end()) continue;
    if (&unit == &units_.front()) {
      found_from_.resize(unit.imported.size());
      found_from_[i] = true;
    }
    return found->second;
  }
  return std::nullopt;
}

std::vector<std::string_view> Linked::names_at(ast::SourceSpan span) const {
  constexpr size_t kMaxSuggested = 1000;  // each is compared with the word that was meant
  const Unit& unit = unit_of(span);
  std::vector<std::string_view> names;
  const auto add = [&](const Unit& of) {
    for (auto name = of.names.begin(); name != of.names.end() && names.size() < kMaxSuggested; ++name) {
      names.push_back(name->first);
    }
  };
  add(unit);
  for (const size_t imported : unit.imported) add(units_[imported]);
  return names;
}

void Linked::report_unknown(const ast::Name& name, ir::Diagnostics& diagnostics) const {
  if (unit_of(name.span).incomplete) return;
  // One that an import imports in turn is near, but not in sight.
  std::string hint = suggest(name.text, names_at(name.span));
  for (const Unit& unit : units_) {
    if (unit.names.contains(name.text)) hint = fmt::format("import {}, which has it", quote(unit.location.name));
  }
  diagnostics.error("MOE2013", name.span,
                    fmt::format("there is no policy {} in this file{}", quote(name.text),
                                unit_of(name.span).imports.empty() ? "" : " or its imports"),
                    std::move(hint));
}

void Linked::report_unused(ir::Diagnostics& diagnostics) const {
  const Unit& main = units_.front();
  found_from_.resize(main.imported.size());
  for (size_t i = 0; i < main.imported.size(); ++i) {
    if (found_from_[i]) continue;
    diagnostics.warning("MOE2144", main.imported_at[i],
                        fmt::format("nothing of {} is used", quote(units_[main.imported[i]].location.name)),
                        "remove the import, or name one of its policies");
  }
}

Linked link(const ast::File& main, std::string_view name, ImportResolver* resolver, ir::Diagnostics& diagnostics) {
  return Linker(main, name, resolver, diagnostics).run();
}

}  // namespace moe::frontend
