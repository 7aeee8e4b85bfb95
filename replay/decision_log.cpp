// SPDX-License-Identifier: Apache-2.0
#include "replay/decision_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/base/decision_log.h"

namespace moe::replay {
namespace {

using Json = nlohmann::json;

constexpr uint32_t kMostLayers = 4096, kMostExperts = 65534, kMostKeys = 1u << 22;

Error bad(uint64_t offset, std::string_view what) {
  return {Error::Kind::format, fmt::format("decision log, offset {}: {}", offset, what)};
}

struct Header {
  uint64_t json_bytes = 0;
  uint64_t words = 0;
};

Result<Header> read_header(Bytes file, DecisionLog& log) {
  const size_t least = logfmt::kHeaderSize + logfmt::kCrcSize;
  const auto* text = reinterpret_cast<const char*>(file.data());
  if (file.size() < least || std::string_view(text, 4) != logfmt::kMagic) return bad(0, "not a decision log");
  const auto version = read_le<uint16_t>(file, 4);
  if (version != logfmt::kVersion) {
    return Error{Error::Kind::unsupported,
                 fmt::format("decision log of version {}; this program reads version {}", version, logfmt::kVersion)};
  }
  if (read_le<uint32_t>(file, logfmt::kHeaderCrcOffset) != crc32c(file.first(logfmt::kHeaderCrcOffset))) {
    return bad(logfmt::kHeaderCrcOffset, "the header's checksum is wrong");
  }
  log.num_layers = read_le<uint32_t>(file, 8);
  log.num_experts = read_le<uint32_t>(file, 12);
  log.top_k = read_le<uint32_t>(file, 16);
  log.abi_version = read_le<uint32_t>(file, 20);
  const bool is_model = log.num_layers >= 1 && log.num_layers <= kMostLayers && log.num_experts >= 1 &&
                        log.num_experts <= kMostExperts && log.top_k >= 1 && log.top_k <= log.num_experts;
  if (!is_model) return bad(8, "not a model's shape");
  if (uint64_t{log.num_layers} * log.num_experts > kMostKeys) {  // the interpreter keeps something of each
    return Error{Error::Kind::unsupported, "the log is of a model of more than 4,194,304 experts"};
  }
  const Header header{read_le<uint64_t>(file, 24), read_le<uint64_t>(file, 32)};
  const uint64_t room = file.size() - least;
  const bool adds_up = header.json_bytes <= room && header.json_bytes % 8 == 0 && (room - header.json_bytes) % 8 == 0 &&
                       header.words == (room - header.json_bytes) / 8;
  if (!adds_up) return bad(24, "the sizes do not add up to the file's");
  const size_t end = file.size() - logfmt::kCrcSize;
  if (read_le<uint32_t>(file, end) != crc32c(file.first(end))) return bad(end, "the checksum is wrong");
  return header;
}

Result<void> read_policies(Bytes text, DecisionLog& log) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  const Error error = bad(logfmt::kHeaderSize, "`policies` is not a list of policies by rising serial");
  if (!json.is_object()) return error;
  const auto policies = json.find("policies");
  if (policies == json.end() || !policies->is_array()) return error;
  const auto is_text = [](const Json& of, const char* name) { return of.contains(name) && of[name].is_string(); };
  for (const Json& one : *policies) {
    const bool good = one.is_object() && is_text(one, "manifest") && is_text(one, "program") &&
                      one.contains("serial") && one["serial"].is_number_unsigned() &&
                      one["serial"].get<uint64_t>() <= UINT32_MAX;
    if (!good) return error;
    const auto serial = one["serial"].get<uint32_t>();
    if (!log.policies.empty() && serial <= log.policies.back().serial) return error;
    log.policies.push_back({serial, one["manifest"].get<std::string>(), one["program"].get<std::string>()});
  }
  return {};
}

/// One record's words, taken from the front.
class Words {
 public:
  explicit Words(Bytes bytes) : rest_(bytes) {}
  uint64_t left() const { return rest_.size() / 8; }
  /// 0 past the end, which `good` remembers.
  uint64_t next() {
    if (rest_.size() < 8) return good_ = false, 0;
    const auto word = read_le<uint64_t>(rest_, 0);
    rest_ = rest_.subspan(8);
    return word;
  }
  template <class T>
  std::vector<T> array(uint64_t count) {
    if (count > rest_.size() / sizeof(T) || logfmt::words_for(count * sizeof(T)) > left()) {
      good_ = false;
      return {};
    }
    std::vector<T> values = read_all_le<T>(rest_.first(count * sizeof(T)));
    rest_ = rest_.subspan(8 * logfmt::words_for(count * sizeof(T)));
    return values;
  }
  Bytes rest() const { return rest_; }
  bool good() const { return good_; }

 private:
  Bytes rest_;
  bool good_ = true;
};

bool are_probabilities(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float p) { return p >= 0.0f && p <= 1.0f; });
}

