// SPDX-License-Identifier: Apache-2.0
// SARIF logs against the 2.1.0 standard: properties, types and values of every object that we write, taken from the
// schema and the text; columns against an independent conversion to UTF-16; fixes by applying them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "frontend/frontend.h"
#include "ir/fix.h"
#include "ir/sarif.h"
#include "tests/frontend/support.h"

namespace {

using moe::ir::Diagnostic;
using moe::ir::Diagnostics;
using moe::ir::FileFindings;
using moe::ir::SourceFile;
using Json = nlohmann::json;

Diagnostics findings_of(const SourceFile& file) {
  Diagnostics diagnostics;
  (void)moe::frontend::compile_to_ir(file, {}, diagnostics);
  return diagnostics;
}

Json log_of(const std::vector<SourceFile>& files, const std::vector<std::string>& failures = {}) {
  std::vector<Diagnostics> findings;
  for (const SourceFile& file : files) findings.push_back(findings_of(file));
  std::vector<FileFindings> pairs;
  for (size_t i = 0; i < files.size(); ++i) pairs.push_back({&files[i], &findings[i]});
  return Json::parse(moe::ir::render_sarif(pairs, failures, "1.2.3"));
}

/// The objects of the standard that a log of ours holds: each property with the object or type it has. `!` marks those
/// that the schema requires, and those that the standard's text requires of a log like ours.
const std::map<std::string, std::map<std::string, std::string>>& schema() {
  static const std::map<std::string, std::map<std::string, std::string>> kSchema = {
      {"sarifLog", {{"$schema", "string"}, {"version", "!string"}, {"runs", "![run]"}}},
      {"run",
       {{"tool", "!tool"},
        {"invocations", "[invocation]"},
        {"artifacts", "[artifact]"},
        {"results", "![result]"},
        {"columnKind", "!string"}}},
      {"tool", {{"driver", "!toolComponent"}}},
      {"toolComponent",
       {{"name", "!string"}, {"version", "string"}, {"semanticVersion", "string"}, {"rules", "[reportingDescriptor]"}}},
      {"reportingDescriptor",
       {{"id", "!string"},
        {"shortDescription", "multiformatMessageString"},
        {"fullDescription", "multiformatMessageString"},
        {"help", "multiformatMessageString"}}},
      {"multiformatMessageString", {{"text", "!string"}}},
      {"invocation", {{"executionSuccessful", "!boolean"}, {"toolExecutionNotifications", "[notification]"}}},
      {"notification", {{"level", "string"}, {"message", "!message"}}},
      {"artifact", {{"location", "artifactLocation"}, {"roles", "[string]"}, {"sourceLanguage", "string"}}},
      {"artifactLocation", {{"uri", "string"}, {"index", "integer"}}},
      {"result",
       {{"ruleId", "!string"},
        {"ruleIndex", "integer"},
        {"level", "string"},
        {"message", "!message"},
        {"locations", "![location]"},
        {"relatedLocations", "[location]"},
        {"fixes", "[fix]"}}},
      {"message", {{"text", "!string"}}},
      {"location", {{"physicalLocation", "!physicalLocation"}, {"message", "message"}}},
      {"physicalLocation", {{"artifactLocation", "!artifactLocation"}, {"region", "region"}}},
      {"region",
       {{"startLine", "!integer"},
        {"startColumn", "!integer"},
        {"endLine", "!integer"},
        {"endColumn", "!integer"},
        {"byteOffset", "!integer"},
        {"byteLength", "!integer"}}},
      {"fix", {{"description", "message"}, {"artifactChanges", "![artifactChange]"}}},
      {"artifactChange", {{"artifactLocation", "!artifactLocation"}, {"replacements", "![replacement]"}}},
      {"replacement", {{"deletedRegion", "!region"}, {"insertedContent", "artifactContent"}}},
      {"artifactContent", {{"text", "string"}}},
  };
  return kSchema;
}

void check_type(const Json& json, std::string type);

void check_object(const Json& json, const std::string& type) {
  REQUIRE_MESSAGE(json.is_object(), type);
  const auto& properties = schema().at(type);
  for (const auto& [name, value] : json.items()) {
    INFO(type << "." << name);
    REQUIRE_MESSAGE(properties.count(name) == 1, type << " has no property " << name);
    std::string of = properties.at(name);
    if (of.front() == '!') of.erase(0, 1);
    check_type(value, of);
  }
  for (const auto& [name, of] : properties) {
    if (of.front() == '!') CHECK_MESSAGE(json.contains(name), type << " lacks " << name);
  }
}

void check_type(const Json& json, std::string type) {
  if (type.front() == '[') {
    REQUIRE(json.is_array());
    for (const Json& one : json) check_type(one, type.substr(1, type.size() - 2));
  } else if (type == "string") {
    CHECK(json.is_string());
  } else if (type == "integer") {
    CHECK(json.is_number_unsigned());
  } else if (type == "boolean") {
    CHECK(json.is_boolean());
  } else {
    check_object(json, type);
  }
}

/// 3.11.5: no single brace in a message string.
bool braces_are_doubled(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{' && text[i] != '}') continue;
    if (i + 1 >= text.size() || text[i + 1] != text[i]) return false;
    ++i;
  }
  return true;
}

