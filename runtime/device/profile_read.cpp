// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "runtime/device/profile.h"
#include "runtime/store/json.h"

namespace moe::device {
namespace {

using nlohmann::json;

constexpr size_t kMostBytes = size_t{1} << 20;
constexpr size_t kMostRows = 256;
constexpr size_t kMostText = 4096;
/// What a double holds exactly, and far beyond any machine.
constexpr uint64_t kMostNumber = uint64_t{1} << 53;

/// A value, and how to say where it is. The first thing that is wrong is kept; what comes after reads as zeros, so that
/// who reads need not ask after every member.
class Node {
 public:
  Node(const json* value, std::string path, std::string& error)
      : value_(value), path_(std::move(path)), error_(&error) {}

  Node operator[](const char* name) const {
    const std::string path = path_.empty() ? name : path_ + "." + name;
    if (!value_) return {nullptr, path, *error_};
    if (!value_->is_object()) return wrong("not an object");
    const auto found = value_->find(name);
    if (found != value_->end()) return {&*found, path, *error_};
    return Node(nullptr, path, *error_).wrong("is missing");
  }

  bool is_null() const { return value_ && value_->is_null(); }

  double positive() const {
    if (!value_) return 0;
    const double number = value_->is_number() ? value_->get<double>() : 0;
    if (std::isfinite(number) && number > 0) return number;
    wrong("not a finite number above 0");
    return 0;
  }

  uint64_t whole(uint64_t least, uint64_t most = kMostNumber) const {
    if (!value_) return 0;
    // A negative number is not "unsigned" to the parser.
    const uint64_t number = value_->is_number_unsigned() ? value_->get<uint64_t>() : most + 1;
    if (number >= least && number <= most) return number;
    wrong("not a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return 0;
  }
  uint32_t count() const { return static_cast<uint32_t>(whole(1, UINT32_MAX)); }

  bool flag() const {
    if (!value_) return false;
    if (!value_->is_boolean()) wrong("neither true nor false");
    return value_->is_boolean() && value_->get<bool>();
  }

  /// Control characters would steer the terminal that shows it.
  std::string text() const {
    if (!value_) return {};
    if (!value_->is_string()) return wrong("not a string"), std::string();
    const auto& text = value_->get_ref<const std::string&>();
    if (text.size() > kMostText) return wrong("longer than 4096 bytes"), std::string();
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::any_of(text.begin(), text.end(), is_control)) return wrong("has control characters"), std::string();
    return text;
  }
  std::string text_or_null() const { return is_null() ? std::string() : text(); }

  std::vector<Node> items() const {
    std::vector<Node> nodes;
    if (!value_) return nodes;
    if (!value_->is_array()) return wrong("not an array"), nodes;
    if (value_->size() > kMostRows) return wrong("more than 256 rows"), nodes;
    for (const json& item : *value_)
      nodes.emplace_back(&item, path_ + "[" + std::to_string(nodes.size()) + "]", *error_);
    return nodes;
  }

  Node wrong(const std::string& what) const {
    if (error_->empty()) *error_ = (path_.empty() ? "" : "`" + path_ + "`: ") + what;
    return {nullptr, path_, *error_};
  }

 private:
  const json* value_;
  std::string path_;
  std::string* error_;
};

std::vector<Rate> read_table(const Node& node) {
  std::vector<Rate> table;
  for (const Node& row : node.items()) {
    const Rate rate{row["block_bytes"].whole(1), row["bytes_per_s"].positive(), row["rounds"].count(),
                    row["bytes"].whole(1)};
    if (!table.empty() && rate.block_bytes <= table.back().block_bytes) {
      row["block_bytes"].wrong("not above the row before it");
    }
    table.push_back(rate);
  }
  if (table.empty()) node.wrong("has no rows");
  return table;
}

Disk read_disk(const Node& node) {
  Disk disk;
  disk.folder = node["folder"].text();
  disk.file_system = node["file_system"].text();
  disk.file_bytes = node["file_bytes"].whole(1);
  disk.engine = node["engine"].text();
  disk.io_uring_refusal = node["io_uring_refusal"].text_or_null();
  disk.direct_refusal = node["direct_refusal"].text_or_null();
  disk.depth = node["depth"].count();
  disk.reads = read_table(node["reads"]);
  const Node latency = node["latency"];
  disk.latency = {latency["block_bytes"].whole(1), latency["reads"].count(), latency["p50_us"].positive(),
                  latency["p99_us"].positive()};
  if (disk.latency.p99_us < disk.latency.p50_us) latency["p99_us"].wrong("below `p50_us`");
  return disk;
}

Memory read_memory(const Node& node) {
  Memory memory;
  memory.total_bytes = node["total_bytes"].whole(1);
  memory.available_bytes = node["available_bytes"].whole(0);
  memory.page_bytes = node["page_bytes"].whole(1);
  const Node limit = node["lock_limit_bytes"];
  if (!limit.is_null()) memory.lock_limit_bytes = limit.whole(0);
  return memory;
}

DeviceProfile read_members(const Node& root) {
  DeviceProfile profile;
  const Node format = root["format"];
  if (format.text() != "moe-device-profile") format.wrong("not `moe-device-profile`");
  // Before everything else: another version has other members.
  root["version"].whole(kProfileVersion, kProfileVersion);
  profile.name = root["name"].text();
  profile.date = root["date"].text();
  profile.build = root["build"].text();
  const Node cpu = root["cpu"];
  profile.cpu = {cpu["name"].text(), cpu["cores"].count(), cpu["avx2"].flag(), cpu["avx512"].flag(), cpu["amx"].flag()};
  profile.memory = read_memory(root["memory"]);
  profile.expert_bytes = root["expert_bytes"].whole(1);
  const Node host_copy = root["host_copy"];
  const Node copies = root["link"]["copies"];
  profile.host_copy = read_table(host_copy);
  profile.backend = root["link"]["backend"].text();
  profile.link = read_table(copies);
  for (const auto& [node, table] : {std::pair(host_copy, &profile.host_copy), std::pair(copies, &profile.link)}) {
    if (!find_rate(*table, profile.expert_bytes)) node.wrong("has no row for blocks of `expert_bytes`");
  }
  const Node disk = root["disk"];
  if (!disk.is_null()) profile.disk = read_disk(disk);
  for (const Node& device : root["devices"].items()) profile.devices.push_back(device.text());
  profile.no_devices = root["no_devices"].text_or_null();
  return profile;
}

}  // namespace

const Rate* find_rate(const std::vector<Rate>& table, uint64_t block_bytes) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Rate& rate) { return rate.block_bytes == block_bytes; });
  return found == table.end() ? nullptr : &*found;
}

Result<DeviceProfile> parse_profile(std::string_view text, const std::string& where) {
  const Result<json> parsed = store::parse_object(text, where);
  if (!parsed) return parsed.error();
  std::string error;
  DeviceProfile profile = read_members(Node(&*parsed, "", error));
  if (!error.empty()) return Error{Error::Kind::format, where + ": " + error};
  return profile;
}

Result<DeviceProfile> read_profile(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) return Error{Error::Kind::io, "cannot open `" + path + "`: " + std::strerror(errno)};
  std::string text(kMostBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get())) return Error{Error::Kind::io, "cannot read `" + path + "`: " + std::strerror(errno)};
  if (text.size() > kMostBytes) return Error{Error::Kind::format, path + ": longer than 1 MiB: not a device profile"};
  return parse_profile(text, path);
}

}  // namespace moe::device
