// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "runtime/device/findings.h"
#include "runtime/device/profile.h"

namespace moe::device {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const std::vector<Rate>& table) {
  Json rows = Json::array();
  for (const Rate& rate : table) {
    rows.push_back({{"block_bytes", rate.block_bytes},
                    {"bytes_per_s", rate.bytes_per_s},
                    {"rounds", rate.rounds},
                    {"bytes", rate.bytes}});
  }
  return rows;
}

/// Null: nothing refuses it.
Json refusal(const std::string& reason) { return reason.empty() ? Json(nullptr) : Json(reason); }

Json json_of(const Disk& disk) {
  const Latency& latency = disk.latency;
  return {{"folder", disk.folder},
          {"file_system", disk.file_system},
          {"file_bytes", disk.file_bytes},
          {"engine", disk.engine},
          {"io_uring_refusal", refusal(disk.io_uring_refusal)},
          {"direct_refusal", refusal(disk.direct_refusal)},
          {"depth", disk.depth},
          {"reads", json_of(disk.reads)},
          {"latency",
           {{"block_bytes", latency.block_bytes},
            {"reads", latency.reads},
            {"p50_us", latency.p50_us},
            {"p99_us", latency.p99_us}}}};
}

Json json_of(const Memory& memory) {
  const std::optional<uint64_t>& limit = memory.lock_limit_bytes;
  return {{"total_bytes", memory.total_bytes},
          {"available_bytes", memory.available_bytes},
          {"page_bytes", memory.page_bytes},
          {"lock_limit_bytes", limit ? Json(*limit) : Json(nullptr)}};
}

}  // namespace

std::string to_json(const DeviceProfile& profile) {
  const Cpu& cpu = profile.cpu;
  Json findings = Json::array();
  for (const Finding& finding : findings_of(profile))
    findings.push_back({{"what", finding.what}, {"do", finding.todo}});
  Json json;
  json["format"] = "moe-device-profile";
  json["version"] = kProfileVersion;
  json["name"] = profile.name;
  json["date"] = profile.date;
  json["build"] = profile.build;
  json["cpu"] = {
      {"name", cpu.name}, {"cores", cpu.cores}, {"avx2", cpu.avx2}, {"avx512", cpu.avx512}, {"amx", cpu.amx}};
  json["memory"] = json_of(profile.memory);
  json["expert_bytes"] = profile.expert_bytes;
  json["host_copy"] = json_of(profile.host_copy);
  json["link"] = {{"backend", profile.backend}, {"copies", json_of(profile.link)}};
  json["disk"] = profile.disk ? json_of(*profile.disk) : Json(nullptr);
  json["devices"] = profile.devices;
  json["no_devices"] = refusal(profile.no_devices);
  json["findings"] = std::move(findings);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace moe::device