std::u16string utf16_of(std::string_view utf8) {
  std::u16string out;
  for (size_t i = 0; i < utf8.size();) {
    const auto byte = [&](size_t k) { return static_cast<unsigned char>(utf8[k]); };
    const size_t length = byte(i) < 0x80 ? 1 : byte(i) < 0xE0 ? 2 : byte(i) < 0xF0 ? 3 : 4;
    uint32_t point = length == 1 ? byte(i) : byte(i) & (0x7FU >> length);
    for (size_t k = 1; k < length; ++k) point = point << 6U | (byte(i + k) & 0x3FU);
    if (point >= 0x10000) {
      out += static_cast<char16_t>(0xD800 + ((point - 0x10000) >> 10U));
      out += static_cast<char16_t>(0xDC00 + ((point - 0x10000) & 0x3FFU));
    } else {
      out += static_cast<char16_t>(point);
    }
    i += length;
  }
  return out;
}

/// The region's text by lines and columns, as a viewer finds it, and by bytes: they agree.
void check_region(const Json& region, std::string_view text) {
  const std::u16string by_bytes = utf16_of(text.substr(region.at("byteOffset"), region.at("byteLength")));
  const std::u16string all = utf16_of(text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text);
  const auto offset = [&](uint32_t line, uint32_t column) {
    REQUIRE(line >= 1);
    REQUIRE(column >= 1);
    size_t at = 0;
    for (uint32_t i = 1; i < line; ++i) at = all.find(u'\n', at) + 1;
    return at + column - 1;
  };
  const size_t begin = offset(region.at("startLine"), region.at("startColumn"));
  const size_t end = offset(region.at("endLine"), region.at("endColumn"));
  REQUIRE(begin <= end);
  REQUIRE(end <= all.size());
  CHECK(all.substr(begin, end - begin) == by_bytes);
}

/// An artifactLocation, and beside it a region of that artifact's text. `files` are the artifacts.
void check_place(const Json& run, const Json& place, const char* region, const std::vector<SourceFile>& files) {
  const size_t artifact = place.at("artifactLocation").at("index");
  CHECK(run.at("artifacts").at(artifact).at("location").at("uri") == place.at("artifactLocation").at("uri"));
  if (place.contains(region)) check_region(place.at(region), files.at(artifact).text());
}

