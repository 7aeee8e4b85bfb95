// SPDX-License-Identifier: Apache-2.0
// A client of the Language Server Protocol for tests: starts the real `moec lsp` and speaks to it over pipes, with
// framing of its own. Every wait ends after kWait, in a failed test.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moe::test {

using Json = nlohmann::json;

class LspClient {
 public:
  static constexpr std::chrono::seconds kWait{20};

  explicit LspClient(const std::string& moec, const std::vector<std::string>& arguments = {});
  ~LspClient();
  LspClient(const LspClient&) = delete;
  LspClient& operator=(const LspClient&) = delete;

  void send_bytes(std::string_view bytes);
  void send(const Json& message);
  void notify(const std::string& method, Json params);
  /// The whole response. Notifications that arrive before it are kept for next_notification.
  Json request(const std::string& method, Json params);
  /// The next message of any kind; null when the server has closed its end.
  Json next_message();
  /// The params of the next notification of that method.
  Json next_notification(const std::string& method);

  /// `initialize`, `initialized`; returns the server's capabilities.
  Json start(Json capabilities = Json::object());
  void open(const std::string& uri, const std::string& text);
  /// The findings of the text as the server publishes them next.
  Json diagnostics_of(const std::string& uri);

  void close_input();
  /// Waits for the end; the exit code, or -signal.
  int wait();

 private:
  std::optional<Json> read_frame();

  pid_t process_ = -1;
  int to_server_ = -1;
  int from_server_ = -1;
  int next_id_ = 1;
  std::string buffer_;
  std::vector<Json> kept_;
};

/// A text with one `$`: the text without it, and the line and character where it stood.
struct Cursor {
  std::string text;
  Json position;
};
Cursor cursor_in(std::string_view marked);

/// What an editor does with a list of TextEdits that do not overlap. Positions count bytes: the text is ASCII.
std::string apply_edits(std::string text, const Json& edits);

}  // namespace moe::test
