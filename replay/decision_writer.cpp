// SPDX-License-Identifier: Apache-2.0
#include "replay/decision_writer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace moe::replay {
namespace {

constexpr size_t kFlushSize = size_t{64} << 10;

void append_number(std::string& out, uint64_t value) {
  const fmt::format_int text(value);
  out.append(text.data(), text.size());
}

// ,"name":[...]: one item of `items` at a time through `append_item`.
template <class Items, class AppendItem>
void append_list(std::string& out, std::string_view name, const Items& items, AppendItem append_item) {
  out += ",\"";
  out += name;
  out += "\":[";
  bool first = true;
  for (const auto& item : items) {
    if (!first) out += ',';
    first = false;
    append_item(item);
  }
  out += ']';
}

}  // namespace

void append_decision(std::string& out, uint64_t dispatch, uint64_t token, uint32_t layer, uint32_t num_experts,
                     const ir::Decision& decision) {
  const auto append_key = [&](uint32_t key) {  // layer,expert
    append_number(out, key / num_experts);
    out += ',';
    append_number(out, key % num_experts);
  };
  const auto append_pair = [&](uint32_t key) {
    out += '[';
    append_key(key);
    out += ']';
  };
  out += "{\"d\":";
  append_number(out, dispatch);
  out += ",\"t\":";
  append_number(out, token);
  out += ",\"l\":";
  append_number(out, layer);
  append_list(out, "e", decision.experts, [&](const ir::ExpertDecision& expert) { append_number(out, expert.expert); });
  append_list(out, "hit", decision.experts,
              [&](const ir::ExpertDecision& expert) { out += expert.action == ir::Action::hit ? '1' : '0'; });
  append_list(out, "act", decision.experts, [&](const ir::ExpertDecision& expert) {
    out += '"';
    out += to_word(expert.action);
    out += '"';
  });
  append_list(out, "evict", decision.evicted, append_pair);
  append_list(out, "pre", decision.prefetched, append_pair);
  // What few policies do is written only where it happens.
  const auto append_id = [&](uint32_t id) { append_number(out, id); };
  if (!decision.dropped.empty()) append_list(out, "drop", decision.dropped, append_id);
  if (!decision.rules_fired.empty()) append_list(out, "rules", decision.rules_fired, append_id);
  if (!decision.moves.empty()) {
    append_list(out, "moves", decision.moves, [&](const ir::TierMove& move) {
      out += '[';
      append_key(move.key);
      out += ',';
      append_number(out, move.from);
      out += ',';
      append_number(out, move.to);
      out += ']';
    });
  }
  if (!decision.precisions.empty()) {
    append_list(out, "copies", decision.precisions, [&](const ir::PrecisionChoice& choice) {
      out += '[';
      append_key(choice.key);
      out += ",\"";
      out += to_word(choice.dtype);
      out += choice.raised ? "\",\"raised\"]" : "\"]";
    });
  }
  if (!decision.signals.empty()) {
    append_list(out, "signal", decision.signals, [&](const std::string& name) { out += '"' + name + '"'; });
  }
  out += "}\n";
}

Result<DecisionWriter> DecisionWriter::open(const std::string& path) {
  if (path == "-") return DecisionWriter(stdout, path);
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return Error{Error::Kind::io, fmt::format("cannot create `{}`: {}", path, std::strerror(errno))};
  return DecisionWriter(file, path);
}

DecisionWriter::DecisionWriter(DecisionWriter&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)),
      path_(std::move(other.path_)),
      buffer_(std::move(other.buffer_)),
      first_error_(other.first_error_) {}

DecisionWriter::~DecisionWriter() {
  if (file_ != nullptr && file_ != stdout) std::fclose(file_);
}

void DecisionWriter::write(uint64_t dispatch, uint64_t token, uint32_t layer, uint32_t num_experts,
                           const ir::Decision& decision) {
  append_decision(buffer_, dispatch, token, layer, num_experts, decision);
  if (buffer_.size() >= kFlushSize) flush();
}

void DecisionWriter::flush() {
  const bool written = std::fwrite(buffer_.data(), 1, buffer_.size(), file_) == buffer_.size();
  if (!written && first_error_ == 0) first_error_ = errno;
  buffer_.clear();
}

Result<void> DecisionWriter::finish() {
  flush();
  if (std::fflush(file_) != 0 && first_error_ == 0) first_error_ = errno;
  if (first_error_ == 0) return {};
  return Error{Error::Kind::io, fmt::format("cannot write `{}`: {}", path_, std::strerror(first_error_))};
}

}  // namespace moe::replay