void check_log(const Json& log, const std::vector<SourceFile>& files) {
  check_object(log, "sarifLog");
  CHECK(log.at("version") == "2.1.0");
  REQUIRE(log.at("runs").size() == 1);
  const Json& run = log.at("runs")[0];
  CHECK(run.at("columnKind") == "utf16CodeUnits");
  const Json& rules = run.at("tool").at("driver").at("rules");
  for (const Json& rule : rules) {
    CHECK(rule.at("shortDescription").at("text") != "");
    for (const char* text : {"shortDescription", "fullDescription", "help"}) {
      CHECK(braces_are_doubled(rule.at(text).at("text").get<std::string>()));
    }
  }
  for (const Json& result : run.at("results")) {
    CHECK(rules.at(result.at("ruleIndex").get<size_t>()).at("id") == result.at("ruleId"));
    const std::string level = result.at("level");
    CHECK((level == "error" || level == "warning" || level == "note"));
    CHECK(braces_are_doubled(result.at("message").at("text")));
    REQUIRE(result.at("locations").size() == 1);
    check_place(run, result.at("locations")[0].at("physicalLocation"), "region", files);
    for (const Json& related : result.value("relatedLocations", Json::array())) {
      CHECK(related.at("message").at("text") != "");
      check_place(run, related.at("physicalLocation"), "region", files);
    }
    for (const Json& fix : result.value("fixes", Json::array())) {
      REQUIRE(fix.at("artifactChanges").size() == 1);
      const Json& change = fix.at("artifactChanges")[0];
      REQUIRE(change.at("replacements").size() == 1);
      Json place = change.at("replacements")[0];
      place["artifactLocation"] = change.at("artifactLocation");
      check_place(run, place, "deletedRegion", files);
    }
  }
}

size_t count(const Diagnostics& findings, std::string_view code) {
  return static_cast<size_t>(std::count_if(findings.items().begin(), findings.items().end(),
                                           [code](const Diagnostic& d) { return d.code.starts_with(code); }));
}

}  // namespace

TEST_CASE("the log of all golden policies is as the standard wants it") {
  std::vector<SourceFile> files;
  size_t index = 0;
  for (const std::string& text : moe::test::golden_texts()) {
    files.emplace_back("policies/" + std::to_string(index++) + ".moe", text);
  }
  const Json log = log_of(files);
  check_log(log, files);
  size_t expected = 0;
  for (const SourceFile& file : files) expected += findings_of(file).items().size();
  CHECK(log.at("runs")[0].at("results").size() == expected);
  CHECK(log.at("runs")[0].at("artifacts").size() == files.size());
  CHECK(log.at("runs")[0].at("invocations")[0].at("executionSuccessful") == true);
}

TEST_CASE("every field of one finding") {
  const std::vector<SourceFile> files = {
      SourceFile("a b.moe", "policy p {  # \xF0\x9F\x98\x80\n  cache { capacity: 8 }\n}\n"),
      SourceFile("/x/y.moe", "policy p { cache { pin = [\n\"\xC3\xA9\xF0\x9F\x98\x80\", 1 ] capacity = 8 } }"),
      SourceFile("e.moe", "")};
  const Json log = log_of(files, {"cannot open `z {`"});
  check_log(log, files);
  const Json& run = log.at("runs")[0];
  CHECK(run.at("tool").at("driver").at("name") == "moec");
  CHECK(run.at("tool").at("driver").at("version") == "1.2.3");
  CHECK(run.at("artifacts")[0].at("location").at("uri") == "a%20b.moe");
  CHECK(run.at("artifacts")[1].at("location").at("uri") == "file:///x/y.moe");
  CHECK(run.at("invocations")[0].at("executionSuccessful") == false);
  CHECK(run.at("invocations")[0].at("toolExecutionNotifications")[0].at("message").at("text") == "cannot open `z {{`");

  REQUIRE(run.at("results").size() == 3);
  const Json& colon = run.at("results")[0];
  CHECK(colon.at("ruleId") == "MOE1022");
  CHECK(colon.at("level") == "error");
  const Json region = {{"startLine", 2},  {"startColumn", 19}, {"endLine", 2},
                       {"endColumn", 20}, {"byteOffset", 37},  {"byteLength", 1}};
  CHECK(colon.at("locations")[0].at("physicalLocation").at("region") == region);
  const Json& change = colon.at("fixes")[0].at("artifactChanges")[0];
  CHECK(change.at("replacements")[0].at("deletedRegion") == region);
  CHECK(change.at("replacements")[0].at("insertedContent").at("text") == " =");
  // The string: é is one UTF-16 unit and two bytes, the face two units and four bytes.
  const Json& text = run.at("results")[1].at("locations")[0].at("physicalLocation").at("region");
  CHECK(text == Json{{"startLine", 2},
                     {"startColumn", 1},
                     {"endLine", 2},
                     {"endColumn", 6},
                     {"byteOffset", 27},
                     {"byteLength", 8}});
  // A finding about the file as a whole has no region.
  CHECK(!run.at("results")[2].at("locations")[0].at("physicalLocation").contains("region"));
}

