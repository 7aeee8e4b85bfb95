// SPDX-License-Identifier: Apache-2.0
// A server of the Language Server Protocol (3.17) for .moe files, on a pair of file descriptors.
//
// Does  diagnostics while typing, quick fixes, hover, completion, go to definition, formatting.
// Text  is synchronised incrementally; positions count UTF-16, or UTF-8 where the client prefers it.
// Input is not trusted: a message that cannot be read is answered with an error, never with a crash; only a frame whose
//       length is beyond all reason ends the session.
#pragma once
#include <map>
#include <set>
#include <string>

#include "tools/lsp/features.h"
#include "tools/lsp/rpc.h"

namespace moe::lsp {

struct ServerOptions {
  std::string version;     ///< of the program, told to the client
  std::string code_pages;  ///< a folder with a page CODE.md for each finding; "" for none
};

class Server {
 public:
  /// `files` finds and reads imported files; it must outlive the server.
  Server(ServerOptions options, frontend::ImportResolver& files, int input, int output);

  /// Serves until the client says `exit` or closes the stream. 0 when it had said `shutdown` before, else 1.
  int run();

 private:
  enum class State { fresh, running, shut_down };

  void handle_body(const std::string& body);
  void handle_request(const std::string& method, const Json& id, const Json& params);
  void handle_notification(const std::string& method, const Json& params);
  Json initialize(const Json& params);

  void open(const Json& params);
  void change(const Json& params);
  void close(const Json& params);
  void publish_changed();
  void publish(const std::string& uri, const Snapshot& snapshot);

  /// What a request is about; nullopt when it names no open text or no place.
  struct Place {
    std::string uri;
    SnapshotPtr snapshot;
    uint32_t offset = 0;
  };
  std::optional<Place> place_of(const Json& params) const;
  Json hover_result(const Json& params) const;
  Json completion_result(const Json& params) const;
  Json definition_result(const Json& params) const;
  Json code_actions(const Json& params);
  Json formatting(const Json& params) const;

  static Json range_json(const Range& range);
  Json range_json(const Snapshot& snapshot, SourceSpan span) const;
  Json diagnostic_json(const std::string& uri, const Snapshot& snapshot, const ir::Diagnostic& finding,
                       const ir::Diagnostics& all) const;
  void note_change(const std::string& uri);
  Json location_json(const std::string& uri, const Snapshot& snapshot, const ir::SourcePlace& place) const;
  std::optional<std::string> changed_text(std::string text, const Json& changes) const;
  const ir::Diagnostics& findings_of(const std::string& uri, const Snapshot& snapshot);

  void send(Json message);
  void reply(const Json& id, Json result);
  void reply_error(const Json& id, int code, const std::string& message);
  void log(const std::string& message);

  ServerOptions options_;
  MessageReader reader_;
  int output_;
  Workspace workspace_;
  State state_ = State::fresh;
  bool exiting_ = false;
  bool client_gone_ = false;
  bool client_takes_snippets_ = false;
  PositionEncoding encoding_ = PositionEncoding::utf16;
  std::set<std::string> changed_;  ///< texts whose findings the client does not know yet
  std::map<std::string, uint32_t> versions_;
  std::map<std::string, ir::Diagnostics> findings_;  ///< of the present versions, where they were asked for
};

}  // namespace moe::lsp
