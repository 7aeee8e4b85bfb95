// SPDX-License-Identifier: Apache-2.0
#include "runtime/device/machine.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace moe::device {
namespace {

constexpr uint64_t kMostToLock = 64 << 20;

Error cannot_read(const char* path) { return {Error::Kind::io, std::string("cannot read ") + path}; }

std::string after_colon(const std::string& line) {
  const size_t colon = line.find(':');
  const size_t begin = line.find_first_not_of(" \t", std::min(colon, line.size() - 1) + 1);
  return begin == std::string::npos ? std::string() : line.substr(begin);
}

uint32_t usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<uint32_t>(CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());  // more than 1024 processors
}

bool can_lock(uint64_t size_bytes) {
  void* const memory = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  const bool locked = ::mlock(memory, size_bytes) == 0;
  ::munmap(memory, size_bytes);
  return locked;
}

std::optional<uint64_t> lock_limit(uint64_t page_bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const uint64_t bytes = limit.rlim_cur;
  if (bytes <= kMostToLock && can_lock(bytes + page_bytes)) return std::nullopt;
  return bytes;
}

}  // namespace

Result<Cpu> read_cpu() {
  std::ifstream info("/proc/cpuinfo");
  if (!info) return cannot_read("/proc/cpuinfo");
  Cpu cpu;
  cpu.name = "unknown";
  cpu.cores = usable_cores();
  std::set<std::string> flags;
  for (std::string line; std::getline(info, line) && !line.empty();) {
    if (line.rfind("model name", 0) == 0) cpu.name = printable(after_colon(line));
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream words(after_colon(line));
    for (std::string word; words >> word;) flags.insert(word);
  }
  cpu.avx2 = flags.contains("avx2");
  cpu.avx512 = flags.contains("avx512f");
  cpu.amx = flags.contains("amx_tile");
  return cpu;
}

Result<Memory> read_memory() {
  std::ifstream info("/proc/meminfo");
  Memory memory;
  for (std::string line; std::getline(info, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t kib = 0;
    words >> name >> kib;
    if (name == "MemTotal:") memory.total_bytes = kib << 10;
    if (name == "MemAvailable:") memory.available_bytes = kib << 10;
  }
  if (memory.total_bytes == 0) return cannot_read("/proc/meminfo");
  memory.page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  memory.lock_limit_bytes = lock_limit(memory.page_bytes);
  return memory;
}

std::string utc_date() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "unknown";
  return printable(name.data());
}

std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace moe::device
