// SPDX-License-Identifier: Apache-2.0
// A session with the real `moec lsp`, as an editor has it: the handshake, findings while typing, and every request.
//   tools_lsp_session_test MOEC
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/tools/lsp_client.h"

namespace {

using moe::test::apply_edits;
using moe::test::Cursor;
using moe::test::cursor_in;
using moe::test::Json;
using moe::test::LspClient;

std::string moec;  // the program under test

const std::string kUri = "file:///policies/p.moe";
const std::string kGood = "policy p {\n  cache { capacity = 8 }\n}\n";

Json change(Json range, const std::string& text) {
  Json out = {{"text", text}};
  if (!range.is_null()) out["range"] = std::move(range);
  return out;
}

Json range(int line, int from, int to_line, int to) {
  return {{"start", {{"line", line}, {"character", from}}}, {"end", {{"line", to_line}, {"character", to}}}};
}

Json did_change(int version, std::initializer_list<Json> changes) {
  return {{"textDocument", {{"uri", kUri}, {"version", version}}}, {"contentChanges", Json(changes)}};
}

// A text with the cursor at `$`, asked one thing. The whole response.
Json ask(LspClient& client, const std::string& method, const std::string& marked) {
  const Cursor cursor = cursor_in(marked);
  client.open(kUri, cursor.text);
  return client.request(method, {{"textDocument", {{"uri", kUri}}}, {"position", cursor.position}});
}

Json labelled(const Json& items, const std::string& label) {
  for (const Json& item : items) {
    if (item.at("label") == label) return item;
  }
  return nullptr;
}

std::vector<std::string> codes(const Json& diagnostics) {
  std::vector<std::string> out;
  for (const Json& d : diagnostics) out.push_back(d.at("code"));
  return out;
}

}  // namespace

TEST_CASE("the handshake, and the end") {
  LspClient client(moec);
  CHECK(client.request("textDocument/hover", Json::object()).at("error").at("code") == -32002);
  const Json capabilities = client.start();
  CHECK(capabilities.at("positionEncoding") == "utf-16");
  CHECK(capabilities.at("textDocumentSync").at("change") == 2);
  for (const char* name : {"hoverProvider", "definitionProvider", "documentFormattingProvider"})
    CHECK(capabilities.at(name) == true);
  CHECK(capabilities.contains("completionProvider"));
  CHECK(capabilities.contains("codeActionProvider"));
  CHECK(client.request("initialize", Json::object()).at("error").at("code") == -32600);
  CHECK(client.request("textDocument/rename", Json::object()).at("error").at("code") == -32601);
  client.notify("$/setTrace", {{"value", "off"}});  // what it does not know it ignores
  const Json stopped = client.request("shutdown", nullptr);
  CHECK(stopped.at("result").is_null());
  CHECK(client.request("textDocument/hover", Json::object()).at("error").at("code") == -32600);
  client.notify("exit", nullptr);
  CHECK(client.wait() == 0);
}

TEST_CASE("an end without a shutdown is a failure") {
  LspClient exits(moec);
  exits.start();
  exits.notify("exit", nullptr);
  CHECK(exits.wait() == 1);
  LspClient closes(moec);
  closes.start();
  closes.close_input();
  CHECK(closes.wait() == 1);
}

