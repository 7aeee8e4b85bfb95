// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "replay/formats.h"
#include "replay/moet_layout.h"

namespace moe::replay {
namespace {

using Json = nlohmann::ordered_json;

Error bad(uint64_t offset, std::string_view reason) {
  return Error{Error::Kind::format, fmt::format("moet, offset {}: {}", offset, reason)};
}

struct Header {
  uint16_t flags = 0;
  uint64_t trailer_offset = 0;
};

// Checks everything that the header says about itself and the file's two CRCs.
Result<Header> read_header(Bytes file, Trace& trace) {
  if (file.size() < moet::kHeaderSize + moet::kCrcSize) return bad(file.size(), "the file is cut off");
  if (!std::equal(moet::kMagic.begin(), moet::kMagic.end(), file.begin())) return bad(0, "not a .moet file");
  if (read_le<uint16_t>(file, 4) != moet::kVersion) {
    return bad(4, fmt::format("version {} is not supported, only {}", read_le<uint16_t>(file, 4), moet::kVersion));
  }
  if (read_le<uint32_t>(file, moet::kHeaderCrcOffset) != crc32c(file.first(moet::kHeaderCrcOffset))) {
    return bad(moet::kHeaderCrcOffset, "wrong CRC of the header");
  }
  const Bytes padding = file.subspan(moet::kHeaderCrcOffset + 4, moet::kHeaderSize - moet::kHeaderCrcOffset - 4);
  if (std::any_of(padding.begin(), padding.end(), [](uint8_t byte) { return byte != 0; })) {
    return bad(moet::kHeaderCrcOffset + 4, "the header's padding is not zero");
  }
  const Bytes body = file.first(file.size() - moet::kCrcSize);
  if (read_le<uint32_t>(file, body.size()) != crc32c(body)) return bad(body.size(), "wrong CRC of the file");

  const Header header{read_le<uint16_t>(file, 6), read_le<uint64_t>(file, 28)};
  if ((header.flags & ~moet::kAllFlags) != 0) return bad(6, fmt::format("unknown flags {:#x}", header.flags));
  if ((header.flags & moet::kWeightsF16) != 0 && (header.flags & moet::kWeightsF32) != 0) {
    return bad(6, "weights are flagged as both f16 and f32");
  }
  if (header.trailer_offset < moet::kHeaderSize || header.trailer_offset > body.size()) {
    return bad(28, "the trailer lies outside the file");
  }
  trace.num_layers = read_le<uint32_t>(file, 8);
  trace.num_experts = read_le<uint32_t>(file, 12);
  trace.top_k = read_le<uint32_t>(file, 16);
  trace.num_tokens = read_le<uint64_t>(file, 20);
  return header;
}

/// Takes the sections one after the other: each aligned, after the one before, and before the trailer.
class SectionReader {
 public:
  SectionReader(Bytes file, uint64_t end, const Json& offsets)
      : file_(file), end_(end), position_(moet::kHeaderSize), offsets_(offsets) {}

  /// The `size` bytes after the previous section.
  Result<Bytes> next(uint64_t size, std::string_view name) {
    if (!fits(position_, size, end_)) {
      return bad(position_, fmt::format("`{}` needs {} bytes, which the file does not hold", name, size));
    }
    const Bytes section = file_.subspan(position_, size);
    position_ += size;
    return section;
  }
  /// Moves to where the trailer says that the section is.
  Result<void> go_to(const char* name) {
    const auto found = offsets_.find(name);
    if (found == offsets_.end() || !found->is_number_unsigned()) {
      return bad(end_, fmt::format("the trailer has no offset of `{}`", name));
    }
    const uint64_t offset = found->get<uint64_t>();
    if (offset % moet::kAlignment != 0)
      return bad(end_, fmt::format("`{}` at {} is not 64-byte aligned", name, offset));
    if (offset < position_) return bad(end_, fmt::format("`{}` at {} overlaps the section before", name, offset));
    if (offset > end_) return bad(end_, fmt::format("`{}` at {} lies outside the file", name, offset));
    position_ = offset;
    return {};
  }
  template <class T>
  Result<std::vector<T>> array(const char* name, uint64_t num_values) {
    if (Result<void> result = go_to(name); !result) return result.error();
    return array_here<T>(name, num_values);
  }
  template <class T>
  Result<std::vector<T>> array_here(const char* name, uint64_t num_values) {
    const uint64_t size = num_values > UINT64_MAX / sizeof(T) ? UINT64_MAX : num_values * sizeof(T);
    Result<Bytes> bytes = next(size, name);
    if (!bytes) return bytes.error();
    return read_all_le<T>(*bytes);
  }

