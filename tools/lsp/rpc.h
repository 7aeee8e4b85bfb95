// SPDX-License-Identifier: Apache-2.0
// JSON-RPC messages on two file descriptors, each framed by a header with its Content-Length, as the Language Server
// Protocol has them. The other end is not trusted: whatever arrives, these functions return, in bounded memory.
#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace moe::lsp {

using Json = nlohmann::json;

inline constexpr size_t kMaxMessageBytes = size_t{16}
                                           << 20U;  ///< a policy has at most 1 MiB, escaped at most six times that
inline constexpr size_t kMaxHeaderBytes = 4096;
inline constexpr size_t kMaxJsonDepth = 64;

/// What MessageReader::next found.
enum class Frame {
  message,
  bad_header,  ///< no usable length; what follows is searched for the next header
  too_long,    ///< a length or a header beyond all reason: the stream cannot be followed any more
  end,         ///< the other end has closed the stream
};

/// Not thread-safe. The descriptor stays the caller's.
class MessageReader {
 public:
  explicit MessageReader(int descriptor) : descriptor_(descriptor) {}
  /// Waits for a message; `body` is written for Frame::message only.
  Frame next(std::string& body);
  /// Whether something has arrived that next() has not returned yet.
  bool has_more() const;

 private:
  bool fill();
  std::optional<std::string> read_line();
  bool read_exactly(size_t count, std::string& out);

  int descriptor_;
  std::string buffer_;
  size_t at_ = 0;  ///< the part of buffer_ before it is consumed
};

/// nullopt when the text is no JSON, or nested deeper than kMaxJsonDepth.
std::optional<Json> parse_json(std::string_view text);

/// Writes one message with its header. False when the other end is gone.
bool write_message(int descriptor, const Json& message);

/// The member at the end of the path; nullptr where some step is no object or has no such member.
const Json* member(const Json& object, std::initializer_list<const char*> path);
/// nullptr unless it is a string.
const std::string* member_text(const Json& object, std::initializer_list<const char*> path);
/// nullopt unless it is a whole number in 0 .. 2^31 - 1, the protocol's `uinteger`.
std::optional<uint32_t> member_count(const Json& object, std::initializer_list<const char*> path);

}  // namespace moe::lsp