TEST_CASE("findings while typing") {
  LspClient client(moec);
  client.start();
  client.open(kUri, kGood);
  CHECK(client.diagnostics_of(kUri).empty());

  // One letter is changed: `eviction = lur` after the capacity.
  client.notify("textDocument/didChange", did_change(2, {change(range(1, 22, 1, 22), "  eviction = lur")}));
  const Json typed = client.diagnostics_of(kUri);
  REQUIRE(codes(typed) == std::vector<std::string>{"MOE2003"});
  CHECK(typed[0].at("range") == range(1, 35, 1, 38));
  CHECK(typed[0].at("severity") == 1);
  CHECK(typed[0].at("source") == "moec");
  CHECK(typed[0].at("message").get<std::string>().find("did you mean `lru`?") != std::string::npos);

  // Several changes in one message, each seeing the one before; then the whole text.
  client.notify("textDocument/didChange",
                did_change(3, {change(range(1, 35, 1, 38), "lru"), change(range(1, 21, 1, 22), "x")}));
  CHECK(client.diagnostics_of(kUri).size() == 1);
  client.notify("textDocument/didChange", did_change(4, {change(nullptr, kGood)}));
  CHECK(client.diagnostics_of(kUri).empty());

  // A second place, and a warning.
  client.notify(
      "textDocument/didChange",
      did_change(5, {change(nullptr, "policy p { cache { capacity = 8 capacity = 9 ttl = 4 freq_window = 9 } }")}));
  const Json twice = client.diagnostics_of(kUri);
  REQUIRE(twice.size() >= 2);
  CHECK(twice[0].at("code") == "MOE2006");
  REQUIRE(twice[0].contains("relatedInformation"));
  CHECK(twice[0]["relatedInformation"][0]["location"]["range"] == range(0, 19, 0, 27));
  CHECK(twice[0]["relatedInformation"][0]["location"]["uri"] == kUri);

  client.notify("textDocument/didSave", {{"textDocument", {{"uri", kUri}}}});
  client.notify("textDocument/didClose", {{"textDocument", {{"uri", kUri}}}});
  CHECK(client.diagnostics_of(kUri).empty());
  const Json after = client.request("textDocument/hover",
                                    {{"textDocument", {{"uri", kUri}}}, {"position", {{"line", 0}, {"character", 0}}}});
  CHECK(after.at("result").is_null());
}