/// What the record itself can be held to; the interpreter checks the routing when it decides.
bool read_dispatch(Words& words, uint8_t flags, const DecisionLog& log, LogRecord& record) {
  const uint64_t tokens_and_request = words.next(), dropped_and_hints = words.next();
  record.digest = words.next();
  record.num_tokens = logfmt::low(tokens_and_request);
  record.request = logfmt::high(tokens_and_request);
  record.decode = (flags & logfmt::kDecode) != 0;
  const uint64_t selections = uint64_t{record.num_tokens} * log.top_k;
  for (const uint16_t id : words.array<uint16_t>(selections)) record.ids.push_back(id);
  if ((flags & logfmt::kWeights) != 0) record.weights = words.array<float>(selections);
  if ((flags & logfmt::kProbabilities) != 0) {
    record.probabilities = words.array<float>(uint64_t{record.num_tokens} * log.num_experts);
  }
  record.dropped = words.array<uint32_t>(logfmt::low(dropped_and_hints));
  const uint32_t num_hints = logfmt::high(dropped_and_hints);
  for (uint32_t i = 0; i < num_hints && words.good(); ++i) {
    const uint64_t head = words.next();
    LoggedHint hint;
    hint.layer = logfmt::low(head);
    hint.ids = words.array<uint32_t>(logfmt::high(head));
    hint.probabilities = words.array<float>(logfmt::high(head));
    if (hint.layer >= log.num_layers || !are_probabilities(hint.probabilities)) return false;
    record.hints.push_back(std::move(hint));
  }
  return words.good() && words.left() == 0 && record.num_tokens != 0 && record.ids.size() == selections &&
         are_probabilities(record.probabilities);
}

Result<LogRecord> read_record(Bytes bytes, uint64_t offset, const DecisionLog& log) {
  Words words(bytes);
  const uint32_t what = logfmt::high(words.next());
  LogRecord record;
  record.number = words.next();
  const uint64_t policy_and_layer = words.next();
  const uint32_t serial = logfmt::low(policy_and_layer);
  record.layer = logfmt::high(policy_and_layer);
  const auto kind = static_cast<uint8_t>(what);
  const auto flags = static_cast<uint8_t>(what >> 8);
  if (what >> 16 != 0 || (flags & ~logfmt::kAllFlags) != 0) return bad(offset, "a record with unknown flags");
  const auto policy = std::find_if(log.policies.begin(), log.policies.end(),
                                   [&](const LoggedPolicy& one) { return one.serial == serial; });
  if (policy == log.policies.end()) return bad(offset, "a record of a policy that the file does not name");
  record.policy = static_cast<uint32_t>(policy - log.policies.begin());
  if (record.layer >= log.num_layers) return bad(offset, "a record of a layer that the model does not have");
  bool good = false;
  if (kind == logfmt::kStart) {
    record.kind = LogRecord::Kind::start;
    good = words.left() == 0;
  } else if (kind == logfmt::kState) {
    record.kind = LogRecord::Kind::state;
    record.state = words.rest();
    good = true;
  } else if (kind == logfmt::kDispatch) {
    good = read_dispatch(words, flags, log, record);
  }
  return good ? Result<LogRecord>(std::move(record)) : bad(offset, "a record that does not hold what it says");
}

/// Numbers go up; after a gap, or at another policy, there is a record to begin at.
bool follows(const LogRecord* before, const LogRecord& record) {
  if (before == nullptr) return true;
  const bool dispatched = before->kind == LogRecord::Kind::dispatch;
  const uint64_t next = before->number + (dispatched ? 1 : 0);
  if (record.kind != LogRecord::Kind::dispatch) return record.number >= next;
  return record.number == next && record.policy == before->policy;
}

}  // namespace

Result<DecisionLog> read_decision_log(Bytes file) {
  if (file.size() > 2 * logfmt::kMostBytes) return bad(0, "the file is larger than any log");
  DecisionLog log;
  const Result<Header> header = read_header(file, log);
  if (!header) return header.error();
  if (Result<void> read = read_policies(file.subspan(logfmt::kHeaderSize, header->json_bytes), log); !read) {
    return read.error();
  }
  uint64_t at = logfmt::kHeaderSize + header->json_bytes;
  const uint64_t end = at + 8 * header->words;
  while (at < end) {
    const uint64_t size = 8 * uint64_t{logfmt::low(read_le<uint64_t>(file, at))};
    if (size < 8 * logfmt::kPrologue || size > end - at) return bad(at, "a record of an impossible size");
    Result<LogRecord> record = read_record(file.subspan(at, size), at, log);
    if (!record) return record.error();
    if (!follows(log.records.empty() ? nullptr : &log.records.back(), *record)) {
      return bad(at, "a record out of order");
    }
    log.records.push_back(std::move(record).value());
    at += size;
  }
  return log;
}

}  // namespace moe::replay
