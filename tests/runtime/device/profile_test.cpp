// SPDX-License-Identifier: Apache-2.0
// Device profiles as files: written, read back, and read when they are wrong.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/device/findings.h"
#include "runtime/device/profile.h"

namespace moe::device {
namespace {

using nlohmann::json;

/// A machine on which nothing is wrong, with numbers that are hard to write.
DeviceProfile sound() {
  DeviceProfile profile;
  profile.name = "rack \"7\" \\ \u00e9";
  profile.date = "2026-01-31T12:00:00Z";
  profile.build = "moe 0.1.0";
  profile.cpu = {"Some Processor", 16, true, true, false};
  profile.memory = {uint64_t{64} << 30, uint64_t{60} << 30, 4096, uint64_t{48} << 30};
  profile.expert_bytes = 17301504;
  profile.host_copy = {{65536, 1.0 / 3 * 1e10, 9, 4096}, {17301504, 123456789.12345679, 3, uint64_t{1} << 52}};
  profile.link = {{17301504, 5e-324, 1, 1}};
  profile.backend = "host";
  profile.disk = Disk{"/data",
                      "xfs",
                      uint64_t{1} << 28,
                      "io_uring",
                      "",
                      "",
                      8,
                      {{262144, 1.5e9, 7, 1 << 30}, {1 << 20, 2e9, 7, 1 << 30}},
                      {262144, 200, 99.9, 101.25}};
  profile.no_devices = "no CUDA backend in this build";
  return profile;
}

std::string error_of(const json& value) {
  const Result<DeviceProfile> read = parse_profile(value.dump(), "p.json");
  return read ? std::string() : read.error().message;
}

/// "/link/copies/0/bytes" as messages have it: "link.copies[0].bytes".
std::string as_path(const std::string& pointer) {
  std::istringstream parts(pointer.substr(1));
  std::string path;
  for (std::string part; std::getline(parts, part, '/');) {
    const bool index = part.find_first_not_of("0123456789") == std::string::npos;
    path += index ? "[" + part + "]" : (path.empty() ? "" : ".") + part;
  }
  return path;
}

bool may_be_null(const std::string& path) {
  for (const char* const name :
       {"memory.lock_limit_bytes", "disk.io_uring_refusal", "disk.direct_refusal", "no_devices"}) {
    if (path == name) return true;
  }
  return false;
}

TEST_CASE("what was written is read back") {
  DeviceProfile profile = sound();
  const auto check = [&profile] {
    const Result<DeviceProfile> read = parse_profile(to_json(profile), "p.json");
    REQUIRE_MESSAGE(read.ok(), (read ? "" : read.error().message));
    CHECK(*read == profile);
  };
  check();
  profile.memory.lock_limit_bytes.reset();
  profile.devices = {"GPU 0", "GPU 1"};
  profile.no_devices.clear();
  check();
  profile.disk->io_uring_refusal = "the kernel refuses io_uring: Operation not permitted";
  profile.disk->direct_refusal = "no";
  check();
  profile.disk.reset();
  check();
}

TEST_CASE("bytes that are not UTF-8 do not keep a profile from being written") {
  DeviceProfile profile = sound();
  profile.disk->folder = "/\xff";
  const Result<DeviceProfile> read = parse_profile(to_json(profile), "p.json");
  REQUIRE(read.ok());
  CHECK(read->disk->folder == "/\xef\xbf\xbd");
}

TEST_CASE("the example of docs/device-profile.md") {
  std::ifstream page("docs/device-profile.md");
  std::string text;
  bool inside = false;
  for (std::string line; std::getline(page, line);) {
    if (line == "```json" || line == "```") {
      inside = line == "```json";
    } else if (inside) {
      text += line + "\n";
    }
  }
  const Result<DeviceProfile> read = parse_profile(text, "docs/device-profile.md");
  REQUIRE_MESSAGE(read.ok(), (read ? "" : read.error().message));
  CHECK(read->memory.page_bytes == 4096);
  CHECK(read->memory.lock_limit_bytes == 8388608);
  REQUIRE(read->host_copy.size() == 2);
  CHECK(read->host_copy[1] == Rate{16777216, 7.22e9, 8, 268435456});
  REQUIRE(read->disk.has_value());
  CHECK(read->disk->latency == Latency{262144, 200, 252.0, 332.1});
  CHECK(findings_of(*read).size() == 1);
  // And it shows all there is: what the writer makes of it has the same members.
  const json again = json::parse(to_json(*read)).flatten();
  const json shown = json::parse(text).flatten();
  for (const auto& [path, value] : again.items()) CHECK_MESSAGE(shown.contains(path), path);
}

TEST_CASE("every member is needed, and of its type") {
  const json good = json::parse(to_json(sound()));
  REQUIRE(error_of(good).empty());
  int members = 0;
  const json flat = good.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    // Derived from the rest, not read; and an empty array.
    if (pointer.rfind("/findings", 0) == 0 || pointer == "/devices") continue;
    ++members;
    const std::string path = as_path(pointer);
    const json::json_pointer place(pointer);
    json broken = good;
    broken[place.parent_pointer()].erase(place.back());
    CHECK_MESSAGE(error_of(broken) == "p.json: `" + path + "`: is missing", error_of(broken));
    for (const json& other :
         {json(nullptr), json(-1), json("\n"), json(json::array()), json(json::object()), json(0.5)}) {
      const bool fits = (other.is_null() && may_be_null(path)) ||
                        (other == 0.5 && pointer.find("_us") != std::string::npos) ||
                        (other == 0.5 && pointer.find("bytes_per_s") != std::string::npos);
      if (fits) continue;
      broken = good;
      broken[place] = other;
      const std::string message = error_of(broken);
      CHECK_MESSAGE(message.rfind("p.json: `" + path + "`", 0) == 0, path << " = " << other << ": " << message);
    }
  }
  CHECK(members > 40);
}

TEST_CASE("numbers and tables that no machine has") {
  const json good = json::parse(to_json(sound()));
  const auto refuse = [&good](const char* pointer, const json& value, const std::string& message) {
    json broken = good;
    broken[json::json_pointer(pointer)] = value;
    CHECK(error_of(broken) == "p.json: " + message);
  };
  refuse("/version", 2, "`version`: not a whole number from 1 to 1");
  refuse("/format", "moe-trace", "`format`: not `moe-device-profile`");
  refuse("/host_copy/0/bytes_per_s", 0, "`host_copy[0].bytes_per_s`: not a finite number above 0");
  refuse("/host_copy/1/block_bytes", 65536, "`host_copy[1].block_bytes`: not above the row before it");
  refuse("/host_copy", json::array(), "`host_copy`: has no rows");
  refuse("/host_copy", json(std::vector<json>(257, good["host_copy"][0])), "`host_copy`: more than 256 rows");
  refuse("/expert_bytes", 65536, "`link.copies`: has no row for blocks of `expert_bytes`");
  refuse("/memory/total_bytes", UINT64_MAX, "`memory.total_bytes`: not a whole number from 1 to 9007199254740992");
  refuse("/cpu/cores", 0, "`cpu.cores`: not a whole number from 1 to 4294967295");
  refuse("/disk/latency/p99_us", 99.8, "`disk.latency.p99_us`: below `p50_us`");
  refuse("/disk", 7, "`disk`: not an object");
  refuse("/devices", json::array({1}), "`devices[0]`: not a string");
  refuse("/name", "\x1b[2J", "`name`: has control characters");
  refuse("/name", std::string(4097, 'a'), "`name`: longer than 4096 bytes");
}

TEST_CASE("texts that are no profile") {
  const auto refuse = [](const std::string& text, const char* why) {
    const Result<DeviceProfile> read = parse_profile(text, "p.json");
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().kind == Error::Kind::format);
    CHECK_MESSAGE(read.error().message.find(why) != std::string::npos, read.error().message);
  };
  refuse("", "p.json: not JSON at byte");
  refuse("[]", "p.json: not a JSON object");
  refuse("{}", "p.json: `format`: is missing");
  std::string text = to_json(sound());
  const std::string number = "123456789.12345679";
  const size_t at = text.find(number);
  REQUIRE(at != std::string::npos);
  refuse(std::string(text).replace(at, number.size(), "NaN"), "not JSON at byte");
  refuse(std::string(text).replace(at, number.size(), "Infinity"), "not JSON at byte");
  refuse(std::string(text).replace(at, number.size(), "1e999"), "a number that no machine can hold");
  refuse(std::string(text).replace(text.find("\"name\""), 6, "\"date\""), "`date` is there twice");
  for (size_t size = 0; size + 1 < text.size(); size += 7) {
    CHECK_FALSE(parse_profile(std::string_view(text).substr(0, size), "p.json").ok());
  }
}

