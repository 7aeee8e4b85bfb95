// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "tools/lsp/context.h"
#include "tools/lsp/features.h"

namespace moe::lsp {
namespace {

std::optional<Definition> import_definition(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset) {
  for (const ImportOutline& import : snapshot.outline().imports) {
    if (import.span.begin > offset || offset > import.span.end) continue;
    const auto file = workspace.resolve_import(snapshot, import.path);
    if (!file) return std::nullopt;
    return Definition{nullptr, {}, file->name};
  }
  return std::nullopt;
}

}  // namespace

namespace {

// In the file that speaks of it, then in the text, then in what that imports.
std::optional<FoundPolicy> find_among(const std::vector<SnapshotPtr>& imports, const Snapshot& snapshot,
                                      const SnapshotPtr& speaker, std::string_view name) {
  if (speaker != nullptr) {
    if (const PolicyOutline* policy = speaker->outline().find(name)) return FoundPolicy{speaker, policy};
  }
  if (const PolicyOutline* policy = snapshot.outline().find(name)) return FoundPolicy{nullptr, policy};
  for (const SnapshotPtr& file : imports) {
    if (const PolicyOutline* policy = file->outline().find(name)) return FoundPolicy{file, policy};
  }
  return std::nullopt;
}

}  // namespace

std::optional<FoundPolicy> find_policy(const Workspace& workspace, const Snapshot& snapshot, std::string_view name) {
  if (const PolicyOutline* policy = snapshot.outline().find(name)) return FoundPolicy{nullptr, policy};
  return find_among(workspace.imports_of(snapshot), snapshot, nullptr, name);
}

std::optional<FoundName> find_name(const Workspace& workspace, const Snapshot& snapshot, const PolicyOutline& policy,
                                   std::string_view name) {
  std::vector<SnapshotPtr> imports;     // read at most once, and only if some parent is asked
  std::set<const PolicyOutline*> seen;  // two policies may extend each other by mistake
  FoundPolicy at{nullptr, &policy};
  while (seen.insert(at.policy).second) {
    for (const std::vector<Declared>* list : {&at.policy->lets, &at.policy->params}) {
      if (const Declared* found = find_declared(*list, name)) return FoundName{at.file, found};
    }
    if (at.policy->base.empty()) break;
    if (imports.empty()) imports = workspace.imports_of(snapshot);
    const std::optional<FoundPolicy> base = find_among(imports, snapshot, at.file, at.policy->base);
    if (!base) break;
    at = *base;
  }
  return std::nullopt;
}

std::optional<Definition> find_definition(const Workspace& workspace, const Snapshot& snapshot, uint32_t offset) {
  const Context context = context_at(snapshot, offset);
  if (context.spot == Spot::import_path) return import_definition(workspace, snapshot, offset);
  const std::string_view word = snapshot.text(context.word);
  if (word.empty()) return std::nullopt;
  switch (context.spot) {
    case Spot::base:
    case Spot::policy: {
      const std::optional<FoundPolicy> found = find_policy(workspace, snapshot, word);
      if (!found) return std::nullopt;
      return Definition{found->file, found->policy->policy.name_span, {}};
    }
    case Spot::tier: {
      const Declared* tier = context.policy == nullptr ? nullptr : find_declared(context.policy->tiers, word);
      if (tier == nullptr) return std::nullopt;
      return Definition{nullptr, tier->name_span, {}};
    }
    case Spot::value:
    case Spot::expression: {
      if (context.policy == nullptr) return std::nullopt;
      const std::optional<FoundName> found = find_name(workspace, snapshot, *context.policy, word);
      if (!found) return std::nullopt;
      return Definition{found->file, found->declared->name_span, {}};
    }
    default:
      return std::nullopt;
  }
}

}  // namespace moe::lsp