TEST_CASE("a byte order mark counts as bytes and not as a column") {
  const std::vector<SourceFile> files = {SourceFile("x.moe", "\xEF\xBB\xBFpolicy p { cahce { capacity = 8 } }")};
  const Json log = log_of(files);
  check_log(log, files);
  const Json& region = log.at("runs")[0].at("results")[0].at("locations")[0].at("physicalLocation").at("region");
  CHECK(region.at("byteOffset") > 0);
}

TEST_CASE("findings and fixes in an imported file are there") {
  // Longer lines and more of them than in the importing file; a face before the last finding.
  const std::string imported =
      "# A policy for others to extend.\n"
      "policy base {\n"
      "  cache { capacity = 8 }\n"
      "}\n"
      "policy other {\n"
      "  cache { capacity: 8 pin = [\"\xF0\x9F\x98\x80\"]  ttl = 1 ttl = 2 }\n"
      "}\n";
  const SourceFile main("main.moe",
                        "import \"a.moe\" import \"empty.moe\"\npolicy base extends other { cache { capacity: 8 } }\n");
  moe::test::Imports imports(std::map<std::string, std::string>{{"a.moe", imported}, {"empty.moe", ""}});
  moe::frontend::LowerOptions options;
  options.imports = &imports;
  Diagnostics findings;
  (void)moe::frontend::compile_to_ir(main, options, findings);
  const std::vector<FileFindings> files = {{&main, &findings}};
  const Json log = Json::parse(moe::ir::render_sarif(files, {}, "1.2.3"));
  check_log(log, {main, SourceFile("a.moe", imported), SourceFile("empty.moe", "")});

  const Json& run = log.at("runs")[0];
  CHECK(run.at("artifacts")[0].at("roles") == Json{"analysisTarget"});
  CHECK(run.at("artifacts")[1].at("roles") == Json{"resultFile"});
  std::map<std::string, std::vector<Json>> by_code;
  for (const Json& result : run.at("results")) by_code[result.at("ruleId")].push_back(result);
  const auto place = [](const Json& result) { return result.at("locations")[0].at("physicalLocation"); };
  const auto uri = [](const Json& location) { return location.at("artifactLocation").at("uri"); };

  // The same mistake in both files: each fix is in its own.
  REQUIRE(by_code["MOE1022"].size() == 2);
  for (const Json& colon : by_code["MOE1022"]) {
    const std::string file = uri(place(colon));
    CHECK(place(colon).at("region").at("startLine") == (file == "main.moe" ? 2 : 6));
    CHECK(place(colon).at("region").at("startColumn") == (file == "main.moe" ? 45 : 19));
    CHECK(uri(colon.at("fixes")[0].at("artifactChanges")[0]) == file);
  }
  CHECK(uri(place(by_code["MOE1022"][0])) != uri(place(by_code["MOE1022"][1])));
  // Two places in one imported file, behind the face's two units; and a place here with one there.
  REQUIRE(by_code["MOE2006"].size() == 1);
  CHECK(place(by_code["MOE2006"][0]).at("region").at("startColumn") == 45);
  CHECK(uri(by_code["MOE2006"][0].at("relatedLocations")[0].at("physicalLocation")) == "a.moe");
  REQUIRE(by_code["MOE2008"].size() == 1);
  CHECK(uri(place(by_code["MOE2008"][0])) == "main.moe");
  CHECK(uri(by_code["MOE2008"][0].at("relatedLocations")[0].at("physicalLocation")) == "a.moe");
  // About a file as a whole.
  REQUIRE(by_code["MOE1029"].size() == 1);
  CHECK(uri(place(by_code["MOE1029"][0])) == "empty.moe");
  CHECK(!place(by_code["MOE1029"][0]).contains("region"));
}

