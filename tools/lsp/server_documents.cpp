// SPDX-License-Identifier: Apache-2.0
// Open texts: their changes, and what is found in them.
#include <filesystem>

#include "tools/lsp/server.h"

namespace moe::lsp {
namespace {

// A change copies the text: this many bytes for one message, then the client is asked to start anew.
constexpr size_t kMostCopiedBytes = size_t{1} << 30U;

int severity_number(ir::Severity severity) {
  switch (severity) {
    case ir::Severity::error:
      return 1;
    case ir::Severity::warning:
      return 2;
    case ir::Severity::note:
      break;
  }
  return 3;
}

std::optional<Position> position_of(const Json& json, const char* name) {
  const std::optional<uint32_t> line = member_count(json, {name, "line"});
  const std::optional<uint32_t> character = member_count(json, {name, "character"});
  if (!line || !character) return std::nullopt;
  return Position{*line, *character};
}

}  // namespace

void Server::open(const Json& params) {
  const std::string* uri = member_text(params, {"textDocument", "uri"});
  const std::string* text = member_text(params, {"textDocument", "text"});
  if (uri == nullptr || text == nullptr) return log("didOpen names no text");
  workspace_.set(*uri, *text);
  versions_[*uri] = member_count(params, {"textDocument", "version"}).value_or(0);
  note_change(*uri);
}

void Server::change(const Json& params) {
  const std::string* uri = member_text(params, {"textDocument", "uri"});
  const SnapshotPtr snapshot = uri == nullptr ? nullptr : workspace_.find(*uri);
  const Json* changes = member(params, {"contentChanges"});
  if (snapshot == nullptr || changes == nullptr || !changes->is_array()) return log("didChange names no open text");
  std::optional<std::string> text = changed_text(std::string(snapshot->text()), *changes);
  if (!text) {
    log("a change of " + *uri + " cannot be applied; close the file and open it again");
    return;
  }
  workspace_.set(*uri, std::move(*text));
  versions_[*uri] = member_count(params, {"textDocument", "version"}).value_or(versions_[*uri]);
  note_change(*uri);
}

// What imports the text may have other findings now.
void Server::note_change(const std::string& uri) {
  std::vector<std::string> affected = workspace_.importers();
  affected.push_back(uri);
  for (const std::string& each : affected) {
    findings_.erase(each);
    changed_.insert(each);
  }
}

// All changes in order, or none.
std::optional<std::string> Server::changed_text(std::string text, const Json& changes) const {
  size_t copied_bytes = 0;
  for (const Json& change : changes) {
    const std::string* inserted = member_text(change, {"text"});
    copied_bytes += text.size();
    if (inserted == nullptr || copied_bytes > kMostCopiedBytes) return std::nullopt;
    const Json* range = member(change, {"range"});
    if (range == nullptr || range->is_null()) {
      text = *inserted;
      continue;
    }
    const std::optional<Position> start = position_of(*range, "start");
    const std::optional<Position> end = position_of(*range, "end");
    if (!start || !end) return std::nullopt;
    const LineIndex lines(text);
    const uint32_t from = lines.offset(*start, encoding_);
    const uint32_t to = lines.offset(*end, encoding_);
    if (from > to) return std::nullopt;
    text.replace(from, to - from, *inserted);
    if (text.size() > kMaxMessageBytes) return std::nullopt;
  }
  return text;
}

void Server::close(const Json& params) {
  const std::string* uri = member_text(params, {"textDocument", "uri"});
  if (uri == nullptr || workspace_.find(*uri) == nullptr) return;
  workspace_.close(*uri);
  changed_.erase(*uri);
  findings_.erase(*uri);
  versions_.erase(*uri);
  // The file's findings leave with it.
  send({{"method", "textDocument/publishDiagnostics"}, {"params", {{"uri", *uri}, {"diagnostics", Json::array()}}}});
}

const ir::Diagnostics& Server::findings_of(const std::string& uri, const Snapshot& snapshot) {
  const auto known = findings_.find(uri);
  if (known != findings_.end()) return known->second;
  return findings_[uri] = workspace_.check(snapshot);
}

void Server::publish_changed() {
  for (const std::string& uri : std::set<std::string>(std::move(changed_))) {
    if (const SnapshotPtr snapshot = workspace_.find(uri)) publish(uri, *snapshot);
  }
  changed_.clear();
}

void Server::publish(const std::string& uri, const Snapshot& snapshot) {
  Json diagnostics = Json::array();
  const ir::Diagnostics& findings = findings_of(uri, snapshot);
  for (const ir::Diagnostic& finding : findings.items())
    diagnostics.push_back(diagnostic_json(uri, snapshot, finding, findings));
  const Json params = {{"uri", uri}, {"version", versions_[uri]}, {"diagnostics", std::move(diagnostics)}};
  send({{"method", "textDocument/publishDiagnostics"}, {"params", params}});
}

Json Server::range_json(const Range& range) {
  const auto position = [](Position p) { return Json{{"line", p.line}, {"character", p.character}}; };
  return {{"start", position(range.start)}, {"end", position(range.end)}};
}

Json Server::range_json(const Snapshot& snapshot, SourceSpan span) const {
  return range_json(snapshot.lines().range(span, encoding_));
}

// In the text itself, or in a file that it imports.
Json Server::location_json(const std::string& uri, const Snapshot& snapshot, const ir::SourcePlace& place) const {
  if (place.file == nullptr || place.file == &snapshot.source())
    return {{"uri", uri}, {"range", range_json(snapshot, place.span)}};
  const Range range = LineIndex(place.file->text()).range(place.span, encoding_);
  return {{"uri", uri_of_path(place.file->name())}, {"range", range_json(range)}};
}

Json Server::diagnostic_json(const std::string& uri, const Snapshot& snapshot, const ir::Diagnostic& finding,
                             const ir::Diagnostics& all) const {
  const ir::SourcePlace place = all.place_of(snapshot.source(), finding.span);
  const bool imported = !all.is_in_main(finding.span);
  std::string message = finding.hint.empty() ? finding.message : finding.message + "\nhint: " + finding.hint;
  SourceSpan shown = finding.span;
  if (imported) {  // it is shown at the imports, which is what the author of this text can see of it
    const std::vector<ImportOutline>& imports = snapshot.outline().imports;
    shown = imports.empty() ? SourceSpan{} : imports.front().span;
    message = "in an imported file: " + message;
  }
  Json out = {{"range", range_json(snapshot, shown)},
              {"severity", severity_number(finding.severity)},
              {"code", finding.code},
              {"source", "moec"},
              {"message", message}};
  const std::filesystem::path page = std::filesystem::path(options_.code_pages) / (finding.code + ".md");
  std::error_code error;
  if (!options_.code_pages.empty() && std::filesystem::exists(page, error))
    out["codeDescription"] = {{"href", uri_of_path(page.string())}};
  Json related = Json::array();
  if (imported) related.push_back({{"location", location_json(uri, snapshot, place)}, {"message", "it is here"}});
  if (!finding.related_span.is_default()) {
    const ir::SourcePlace second = all.place_of(snapshot.source(), finding.related_span);
    related.push_back({{"location", location_json(uri, snapshot, second)}, {"message", finding.related_message}});
  }
  if (!related.empty()) out["relatedInformation"] = std::move(related);
  return out;
}

}  // namespace moe::lsp
