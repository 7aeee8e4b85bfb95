// SPDX-License-Identifier: Apache-2.0
// The decision log as a file; runtime/base/decision_log.h has the layout.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "runtime/base/crc32c.h"
#include "runtime/core/decision_log.h"
#include "runtime/core/write_file.h"

namespace moe::core {
namespace {

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// From the first record whose policy the file names: what a full table of policies has forgotten cannot be read.
size_t first_known(const std::vector<uint64_t>& records, uint32_t oldest_serial) {
  size_t at = 0;
  while (at < records.size() && logfmt::low(records[at + 2]) < oldest_serial) at += logfmt::low(records[at]);
  return std::min(at, records.size());
}

}  // namespace

std::string DecisionLog::bytes() const {
  // Records first: each one's policy was added before it.
  const std::vector<uint64_t> records = ring_.copy();
  nlohmann::json policies = nlohmann::json::array();
  uint32_t oldest = 0;
  {
    const std::lock_guard lock(lock_);
    for (const Entry& entry : policies_) {
      policies.push_back({{"serial", entry.serial}, {"manifest", entry.manifest}, {"program", entry.program}});
    }
    oldest = policies_.empty() ? 0 : policies_.front().serial;
  }
  std::string json =
      nlohmann::json{{"policies", policies}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  json.resize((json.size() + 7) & ~size_t{7}, ' ');
  const size_t first = first_known(records, oldest);

  std::string out(logfmt::kMagic);
  append(out, logfmt::kVersion);
  append(out, uint16_t{0});
  for (const uint32_t number : {shape_.num_layers, shape_.num_experts, shape_.top_k, decision::kAbiVersion}) {
    append(out, number);
  }
  append(out, uint64_t{json.size()});
  append(out, uint64_t{records.size() - first});
  append(out, crc32c(out.data(), out.size()));
  out.resize(logfmt::kHeaderSize, '\0');
  out += json;
  out.append(reinterpret_cast<const char*>(records.data() + first), (records.size() - first) * sizeof(uint64_t));
  append(out, crc32c(out.data(), out.size()));
  return out;
}

Result<void> DecisionLog::write(const std::string& path) const { return write_file(path, bytes()); }

}  // namespace moe::core
