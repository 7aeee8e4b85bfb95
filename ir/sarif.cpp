// SPDX-License-Identifier: Apache-2.0
#include "ir/sarif.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "ir/fix.h"
#include "ir/pages.h"

namespace moe::ir {
namespace {

using Json = nlohmann::ordered_json;

/// Section 3.11.5: in message strings braces enclose placeholders, so that those of the language are doubled.
Json message(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    escaped += c;
    if (c == '{' || c == '}') escaped += c;
  }
  return {{"text", escaped}};
}

/// A path as a URI reference (RFC 3986): relative paths stay relative.
std::string uri_of(std::string_view path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string uri = path.starts_with('/') ? "file://" : "";
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    const auto byte = static_cast<unsigned char>(c);
    if (plain) {
      uri += c;
    } else {
      uri += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return uri;
}

/// Columns in UTF-16 code units. Remembers the last place: findings come in order, and a line may be a megabyte.
class Columns {
 public:
  explicit Columns(const SourceFile& file) : text_(file.text()) {}

  uint32_t column(uint32_t line_begin, uint32_t offset) {
    if (line_begin != line_begin_ || offset < at_) {
      line_begin_ = at_ = line_begin;
      units_ = 0;
      if (line_begin == 0 && text_.starts_with("\xEF\xBB\xBF")) at_ = 3;
    }
    for (; at_ < std::min<size_t>(offset, text_.size()); ++at_) {
      const auto byte = static_cast<unsigned char>(text_[at_]);
      if ((byte & 0xC0U) != 0x80) units_ += byte >= 0xF0 ? 2 : 1;  // beyond U+FFFF: a surrogate pair
    }
    return units_ + 1;
  }

 private:
  std::string_view text_;
  uint32_t line_begin_ = ~uint32_t{0};
  uint32_t at_ = 0;
  uint32_t units_ = 0;
};

std::string_view level_of(Severity severity) {
  if (severity == Severity::error) return "error";
  return severity == Severity::warning ? "warning" : "note";
}

/// The artifacts that results are in; the same file may have been named twice, or named and imported.
class Artifacts {
 public:
  enum class Role { target, imported };

  size_t index_of(const SourceFile& file, Role role) {
    const auto [known, is_new] = index_.emplace(file.name(), index_.size());
    if (is_new) {
      // Section 3.24.6: `resultFile` is one that holds a result and that nobody asked to have analysed.
      json_.push_back({{"location", {{"uri", uri_of(file.name())}}},
                       {"roles", Json::array({role == Role::target ? "analysisTarget" : "resultFile"})},
                       {"sourceLanguage", "moe"}});
    }
    return known->second;
  }
  Json take() { return std::move(json_); }

 private:
  std::map<std::string, size_t> index_;
  Json json_ = Json::array();
};

/// Places in one file.
class FileRenderer {
 public:
  FileRenderer(const SourceFile& file, size_t index) : file_(file), index_(index), columns_(file) {}

  /// A finding without a place is about the file.
  Json location(SourceSpan span) {
    Json physical = {{"artifactLocation", artifact()}};
    if (!span.is_default()) physical["region"] = region(span);
    return {{"physicalLocation", std::move(physical)}};
  }

  Json fix_json(const Fix& fix, std::string_view hint) {
    Json replacement = {{"deletedRegion", region(fix.deleted)}};
    if (!fix.inserted.empty()) replacement["insertedContent"] = {{"text", fix.inserted}};
    Json change = {{"artifactLocation", artifact()}, {"replacements", Json::array({std::move(replacement)})}};
    return {{"description", message(hint)}, {"artifactChanges", Json::array({std::move(change)})}};
  }

 private:
  Json artifact() const { return {{"uri", uri_of(file_.name())}, {"index", index_}}; }

  Json region(SourceSpan span) {
    const LineColumn from = file_.locate(span.begin);
    const LineColumn to = file_.locate(std::max(span.begin, span.end));
    const uint32_t end = std::max(span.begin, span.end);
    return {{"startLine", from.line},   {"startColumn", columns_.column(span.begin - (from.column - 1), span.begin)},
            {"endLine", to.line},       {"endColumn", columns_.column(end - (to.column - 1), end)},
            {"byteOffset", span.begin}, {"byteLength", end - span.begin}};
  }

  const SourceFile& file_;
  size_t index_;
  Columns columns_;
};

/// The results of one file and of what it imports: each is where its finding is.
class FindingsRenderer {
 public:
  FindingsRenderer(const FileFindings& findings, Artifacts& artifacts) : findings_(findings), artifacts_(artifacts) {}

  Json result(const Diagnostic& finding, size_t rule_index) {
    const std::string text = finding.hint.empty() ? finding.message : finding.message + "; " + finding.hint;
    const SourcePlace at = findings_.findings->place_of(*findings_.file, finding.span);
    Json result = {{"ruleId", finding.code}, {"ruleIndex", rule_index}, {"level", level_of(finding.severity)}};
    result["message"] = message(text);
    result["locations"] = Json::array({renderer_of(*at.file).location(at.span)});
    if (!finding.related_span.is_default()) {
      const SourcePlace other = findings_.findings->place_of(*findings_.file, finding.related_span);
      Json related = renderer_of(*other.file).location(other.span);
      related["message"] = message(finding.related_message);
      result["relatedLocations"] = Json::array({std::move(related)});
    }
    Diagnostic in_file = finding;
    in_file.span = at.span;
    if (const std::optional<Fix> fix = fix_for(*at.file, in_file)) {
      result["fixes"] = Json::array({renderer_of(*at.file).fix_json(*fix, finding.hint)});
    }
    return result;
  }

 private:
  FileRenderer& renderer_of(const SourceFile& file) {
    const auto known = renderers_.find(&file);
    if (known != renderers_.end()) return known->second;
    const size_t index = artifacts_.index_of(file, Artifacts::Role::imported);
    return renderers_.emplace(&file, FileRenderer(file, index)).first->second;
  }

  const FileFindings& findings_;
  Artifacts& artifacts_;
  std::map<const SourceFile*, FileRenderer> renderers_;
};

/// The paragraph after the title.
std::string_view meaning_of(const DiagnosticPage& page) {
  const size_t begin = page.text.find("\n\n") + 2;
  return page.text.substr(begin, page.text.find("\n\n", begin) - begin);
}

Json rule_json(const std::string& code) {
  Json rule = {{"id", code}};
  const DiagnosticPage* page = find_page(code);
  if (page == nullptr) return rule;
  rule["shortDescription"] = message(page->title);
  rule["fullDescription"] = message(meaning_of(*page));
  // No helpUri: it would have to be absolute (section 3.49.12), and the page is here.
  rule["help"] = message("`moec explain " + code + "` prints an example and how to mend it; docs/diagnostics/" + code +
                         ".md is the same page.");
  return rule;
}

Json invocation_json(std::span<const std::string> failures) {
  Json invocation = {{"executionSuccessful", failures.empty()}};
  for (const std::string& failure : failures) {
    invocation["toolExecutionNotifications"].push_back({{"level", "error"}, {"message", message(failure)}});
  }
  return invocation;
}

}  // namespace

std::string render_sarif(std::span<const FileFindings> files, std::span<const std::string> failures,
                         std::string_view version) {
  std::set<std::string> codes;
  for (const FileFindings& one : files) {
    for (const Diagnostic& finding : one.findings->items()) codes.insert(finding.code);
  }
  Json rules = Json::array();
  for (const std::string& code : codes) rules.push_back(rule_json(code));

  Json results = Json::array();
  Artifacts artifacts;
  // First, so that a file that is both named and imported counts as named.
  for (const FileFindings& one : files) (void)artifacts.index_of(*one.file, Artifacts::Role::target);
  for (const FileFindings& one : files) {
    FindingsRenderer renderer(one, artifacts);
    for (const Diagnostic& finding : one.findings->items()) {
      const auto rule = static_cast<size_t>(std::distance(codes.begin(), codes.find(finding.code)));
      results.push_back(renderer.result(finding, rule));
    }
  }
  Json driver = {{"name", "moec"}, {"version", version}, {"semanticVersion", version}, {"rules", std::move(rules)}};
  Json run = {{"tool", {{"driver", std::move(driver)}}},
              {"invocations", Json::array({invocation_json(failures)})},
              {"artifacts", artifacts.take()},
              {"results", std::move(results)},
              {"columnKind", "utf16CodeUnits"}};
  const Json log = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                    {"version", "2.1.0"},
                    {"runs", Json::array({std::move(run)})}};
  // A file name or a quoted word need not be UTF-8; the output always is.
  return log.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moe::ir