 private:
  Bytes file_;
  uint64_t end_;
  uint64_t position_;
  const Json& offsets_;
};

std::vector<float> to_floats(const std::vector<uint16_t>& halves) {
  std::vector<float> values(halves.size());
  std::transform(halves.begin(), halves.end(), values.begin(), half_to_float);
  return values;
}

// Moves the array out of `from`, or returns its error.
template <class T>
Result<void> assign(std::vector<T>& to, Result<std::vector<T>> from) {
  if (!from) return from.error();
  to = std::move(*from);
  return {};
}

Result<void> read_weights(SectionReader& reader, const Header& header, Trace& trace) {
  const uint64_t selections = num_entries(trace.num_tokens, trace.num_layers, trace.top_k);
  if ((header.flags & moet::kWeightsF32) != 0) return assign(trace.weights, reader.array<float>("weights", selections));
  if ((header.flags & moet::kWeightsF16) == 0) return {};
  std::vector<uint16_t> halves;
  if (Result<void> result = assign(halves, reader.array<uint16_t>("weights", selections)); !result) return result;
  trace.weights = to_floats(halves);
  return {};
}

Result<void> read_lookahead(SectionReader& reader, const Header& header, Trace& trace) {
  if ((header.flags & moet::kLookahead) == 0) return {};
  Result<std::vector<uint16_t>> width = reader.array<uint16_t>("lookahead", 1);
  if (!width) return width.error();
  trace.lookahead_width = width->front();
  const uint64_t guesses = num_entries(trace.num_tokens, trace.num_layers, trace.lookahead_width);
  Result<void> ids = assign(trace.lookahead, reader.array_here<uint16_t>("lookahead", guesses));
  if (!ids) return ids;
  std::vector<uint16_t> halves;
  Result<void> probabilities = assign(halves, reader.array_here<uint16_t>("lookahead", guesses));
  if (!probabilities) return probabilities;
  trace.lookahead_probs = to_floats(halves);
  return {};
}

Result<void> read_sections(SectionReader& reader, const Header& header, Trace& trace) {
  const uint64_t selections = num_entries(trace.num_tokens, trace.num_layers, trace.top_k);
  Result<void> result = assign(trace.experts, reader.array_here<uint16_t>("experts", selections));
  if (result) result = read_weights(reader, header, trace);
  if (result && (header.flags & moet::kRequests) != 0) {
    result = assign(trace.requests, reader.array<uint32_t>("requests", trace.num_tokens));
  }
  if (result && (header.flags & moet::kSteps) != 0) {
    result = assign(trace.steps, reader.array<uint32_t>("steps", trace.num_tokens));
  }
  if (result && (header.flags & moet::kPhases) != 0) {
    result = assign(trace.phases, reader.array<uint8_t>("phase", trace.num_tokens));
  }
  if (result) result = read_lookahead(reader, header, trace);
  return result;
}

Result<void> read_events(const Json& trailer, const Header& header, Trace& trace) {
  if ((header.flags & moet::kEvents) == 0) return {};
  const Error error = bad(header.trailer_offset, "`events` is not an array of [dispatch, layer, expert]");
  const auto events = trailer.find("events");
  if (events == trailer.end() || !events->is_array()) return error;
  for (const Json& event : *events) {
    if (!event.is_array() || event.size() != 3) return error;
    for (const Json& number : event) {
      if (!number.is_number_unsigned()) return error;
    }
    if (event[1].get<uint64_t>() > UINT32_MAX || event[2].get<uint64_t>() > UINT32_MAX) return error;
    trace.dropped.push_back({event[0].get<uint64_t>(), event[1].get<uint32_t>(), event[2].get<uint32_t>()});
  }
  return {};
}

}  // namespace

Result<Trace> read_moet(Bytes file, const TraceOptions& options) {
  Trace trace;
  Result<Header> header = read_header(file, trace);
  if (!header) return header.error();
  const uint64_t trailer_end = file.size() - moet::kCrcSize;
  const auto* text = reinterpret_cast<const char*>(file.data());
  Json trailer = Json::parse(text + header->trailer_offset, text + trailer_end, nullptr, /*allow_exceptions=*/false);
  if (!trailer.is_object()) return bad(header->trailer_offset, "the trailer is not a JSON object");
  const Json offsets = trailer.value("offsets", Json::object());
  if (!offsets.is_object()) return bad(header->trailer_offset, "`offsets` is not an object");

  SectionReader reader(file, header->trailer_offset, offsets);
  if (Result<void> result = read_sections(reader, *header, trace); !result) return result.error();
  if (Result<void> result = read_events(trailer, *header, trace); !result) return result.error();
  trailer.erase("offsets");
  trailer.erase("events");
  trace.metadata = trailer.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (options.num_experts) trace.num_experts = *options.num_experts;
  if (Result<void> result = check(trace); !result) return result.error();
  return trace;
}

}  // namespace moe::replay
