// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/lsp_client.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

namespace moe::test {
namespace {

size_t offset_of(const std::string& text, const Json& position) {
  size_t at = 0;
  for (int line = position.at("line"); line > 0; --line) at = text.find('\n', at) + 1;
  return at + position.at("character").get<size_t>();
}

}  // namespace

LspClient::LspClient(const std::string& moec, const std::vector<std::string>& arguments) {
  signal(SIGPIPE, SIG_IGN);
  std::array<int, 2> input{};
  std::array<int, 2> output{};
  REQUIRE(pipe2(input.data(), O_CLOEXEC) == 0);
  REQUIRE(pipe2(output.data(), O_CLOEXEC) == 0);
  std::vector<const char*> argv = {moec.c_str(), "lsp"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  argv.push_back(nullptr);
  process_ = fork();
  REQUIRE(process_ >= 0);
  if (process_ == 0) {
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    execv(moec.c_str(), const_cast<char* const*>(argv.data()));
    _exit(127);
  }
  close(input[0]);
  close(output[1]);
  to_server_ = input[1];
  from_server_ = output[0];
}

LspClient::~LspClient() {
  close_input();
  close(from_server_);
  if (process_ < 0) return;
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
}

void LspClient::close_input() {
  if (to_server_ >= 0) close(to_server_);
  to_server_ = -1;
}

int LspClient::wait() {
  const auto deadline = std::chrono::steady_clock::now() + kWait;
  int status = 0;
  while (waitpid(process_, &status, WNOHANG) == 0) {
    REQUIRE_MESSAGE(std::chrono::steady_clock::now() < deadline, "the server did not end");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void LspClient::send_bytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(to_server_, bytes.data(), bytes.size());
    if (count <= 0) return;  // the server has gone; what the test waits for next says so
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void LspClient::send(const Json& message) {
  const std::string body = message.dump();
  send_bytes("Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

void LspClient::notify(const std::string& method, Json params) {
  send({{"jsonrpc", "2.0"}, {"method", method}, {"params", std::move(params)}});
}

std::optional<Json> LspClient::read_frame() {
  const size_t end = buffer_.find("\r\n\r\n");
  if (end == std::string::npos) return std::nullopt;
  REQUIRE(buffer_.starts_with("Content-Length: "));
  const size_t length = std::stoul(buffer_.substr(16));
  if (buffer_.size() < end + 4 + length) return std::nullopt;
  Json message = Json::parse(buffer_.substr(end + 4, length));
  buffer_.erase(0, end + 4 + length);
  CHECK(message.at("jsonrpc") == "2.0");
  return message;
}

Json LspClient::next_message() {
  while (true) {
    if (std::optional<Json> message = read_frame()) return *message;
    pollfd ready{from_server_, POLLIN, 0};
    const int waited = poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(kWait).count()));
    REQUIRE_MESSAGE(waited == 1, "the server does not answer");
    std::array<char, 65536> chunk;
    const ssize_t count = read(from_server_, chunk.data(), chunk.size());
    if (count <= 0) return nullptr;
    buffer_.append(chunk.data(), static_cast<size_t>(count));
  }
}

Json LspClient::request(const std::string& method, Json params) {
  const int id = next_id_++;
  send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}});
  while (true) {
    Json message = next_message();
    REQUIRE_MESSAGE(!message.is_null(), "the server has gone");
    if (message.contains("method")) {
      kept_.push_back(std::move(message));
      continue;
    }
    REQUIRE(message.at("id") == id);
    return message;
  }
}

Json LspClient::next_notification(const std::string& method) {
  const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Json& m) { return m.at("method") == method; });
  if (found != kept_.end()) {
    Json params = found->at("params");
    kept_.erase(found);
    return params;
  }
  while (true) {
    Json message = next_message();
    REQUIRE_MESSAGE(!message.is_null(), "the server has gone");
    if (message.value("method", "") == method) return message.at("params");
  }
}

Json LspClient::start(Json capabilities) {
  const Json params = {{"processId", nullptr}, {"rootUri", nullptr}, {"capabilities", std::move(capabilities)}};
  const Json response = request("initialize", params);
  REQUIRE(response.contains("result"));
  notify("initialized", Json::object());
  return response.at("result").at("capabilities");
}

void LspClient::open(const std::string& uri, const std::string& text) {
  notify("textDocument/didOpen",
         {{"textDocument", {{"uri", uri}, {"languageId", "moe"}, {"version", 1}, {"text", text}}}});
}

Json LspClient::diagnostics_of(const std::string& uri) {
  while (true) {
    Json params = next_notification("textDocument/publishDiagnostics");
    if (params.at("uri") == uri) return params.at("diagnostics");
  }
}

Cursor cursor_in(std::string_view marked) {
  const size_t at = marked.find('$');
  REQUIRE(at != std::string_view::npos);
  const std::string_view before = marked.substr(0, at);
  const auto line = std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return {std::string(before) + std::string(marked.substr(at + 1)), {{"line", line}, {"character", at - line_start}}};
}

std::string apply_edits(std::string text, const Json& edits) {
  std::vector<Json> backwards(edits.begin(), edits.end());
  std::sort(backwards.begin(), backwards.end(), [&](const Json& a, const Json& b) {
    return offset_of(text, a.at("range").at("start")) > offset_of(text, b.at("range").at("start"));
  });
  for (const Json& edit : backwards) {
    const size_t begin = offset_of(text, edit.at("range").at("start"));
    const size_t end = offset_of(text, edit.at("range").at("end"));
    text.replace(begin, end - begin, edit.at("newText").get<std::string>());
  }
  return text;
}

}  // namespace moe::test