TEST_CASE("of a burst of changes the last is checked") {
  LspClient client(moec);
  client.start();
  client.open(kUri, kGood);
  CHECK(client.diagnostics_of(kUri).empty());
  std::string burst;
  for (int version = 2; version < 200; ++version) {
    const std::string text =
        version == 199 ? kGood : "policy p { cache { capacity = " + std::to_string(version) + " x = 1 } }";
    const Json message = {{"jsonrpc", "2.0"},
                          {"method", "textDocument/didChange"},
                          {"params", did_change(version, {change(nullptr, text)})}};
    const std::string body = message.dump();
    burst += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  client.send_bytes(burst);
  size_t published = 0;
  while (true) {
    const Json params = client.next_notification("textDocument/publishDiagnostics");
    ++published;
    if (params.at("version") == 199) {
      CHECK(params.at("diagnostics").empty());
      break;
    }
  }
  CHECK(published < 190);
}

TEST_CASE("a script that writes everything at once is answered in full") {
  LspClient client(moec);
  std::string all;
  const auto add = [&](const Json& message) {
    const std::string body = message.dump();
    all += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  add({{"jsonrpc", "2.0"}, {"id", 1}, {"method", "initialize"}, {"params", {{"capabilities", Json::object()}}}});
  add({{"jsonrpc", "2.0"},
       {"method", "textDocument/didOpen"},
       {"params",
        {{"textDocument", {{"uri", kUri}, {"languageId", "moe"}, {"version", 7}, {"text", "policy p { }"}}}}}});
  add({{"jsonrpc", "2.0"}, {"id", "two"}, {"method", "shutdown"}});
  add({{"jsonrpc", "2.0"}, {"method", "exit"}});
  client.send_bytes(all);
  CHECK(client.next_message().at("id") == 1);
  const Json found = client.next_message().at("params");
  CHECK(found.at("version") == 7);
  CHECK(codes(found.at("diagnostics")) == std::vector<std::string>{"MOE2010"});
  CHECK(client.next_message().at("id") == "two");
  CHECK(client.next_message().is_null());
  CHECK(client.wait() == 0);
}

TEST_CASE("positions in UTF-16, and in UTF-8 where the client prefers it") {
  // Four bytes and two units before the guilty word.
  const std::string text = "policy p { cache { capacity = 8 } } # \xF0\x9F\x98\x80\n/* \xF0\x9F\x98\x80 */ x";
  for (const bool utf8 : {false, true}) {
    LspClient client(moec);
    Json wanted = Json::object();
    if (utf8) wanted = {{"general", {{"positionEncodings", {"utf-8", "utf-16"}}}}};
    const Json capabilities = client.start(wanted);
    CHECK(capabilities.at("positionEncoding") == (utf8 ? "utf-8" : "utf-16"));
    client.open(kUri, text);
    const Json found = client.diagnostics_of(kUri);
    REQUIRE(codes(found).at(0) == "MOE1012");
    CHECK(found[0].at("range") == range(1, 0, 1, utf8 ? 10 : 8));
    // A change behind the emoji lands where it should: the comment's end becomes `x`-less.
    client.notify("textDocument/didChange", did_change(2, {change(range(1, 0, 1, utf8 ? 12 : 10), "")}));
    CHECK(client.diagnostics_of(kUri).empty());
  }
}

TEST_CASE("hover, completion and definition over the wire") {
  LspClient client(moec);
  client.start({{"textDocument", {{"completion", {{"completionItem", {{"snippetSupport", true}}}}}}}});
  const Json hover = ask(client, "textDocument/hover", "policy p {\n  cache { evic$tion = lru }\n}").at("result");
  CHECK(hover.at("contents").at("kind") == "markdown");
  CHECK(hover.at("contents").at("value").get<std::string>().find("Who leaves") != std::string::npos);
  CHECK(hover.at("range") == range(1, 10, 1, 18));

  const Json keys = ask(client, "textDocument/completion", "policy p {\n  cache { capacity = 8 ev$\n").at("result");
  const Json eviction = labelled(keys, "eviction");
  REQUIRE(!eviction.is_null());
  CHECK(eviction.at("textEdit").at("range") == range(1, 23, 1, 25));
  CHECK(eviction.at("textEdit").at("newText") == "eviction = $0");
  CHECK(eviction.at("insertTextFormat") == 2);
  CHECK(eviction.at("documentation").at("value").get<std::string>().find("Who leaves") != std::string::npos);
  CHECK(labelled(keys, "capacity").is_null());
  const Json words = ask(client, "textDocument/completion", "policy p { cache { eviction = $ } }").at("result");
  CHECK(labelled(words, "s3_fifo").at("textEdit").at("newText") == "s3_fifo");

  const Json let =
      ask(client, "textDocument/definition", "policy p {\n  let hot = freq\n  cache { eviction = least(h$ot) }\n}")
          .at("result");
  CHECK(let.at("uri") == kUri);
  CHECK(let.at("range") == range(1, 6, 1, 9));
  CHECK(ask(client, "textDocument/definition", "policy p { cache { eviction = $lru } }").at("result").is_null());
}

TEST_CASE("without snippets only labels are inserted") {
  LspClient client(moec);
  client.start();
  const Json keys = ask(client, "textDocument/completion", "policy p { $ }").at("result");
  CHECK(labelled(keys, "cache").at("textEdit").at("newText") == "cache");
  CHECK(labelled(keys, "cache").at("insertTextFormat") == 1);
}

TEST_CASE("imports and pages of findings, from the folders that were named") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("moe lsp session." + std::to_string(getpid()));
  fs::create_directories(folder / "std");
  std::ofstream(folder / "std" / "far.moe") << "policy far { cache { capacity = 8 } }\n";
  std::ofstream(folder / "MOE2003.md") << "# MOE2003\n";
  LspClient client(moec, {"--stdio", "--std", (folder / "std").string(), "--pages", folder.string()});
  client.start();
  const std::string marked = "import \"std/far.moe\"\npolicy p extends f$ar { }\n";
  const Json far = ask(client, "textDocument/definition", marked).at("result");
  const std::string uri = far.at("uri");
  CHECK(uri.ends_with("/moe%20lsp%20session." + std::to_string(getpid()) + "/std/far.moe"));
  CHECK(far.at("range") == range(0, 7, 0, 10));
  const Json file = ask(client, "textDocument/definition", "import \"std/f$ar.moe\"\npolicy p { }\n").at("result");
  CHECK(file.at("uri") == uri);
  client.open(kUri, "policy p { cache { capacity = 8 eviction = lur } } policy q { cahce { } }");
  Json found;
  do {
    found = client.diagnostics_of(kUri);
  } while (codes(found).empty() || codes(found)[0] != "MOE2003");
  CHECK(found[0].at("codeDescription").at("href").get<std::string>().ends_with("/MOE2003.md"));
  CHECK_FALSE(found[1].contains("codeDescription"));  // there is no page of that name
  fs::remove_all(folder);
}

TEST_CASE("what is wrong in an imported text is shown at the import, and follows that text as it is typed") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("moe_lsp_open." + std::to_string(getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "base.moe") << "policy base { cache { capacity = 8 } }\n";
  const std::string base = "file://" + (folder / "base.moe").string();
  const std::string main = "file://" + (folder / "main.moe").string();
  LspClient client(moec);
  client.start();
  client.open(main, "import \"base.moe\"\npolicy p extends base { }\n");
  CHECK(client.diagnostics_of(main).empty());
  client.open(base, "policy base { cache { capacity = 8 eviction = lur } }\n");  // not saved
  const Json found = client.diagnostics_of(main);
  REQUIRE(codes(found) == std::vector<std::string>{"MOE2003"});
  CHECK(found[0].at("range") == range(0, 7, 0, 17));
  CHECK(found[0]["relatedInformation"][0]["location"]["uri"] == base);
  CHECK(found[0]["relatedInformation"][0]["location"]["range"] == range(0, 46, 0, 49));
  client.open(base, "policy base { cache { capacity = 8 eviction = lru } }\n");
  CHECK(client.diagnostics_of(main).empty());
  fs::remove_all(folder);
}

TEST_CASE("quick fixes are edits that the editor can apply") {
  LspClient client(moec);
  client.start();
  const std::string text = "policy p {\n  cahce { capacity = 8 }\n  schedule { overlap = yes }\n}\n";
  client.open(kUri, text);
  CHECK_FALSE(client.diagnostics_of(kUri).empty());
  const Json whole = {
      {"textDocument", {{"uri", kUri}}}, {"range", range(0, 0, 4, 0)}, {"context", {{"diagnostics", Json::array()}}}};
  const Json actions = client.request("textDocument/codeAction", whole).at("result");
  REQUIRE(actions.size() == 2);
  std::string fixed = text;
  Json edits = Json::array();
  for (const Json& action : actions) {
    CHECK(action.at("kind") == "quickfix");
    CHECK(action.at("diagnostics").size() == 1);
    for (const Json& edit : action.at("edit").at("changes").at(kUri)) edits.push_back(edit);
  }
  CHECK(apply_edits(text, edits) == "policy p {\n  cache { capacity = 8 }\n  schedule { overlap = true }\n}\n");
  const Json elsewhere = {
      {"textDocument", {{"uri", kUri}}}, {"range", range(0, 0, 0, 3)}, {"context", {{"diagnostics", Json::array()}}}};
  CHECK(client.request("textDocument/codeAction", elsewhere).at("result").empty());
}

TEST_CASE("formatting is what `moec fmt` does, and leaves alone what it does not understand") {
  LspClient client(moec);
  client.start();
  const std::string text = "# caf\n\npolicy   p{\ncache{capacity=8   # eight\n   eviction=lru}\n\n\n\n}";
  client.open(kUri, text);
  const Json params = {{"textDocument", {{"uri", kUri}}}, {"options", {{"tabSize", 8}, {"insertSpaces", false}}}};
  const Json edits = client.request("textDocument/formatting", params).at("result");
  REQUIRE(edits.is_array());
  const std::string formatted = apply_edits(text, edits);
  CHECK(formatted == "# caf\n\npolicy p {\n  cache {\n    capacity = 8  # eight\n    eviction = lru\n  }\n}\n");
  client.open(kUri, formatted);
  CHECK(client.request("textDocument/formatting", params).at("result") == Json::array());
  client.open(kUri, "policy p { cache { capacity = = } ");
  CHECK(client.request("textDocument/formatting", params).at("result").is_null());
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  moec = argv[1];
  doctest::Context context(argc - 1, argv + 1);
  return context.run();
}
