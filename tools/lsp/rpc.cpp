// SPDX-License-Identifier: Apache-2.0
#include "tools/lsp/rpc.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

namespace moe::lsp {
namespace {

constexpr std::string_view kLengthField = "content-length:";

// The length in a header line. After a lost message the field may stand behind the rest of that message's body.
std::optional<uint64_t> length_in(std::string line) {
  std::transform(line.begin(), line.end(), line.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  const size_t field = line.rfind(kLengthField);
  if (field == std::string::npos) return std::nullopt;
  std::string_view digits = std::string_view(line).substr(field + kLengthField.size());
  while (!digits.empty() && (digits.front() == ' ' || digits.front() == '\t')) digits.remove_prefix(1);
  while (!digits.empty() && (digits.back() == ' ' || digits.back() == '\t')) digits.remove_suffix(1);
  uint64_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error == std::errc::result_out_of_range) return UINT64_MAX;
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return length;
}

// Brackets inside strings do not nest.
bool nests_too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

bool MessageReader::has_more() const {
  if (at_ < buffer_.size()) return true;
  pollfd ready{descriptor_, POLLIN, 0};
  return poll(&ready, 1, 0) > 0;
}

bool MessageReader::fill() {
  std::array<char, 65536> chunk;
  ssize_t count = 0;
  do {
    count = read(descriptor_, chunk.data(), chunk.size());
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_.append(chunk.data(), static_cast<size_t>(count));
  return true;
}

// Without its line end. nullopt at the end of the stream, and when the line has more than kMaxHeaderBytes.
std::optional<std::string> MessageReader::read_line() {
  while (true) {
    const size_t end = buffer_.find('\n', at_);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(at_, end - at_);
      at_ = end + 1;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      return line;
    }
    if (buffer_.size() - at_ > kMaxHeaderBytes || !fill()) return std::nullopt;
  }
}

bool MessageReader::read_exactly(size_t count, std::string& out) {
  while (buffer_.size() - at_ < count) {
    if (!fill()) return false;
  }
  out = buffer_.substr(at_, count);
  at_ += count;
  return true;
}

Frame MessageReader::next(std::string& body) {
  std::optional<uint64_t> length;
  size_t header_bytes = 0;
  while (true) {
    const std::optional<std::string> line = read_line();
    if (!line) return buffer_.size() - at_ > kMaxHeaderBytes ? Frame::too_long : Frame::end;
    if (line->empty()) break;
    header_bytes += line->size();
    if (header_bytes > kMaxHeaderBytes) return Frame::too_long;
    const std::optional<uint64_t> found = length_in(*line);
    if (found) length = found;
  }
  if (!length) return Frame::bad_header;
  if (*length > kMaxMessageBytes) return Frame::too_long;
  return read_exactly(static_cast<size_t>(*length), body) ? Frame::message : Frame::end;
}

std::optional<Json> parse_json(std::string_view text) {
  if (nests_too_deep(text)) return std::nullopt;
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

bool write_message(int descriptor, const Json& message) {
  const std::string body = message.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string frame = "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  size_t written = 0;
  while (written < frame.size()) {
    const ssize_t count = write(descriptor, frame.data() + written, frame.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    written += static_cast<size_t>(count);
  }
  return true;
}

const Json* member(const Json& object, std::initializer_list<const char*> path) {
  const Json* at = &object;
  for (const char* name : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(name);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

const std::string* member_text(const Json& object, std::initializer_list<const char*> path) {
  const Json* found = member(object, path);
  return found == nullptr ? nullptr : found->get_ptr<const std::string*>();
}

std::optional<uint32_t> member_count(const Json& object, std::initializer_list<const char*> path) {
  const Json* found = member(object, path);
  if (found == nullptr || !found->is_number_integer()) return std::nullopt;
  const auto value = found->get<int64_t>();
  const bool fits = value >= 0 && value <= INT32_MAX;
  return fits ? std::optional(static_cast<uint32_t>(value)) : std::nullopt;
}

}  // namespace moe::lsp
