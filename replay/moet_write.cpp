// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "replay/formats.h"
#include "replay/moet_layout.h"

namespace moe::replay {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
void append_array(std::string& out, const std::vector<T>& values) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::vector<uint16_t> to_halves(const std::vector<float>& values) {
  std::vector<uint16_t> halves(values.size());
  std::transform(values.begin(), values.end(), halves.begin(), float_to_half);
  return halves;
}

bool exact_in_half(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return half_to_float(float_to_half(value)) == value; });
}

/// The sections, in the format's order, and where each begins.
class Sections {
 public:
  explicit Sections(std::string& out) : out_(out) {}

  template <class T>
  void add(const char* name, moet::Flag flag, const std::vector<T>& values) {
    begin(name, flag);
    append_array(out_, values);
  }
  void begin(const char* name, moet::Flag flag) {
    out_.resize(moet::align(out_.size()), '\0');
    offsets_[name] = out_.size();
    flags_ = static_cast<uint16_t>(flags_ | flag);
  }
  void add_flag(moet::Flag flag) { flags_ = static_cast<uint16_t>(flags_ | flag); }
  uint16_t flags() const { return flags_; }
  const Json& offsets() const { return offsets_; }

 private:
  std::string& out_;
  Json offsets_ = Json::object();
  uint16_t flags_ = 0;
};

void write_sections(const Trace& trace, std::string& out, Sections& sections) {
  append_array(out, trace.experts);
  if (!trace.weights.empty() && exact_in_half(trace.weights)) {
    sections.add("weights", moet::kWeightsF16, to_halves(trace.weights));
  } else if (!trace.weights.empty()) {
    sections.add("weights", moet::kWeightsF32, trace.weights);
  }
  if (!trace.requests.empty()) sections.add("requests", moet::kRequests, trace.requests);
  if (!trace.steps.empty()) sections.add("steps", moet::kSteps, trace.steps);
  if (!trace.phases.empty()) sections.add("phase", moet::kPhases, trace.phases);
  if (trace.lookahead_width != 0) {
    sections.begin("lookahead", moet::kLookahead);
    append_le(out, static_cast<uint16_t>(trace.lookahead_width));
    append_array(out, trace.lookahead);
    append_array(out, to_halves(trace.lookahead_probs));
  }
  if (!trace.dropped.empty()) sections.add_flag(moet::kEvents);
}

Json make_trailer(const Trace& trace, const Json& offsets) {
  Json trailer = Json::parse(trace.metadata, nullptr, /*allow_exceptions=*/false);
  if (!trailer.is_object()) trailer = Json::object();
  trailer["offsets"] = offsets;
  trailer.erase("events");
  if (trace.dropped.empty()) return trailer;
  Json events = Json::array();
  for (const DroppedLoad& dropped : trace.dropped) {
    events.push_back(Json::array({dropped.dispatch, dropped.layer, dropped.expert}));
  }
  trailer["events"] = std::move(events);
  return trailer;
}

std::string make_header(const Trace& trace, uint16_t flags, uint64_t trailer_offset) {
  std::string header(moet::kMagic);
  append_le(header, moet::kVersion);
  append_le(header, flags);
  append_le(header, trace.num_layers);
  append_le(header, trace.num_experts);
  append_le(header, trace.top_k);
  append_le(header, trace.num_tokens);
  append_le(header, trailer_offset);
  append_le(header, crc32c(as_bytes(header)));
  header.resize(moet::kHeaderSize, '\0');
  return header;
}

}  // namespace

std::string write_moet(const Trace& trace) {
  std::string out(moet::kHeaderSize, '\0');
  Sections sections(out);
  write_sections(trace, out, sections);
  const uint64_t trailer_offset = out.size();
  out += make_trailer(trace, sections.offsets()).dump(-1, ' ', false, Json::error_handler_t::replace);
  out.replace(0, moet::kHeaderSize, make_header(trace, sections.flags(), trailer_offset));
  append_le(out, crc32c(as_bytes(out)));
  return out;
}

}  // namespace moe::replay
