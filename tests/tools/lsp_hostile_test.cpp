// SPDX-License-Identifier: Apache-2.0
// What no editor sends: `moec lsp` answers it with an error, or ends in good order, and never falls over.
//   tools_lsp_hostile_test MOEC
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <chrono>
#include <random>

#include "tests/tools/lsp_client.h"

namespace {

using moe::test::Json;
using moe::test::LspClient;

std::string moec;  // the program under test

const std::string kUri = "file:///p.moe";

std::string framed(const std::string& body) {
  return "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Whether it still serves: an answer to a request that only makes sense while it does.
void check_alive(LspClient& client) {
  CHECK(client.request("textDocument/nosuch", Json::object()).at("error").at("code") == -32601);
}

void expect_error(LspClient& client, int code) {
  const Json message = client.next_message();
  REQUIRE(message.is_object());
  REQUIRE(message.contains("error"));
  CHECK(message.at("id").is_null());
  CHECK(message.at("error").at("code") == code);
}

}  // namespace

TEST_CASE("bodies that are no JSON, or no message") {
  LspClient client(moec);
  client.start();
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  for (const std::string& body :
       {std::string("{"), std::string(), std::string("\xFF\xFE"), std::string("{\"a\":\"\xC3\"}"),
        std::string("nonsense"), deep, std::string(100000, '{'), std::string("\"\\ud800\"")}) {
    client.send_bytes(framed(body));
    expect_error(client, -32700);
  }
  for (const std::string body :
       {"[]", "1", "null", "\"text\"", "{}", "{\"id\":{}}", "{\"id\":[1],\"method\":\"x\"}", "{\"method\":5}"}) {
    client.send_bytes(framed(body));
    expect_error(client, -32600);
  }
  check_alive(client);
}

TEST_CASE("headers that are none: it finds the next message") {
  LspClient client(moec);
  client.start();
  client.send_bytes("Content-Type: x\r\n\r\n");
  expect_error(client, -32700);
  client.send_bytes("Content-Length: -5\r\n\r\n");
  expect_error(client, -32700);
  client.send_bytes("Content-Length: twelve\r\n\r\n");
  expect_error(client, -32700);
  client.send_bytes("Content-Length: \r\n\r\n{\"jsonrpc\":\"2.0\"}");
  expect_error(client, -32700);
  check_alive(client);  // its header follows that body without a line end between them
  client.send_bytes("content-length:  2 \nX-Other: 1\n\n{}");  // sloppy, and clear
  expect_error(client, -32600);
  check_alive(client);
}

TEST_CASE("lengths beyond all reason end the session, in good order") {
  for (const char* header : {"Content-Length: 99999999999999999999999\r\n\r\n", "Content-Length: 4000000000\r\n\r\n"}) {
    LspClient client(moec);
    client.start();
    client.send_bytes(header);
    expect_error(client, -32700);
    CHECK(client.wait() == 1);
  }
  LspClient endless(moec);
  endless.start();
  endless.send_bytes(std::string(1 << 20, 'x'));
  expect_error(endless, -32700);
  CHECK(endless.wait() == 1);
}

TEST_CASE("a stream that ends in the middle") {
  for (const char* bytes :
       {"", "Con", "Content-Length: 10", "Content-Length: 10\r\n\r\n", "Content-Length: 10\r\n\r\n{\"id\""}) {
    LspClient client(moec);
    client.send_bytes(bytes);
    client.close_input();
    CHECK(client.wait() == 1);
  }
}

TEST_CASE("params of every wrong kind") {
  LspClient client(moec);
  client.start();
  client.open(kUri, "policy p { cache { capacity = 8 } }");
  const std::vector<Json> values = {nullptr,
                                    1,
                                    -1,
                                    1e300,
                                    "x",
                                    true,
                                    Json::array(),
                                    Json::array({1, "a"}),
                                    Json::object(),
                                    {{"uri", kUri}},
                                    {{"uri", 5}},
                                    {{"line", -1}, {"character", 0}},
                                    {{"line", 4294967296}, {"character", 1.5}},
                                    {{"line", 0}, {"character", 2147483647}}};
  for (const char* method : {"hover", "completion", "definition", "codeAction", "formatting"}) {
    for (const Json& document : values) {
      for (const Json& place : values) {
        const Json params = {
            {"textDocument", document}, {"position", place}, {"range", {{"start", place}, {"end", place}}}};
        CHECK(client.request(std::string("textDocument/") + method, params).contains("result"));
      }
      CHECK(client.request(std::string("textDocument/") + method, document).contains("result"));
    }
  }
  for (const char* method : {"didOpen", "didChange", "didClose", "didSave"}) {
    for (const Json& value : values) {
      client.notify(std::string("textDocument/") + method, value);
      client.notify(std::string("textDocument/") + method, {{"textDocument", value}, {"contentChanges", value}});
      client.notify(std::string("textDocument/") + method,
                    {{"textDocument", {{"uri", kUri}}},
                     {"contentChanges", Json::array({value, {{"range", value}, {"text", "x"}}})}});
    }
  }
  check_alive(client);
}

TEST_CASE("random edits and requests, at the end of which both sides have the same text") {
  const uint64_t seed = std::random_device()();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto below = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const std::vector<std::string> pieces = {
      "policy p {", "}",         "cache { ", "capacity = 8 ", "\n",           "\"",
      "#",          "least(",    ")",        "[0..3]",        "when ",        "=",
      "|",          "prefetch.", "\r\n",     "import \"x\"",  "param n = 8 ", "9GB"};
  LspClient client(moec);
  client.start();
  std::string text = "policy p { cache { capacity = 8 } }\n";
  client.open(kUri, text);
  // Positions are written by line and character of a text whose only line ends are those of `pieces`.
  const auto position = [&](size_t offset) {
    const std::string before = text.substr(0, offset);
    const auto line = std::count(before.begin(), before.end(), '\n');
    return Json{{"line", line}, {"character", offset - (before.rfind('\n') + 1)}};
  };
  for (int step = 0; step < 300; ++step) {
    size_t begin = below(text.size() + 1);
    size_t end = std::min(text.size(), begin + below(6));
    const auto inside_line_end = [&](size_t at) { return at > 0 && at < text.size() && text[at - 1] == '\r'; };
    if (inside_line_end(begin)) --begin;
    if (inside_line_end(end)) ++end;
    const std::string& piece = pieces[below(pieces.size())];
    const Json change = {{"range", {{"start", position(begin)}, {"end", position(end)}}}, {"text", piece}};
    client.notify("textDocument/didChange", {{"textDocument", {{"uri", kUri}, {"version", step + 2}}},
                                             {"contentChanges", Json::array({change})}});
    text = text.substr(0, begin) + piece + text.substr(end);
    const Json place = {{"textDocument", {{"uri", kUri}}}, {"position", position(below(text.size() + 1))}};
    const char* methods[] = {"textDocument/hover", "textDocument/completion", "textDocument/definition"};
    CHECK(client.request(methods[step % 3], place).contains("result"));
  }
  // The server's idea of the text, by what it finds in it: a client that opens this text anew hears the same.
  const auto last_findings = [](LspClient& of, const Json& version) {
    while (true) {
      const Json params = of.next_notification("textDocument/publishDiagnostics");
      if (params.at("version") == version) return params.at("diagnostics");
    }
  };
  LspClient fresh(moec);
  fresh.start();
  fresh.open(kUri, text);
  CHECK(last_findings(client, 301) == last_findings(fresh, 1));
}

TEST_CASE("texts that are nothing but brackets, names or quotes") {
  LspClient client(moec);
  client.start();
  constexpr size_t kCount = 100000;
  const auto repeated = [](const std::string& piece) {
    std::string text;
    for (size_t i = 0; i < kCount / piece.size(); ++i) text += piece;
    return text;
  };
  for (const std::string& text :
       {"policy p { " + repeated("(") + repeated("]"), "policy p { " + repeated("a{") + repeated(")"),
        repeated("policy p {"), "policy p { " + repeated("x = "), repeated("}"), "policy p { x = " + repeated("- "),
        "policy p { " + repeated("when "), repeated("\""), "policy p extends p { " + repeated("let a = a ")}) {
    client.open(kUri, text);
    const Json end = {{"textDocument", {{"uri", kUri}}}, {"position", {{"line", 0}, {"character", text.size() - 1}}}};
    const auto begin = std::chrono::steady_clock::now();
    for (const char* method : {"hover", "completion", "definition", "formatting"})
      CHECK(client.request(std::string("textDocument/") + method, end).contains("result"));
    // Linear work takes milliseconds; the bound is for sanitizers on a busy machine.
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  }
}

TEST_CASE("a policy of a megabyte, and one beyond") {
  LspClient client(moec);
  client.start();
  std::string text;
  while (text.size() < (1 << 20) - 3000) {
    text += "policy p" + std::to_string(text.size()) + " { cache { capacity = 8  eviction = lru } } # " +
            std::string(2000, 'x') + "\n";
  }
  client.open(kUri, text);
  const Json middle = {{"textDocument", {{"uri", kUri}}}, {"position", {{"line", 200}, {"character", 30}}}};
  CHECK(client.request("textDocument/completion", middle).contains("result"));
  CHECK(client.diagnostics_of(kUri).empty());
  client.open(kUri, text + text);
  CHECK(client.diagnostics_of(kUri).at(0).at("code") == "MOE1001");
  CHECK(client.request("textDocument/hover", middle).contains("result"));
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  moec = argv[1];
  doctest::Context context(argc - 1, argv + 1);
  return context.run();
}