TEST_CASE("what is found wrong") {
  CHECK(findings_of(sound()).empty());
  const auto expect = [](const DeviceProfile& profile, const char* what, const char* todo) {
    const std::vector<Finding> findings = findings_of(profile);
    REQUIRE(findings.size() == 1);
    CHECK_MESSAGE(findings[0].what.find(what) != std::string::npos, findings[0].what);
    CHECK_MESSAGE(findings[0].todo.find(todo) != std::string::npos, findings[0].todo);
  };
  DeviceProfile profile = sound();
  profile.memory.lock_limit_bytes = 8 << 20;
  expect(profile, "limited to 8 MiB", "ulimit -l");
  profile = sound();
  profile.memory.available_bytes = uint64_t{6} << 30;
  expect(profile, "only 6144 MiB of 65536 MiB", "measure again");
  profile = sound();
  profile.disk->file_system = "tmpfs";
  profile.disk->direct_refusal = "refused";
  expect(profile, "`/data` is in memory", "--storage");
  profile.disk->file_system = "fuse";
  expect(profile, "page cache", "ext4");
  profile = sound();
  profile.disk->io_uring_refusal = "the kernel refuses io_uring: Operation not permitted";
  expect(profile, "refuses io_uring", "io_uring_disabled");
  profile = sound();
  profile.disk.reset();
  expect(profile, "was not measured", "--storage");
}

}  // namespace
}  // namespace moe::device
