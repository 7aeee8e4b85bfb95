// SPDX-License-Identifier: Apache-2.0
// Requests about a place of a text, from the protocol's JSON and back.
#include <algorithm>

#include "frontend/format.h"
#include "tools/lsp/server.h"

namespace moe::lsp {
namespace {

constexpr int kPlainText = 1;
constexpr int kSnippet = 2;

Json markdown(const std::string& text) { return {{"kind", "markdown"}, {"value", text}}; }

}  // namespace

std::optional<Server::Place> Server::place_of(const Json& params) const {
  const std::string* uri = member_text(params, {"textDocument", "uri"});
  const std::optional<uint32_t> line = member_count(params, {"position", "line"});
  const std::optional<uint32_t> character = member_count(params, {"position", "character"});
  if (uri == nullptr || !line || !character) return std::nullopt;
  SnapshotPtr snapshot = workspace_.find(*uri);
  if (snapshot == nullptr) return std::nullopt;
  const uint32_t offset = snapshot->lines().offset({*line, *character}, encoding_);
  return Place{*uri, std::move(snapshot), offset};
}

Json Server::hover_result(const Json& params) const {
  const std::optional<Place> place = place_of(params);
  if (!place) return nullptr;
  const std::optional<Hover> found = hover(workspace_, *place->snapshot, place->offset);
  if (!found) return nullptr;
  return {{"contents", markdown(found->markdown)}, {"range", range_json(*place->snapshot, found->span)}};
}

Json Server::completion_result(const Json& params) const {
  Json items = Json::array();
  const std::optional<Place> place = place_of(params);
  if (!place) return items;
  const Completion completion = complete(workspace_, *place->snapshot, place->offset);
  const Json range = range_json(*place->snapshot, completion.replaced);
  for (const CompletionItem& item : completion.items) {
    const bool snippet = client_takes_snippets_ && !item.snippet.empty();
    Json json = {{"label", item.label},
                 {"kind", static_cast<int>(item.kind)},
                 {"insertTextFormat", snippet ? kSnippet : kPlainText},
                 {"textEdit", {{"range", range}, {"newText", snippet ? item.snippet : item.label}}}};
    if (!item.detail.empty()) json["detail"] = item.detail;
    if (!item.markdown.empty()) json["documentation"] = markdown(item.markdown);
    items.push_back(std::move(json));
  }
  return items;
}

Json Server::definition_result(const Json& params) const {
  const std::optional<Place> place = place_of(params);
  if (!place) return nullptr;
  const std::optional<Definition> found = find_definition(workspace_, *place->snapshot, place->offset);
  if (!found) return nullptr;
  if (!found->path.empty()) {
    const Json start = {{"line", 0}, {"character", 0}};
    return {{"uri", uri_of_path(found->path)}, {"range", {{"start", start}, {"end", start}}}};
  }
  const Snapshot& file = found->file == nullptr ? *place->snapshot : *found->file;
  return {{"uri", found->file == nullptr ? place->uri : uri_of_path(file.path())},
          {"range", range_json(file, found->span)}};
}

// One edit, of what lies between the parts that stay: the editor keeps its cursor where nothing changes.
Json Server::formatting(const Json& params) const {
  const std::string* uri = member_text(params, {"textDocument", "uri"});
  const SnapshotPtr snapshot = uri == nullptr ? nullptr : workspace_.find(*uri);
  if (snapshot == nullptr) return nullptr;
  ir::Diagnostics diagnostics;
  const std::optional<std::string> formatted = frontend::format_source(snapshot->source(), diagnostics);
  if (!formatted) return nullptr;  // the findings that keep it from being laid out are published anyway
  const std::string_view before = snapshot->text();
  const std::string_view after = *formatted;
  if (before == after) return Json::array();
  const size_t shorter = std::min(before.size(), after.size());
  size_t prefix = 0;
  while (prefix < shorter && before[prefix] == after[prefix]) ++prefix;
  size_t suffix = 0;
  while (suffix < shorter - prefix && before[before.size() - suffix - 1] == after[after.size() - suffix - 1]) ++suffix;
  // What differs is white space, so neither end is inside a character; between \r and \n there is no position.
  if (suffix > 0 && before[before.size() - suffix] == '\n') --suffix;
  if (prefix > 0 && before[prefix - 1] == '\r') --prefix;
  const SourceSpan changed{static_cast<uint32_t>(prefix), static_cast<uint32_t>(before.size() - suffix)};
  const std::string_view text = after.substr(prefix, after.size() - prefix - suffix);
  return Json::array({{{"range", range_json(*snapshot, changed)}, {"newText", text}}});
}

Json Server::code_actions(const Json& params) {
  Json actions = Json::array();
  const std::string* uri = member_text(params, {"textDocument", "uri"});
  const SnapshotPtr snapshot = uri == nullptr ? nullptr : workspace_.find(*uri);
  const std::optional<uint32_t> first = member_count(params, {"range", "start", "line"});
  const std::optional<uint32_t> last = member_count(params, {"range", "end", "line"});
  if (snapshot == nullptr || !first || !last) return actions;
  const uint32_t begin =
      snapshot->lines().offset({*first, member_count(params, {"range", "start", "character"}).value_or(0)}, encoding_);
  const uint32_t end =
      snapshot->lines().offset({*last, member_count(params, {"range", "end", "character"}).value_or(0)}, encoding_);
  const ir::Diagnostics& findings = findings_of(*uri, *snapshot);
  for (const ir::Diagnostic& finding : findings.items()) {
    if (!findings.is_in_main(finding.span) || finding.span.begin > end || finding.span.end < begin) continue;
    const std::optional<QuickFix> fix = quick_fix(*snapshot, finding);
    if (!fix) continue;
    const Json edit = {{"range", range_json(*snapshot, fix->span)}, {"newText", fix->replacement}};
    Json changes = Json::object();
    changes[*uri] = Json::array({edit});
    actions.push_back({{"title", fix->title},
                       {"kind", "quickfix"},
                       {"isPreferred", true},
                       {"diagnostics", Json::array({diagnostic_json(*uri, *snapshot, finding, findings)})},
                       {"edit", {{"changes", std::move(changes)}}}});
  }
  return actions;
}

}  // namespace moe::lsp
