// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/server.h"

namespace moe::lsp {
namespace {

// Of JSON-RPC and the protocol.
constexpr int kParseError = -32700;
constexpr int kInvalidRequest = -32600;
constexpr int kMethodNotFound = -32601;
constexpr int kNotInitialized = -32002;

constexpr int kLogWarning = 2;

bool client_has(const Json& params, std::initializer_list<const char*> path) {
  const Json* flag = member(params, path);
  return flag != nullptr && flag->is_boolean() && flag->get<bool>();
}

bool client_prefers_utf8(const Json& params) {
  const Json* encodings = member(params, {"capabilities", "general", "positionEncodings"});
  if (encodings == nullptr || !encodings->is_array()) return false;
  for (const Json& encoding : *encodings) {  // in order of preference
    if (encoding == "utf-8") return true;
    if (encoding == "utf-16") return false;
  }
  return false;
}

}  // namespace

Server::Server(ServerOptions options, frontend::ImportResolver& files, int input, int output)
    : options_(std::move(options)), reader_(input), output_(output), workspace_(files) {}

int Server::run() {
  std::string body;
  while (!exiting_ && !client_gone_) {
    // Findings wait until the client pauses: of a burst of changes only the last is checked.
    if (!reader_.has_more()) publish_changed();
    switch (reader_.next(body)) {
      case Frame::message:
        handle_body(body);
        break;
      case Frame::bad_header:
        reply_error(nullptr, kParseError, "a message has no valid Content-Length");
        break;
      case Frame::too_long:
        reply_error(nullptr, kParseError, "a message is longer than " + std::to_string(kMaxMessageBytes) + " bytes");
        return 1;
      case Frame::end:
        publish_changed();
        return state_ == State::shut_down ? 0 : 1;
    }
  }
  return exiting_ && state_ == State::shut_down ? 0 : 1;
}

void Server::handle_body(const std::string& body) {
  const std::optional<Json> message = parse_json(body);
  if (!message) return reply_error(nullptr, kParseError, "a message is not valid JSON");
  static const Json kNone;
  const Json* id = member(*message, {"id"});
  const bool id_is_valid = id == nullptr || id->is_string() || id->is_number_integer();
  const std::string* method = member_text(*message, {"method"});
  if (!message->is_object() || !id_is_valid) return reply_error(nullptr, kInvalidRequest, "a message is no request");
  if (method == nullptr) {
    const bool is_response = message->contains("result") || message->contains("error");
    if (!is_response) reply_error(id == nullptr ? kNone : *id, kInvalidRequest, "a message has no method");
    return;  // we ask the client nothing, so an answer means nothing
  }
  const Json* params = member(*message, {"params"});
  if (id == nullptr) return handle_notification(*method, params == nullptr ? kNone : *params);
  handle_request(*method, *id, params == nullptr ? kNone : *params);
}

void Server::handle_request(const std::string& method, const Json& id, const Json& params) {
  if (method == "initialize") {
    if (state_ != State::fresh) return reply_error(id, kInvalidRequest, "`initialize` was sent before");
    state_ = State::running;
    return reply(id, initialize(params));
  }
  if (state_ == State::fresh) return reply_error(id, kNotInitialized, "`initialize` was not sent yet");
  if (state_ == State::shut_down) return reply_error(id, kInvalidRequest, "the server was shut down");
  if (method == "shutdown") {
    publish_changed();  // a script that writes all it has to say at once hears what was found
    state_ = State::shut_down;
    return reply(id, nullptr);
  }
  if (method == "textDocument/hover") return reply(id, hover_result(params));
  if (method == "textDocument/completion") return reply(id, completion_result(params));
  if (method == "textDocument/definition") return reply(id, definition_result(params));
  if (method == "textDocument/codeAction") return reply(id, code_actions(params));
  if (method == "textDocument/formatting") return reply(id, formatting(params));
  reply_error(id, kMethodNotFound, "there is no method `" + method.substr(0, 100) + "`");
}

void Server::handle_notification(const std::string& method, const Json& params) {
  if (method == "exit") {
    exiting_ = true;
    return;
  }
  if (state_ != State::running) return;
  if (method == "textDocument/didOpen") open(params);
  if (method == "textDocument/didChange") change(params);
  if (method == "textDocument/didClose") close(params);
  // didSave needs nothing: findings follow the text, not the file. The rest is for servers that do more.
}

Json Server::initialize(const Json& params) {
  client_takes_snippets_ =
      client_has(params, {"capabilities", "textDocument", "completion", "completionItem", "snippetSupport"});
  if (client_prefers_utf8(params)) encoding_ = PositionEncoding::utf8;
  const Json sync = {{"openClose", true}, {"change", 2}, {"save", {{"includeText", false}}}};
  const Json capabilities = {
      {"positionEncoding", encoding_ == PositionEncoding::utf8 ? "utf-8" : "utf-16"},
      {"textDocumentSync", sync},
      {"hoverProvider", true},
      {"completionProvider", {{"triggerCharacters", {".", "=", "(", "[", "|", ">"}}}},
      {"definitionProvider", true},
      {"documentFormattingProvider", true},
      {"codeActionProvider", {{"codeActionKinds", {"quickfix"}}}},
  };
  return {{"capabilities", capabilities}, {"serverInfo", {{"name", "moec lsp"}, {"version", options_.version}}}};
}

void Server::send(Json message) {
  message["jsonrpc"] = "2.0";
  if (!client_gone_ && !write_message(output_, message)) client_gone_ = true;
}

void Server::reply(const Json& id, Json result) { send({{"id", id}, {"result", std::move(result)}}); }

void Server::reply_error(const Json& id, int code, const std::string& message) {
  send({{"id", id}, {"error", {{"code", code}, {"message", message}}}});
}

void Server::log(const std::string& message) {
  send({{"method", "window/logMessage"}, {"params", {{"type", kLogWarning}, {"message", message}}}});
}

}  // namespace moe::lsp