TEST_CASE("a file that is named and imported is one artifact, the named one") {
  const SourceFile main("main.moe", "import \"a.moe\" policy b extends a { cache { ttl = 9 } }");
  const SourceFile imported("a.moe", "policy a { cache { capacity: 8 } }");
  moe::test::Imports imports(std::map<std::string, std::string>{{"a.moe", std::string(imported.text())}});
  moe::frontend::LowerOptions options;
  options.imports = &imports;
  Diagnostics of_main;
  (void)moe::frontend::compile_to_ir(main, options, of_main);
  const Diagnostics of_imported = findings_of(imported);
  const std::vector<FileFindings> files = {{&main, &of_main}, {&imported, &of_imported}};
  const Json log = Json::parse(moe::ir::render_sarif(files, {}, "1.2.3"));
  check_log(log, {main, imported});
  REQUIRE(log.at("runs")[0].at("artifacts").size() == 2);
  CHECK(log.at("runs")[0].at("artifacts")[1].at("roles") == Json{"analysisTarget"});
}

TEST_CASE("the same file twice is one artifact, and no file none") {
  const SourceFile file("x.moe", "policy p { cache { capacity = 8 } }");
  CHECK(log_of({file, file}).at("runs")[0].at("artifacts").size() == 1);
  const Json empty = log_of({file});
  check_log(empty, {file});
  CHECK(empty.at("runs")[0].at("results") == Json::array());
  CHECK(log_of({}).at("runs")[0].at("results") == Json::array());
}

TEST_CASE("an applied fix mends its finding") {
  std::map<std::string, size_t> applied;
  for (const std::string& text : moe::test::golden_texts()) {
    const SourceFile file("x.moe", text);
    const Diagnostics before = findings_of(file);
    for (const Diagnostic& finding : before.items()) {
      const auto fix = moe::ir::fix_for(file, finding);
      if (!fix) continue;
      std::string mended = text;
      mended.replace(fix->deleted.begin, fix->deleted.end - fix->deleted.begin, fix->inserted);
      const SourceFile mended_file("x.moe", mended);
      const Diagnostics after = findings_of(mended_file);
      INFO(moe::ir::render_text(file, before, false) << "applied: " << finding.hint << "\n"
                                                     << moe::ir::render_text(mended_file, after, false));
      // Another finding may come to light behind it, but not the same in the same place, and no syntax error.
      for (const Diagnostic& left : after.items()) {
        CHECK(!(left.code == finding.code && left.span.begin == finding.span.begin && left.message == finding.message));
      }
      CHECK(count(after, "MOE1") <= count(before, "MOE1"));
      ++applied[finding.code];
    }
  }
  for (const char* code : {"MOE1010", "MOE1013", "MOE1021", "MOE1022", "MOE1024", "MOE1026", "MOE1027", "MOE2001",
                           "MOE2002", "MOE2003", "MOE2004", "MOE2009", "MOE2013", "MOE2112"}) {
    CHECK_MESSAGE(applied[code] > 0, code);
  }
}

TEST_CASE("a line of a megabyte with hundreds of findings") {
  std::string text = "policy p { cache { ";
  while (text.size() < (size_t{1} << 20U) - 64) text += text.size() < 30000 ? "x = 1 " : "# \xF0\x9F\x98\x80 ";
  const std::vector<SourceFile> files = {SourceFile("x.moe", text)};
  const Json log = log_of(files);
  CHECK(log.at("runs")[0].at("results").size() >= 400);
}
