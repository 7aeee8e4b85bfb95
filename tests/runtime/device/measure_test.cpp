// SPDX-License-Identifier: Apache-2.0
// What is measured is possible: it agrees with the time that passed, and with a stopwatch of the test's own.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <thread>

#include "runtime/device/machine.h"
#include "runtime/device/measure.h"
#include "runtime/device/scratch_file.h"

namespace moe::device {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// At least half of the rounds were no faster than the median, and each moved at least `round_bytes`.
double least_seconds(const std::vector<Rate>& table, uint64_t least_round_bytes) {
  double seconds = 0;
  for (const Rate& rate : table) {
    const uint64_t round_bytes = least_round_bytes ? least_round_bytes * rate.block_bytes : rate.bytes / rate.rounds;
    seconds += (rate.rounds + 1) / 2 * static_cast<double>(round_bytes) / rate.bytes_per_s;
  }
  return seconds;
}

void check_table(const std::vector<Rate>& table) {
  uint64_t before = 0;
  for (const Rate& rate : table) {
    CHECK(rate.block_bytes > before);
    before = rate.block_bytes;
    CHECK(std::isfinite(rate.bytes_per_s));
    CHECK(rate.bytes_per_s > 0);
    CHECK(rate.rounds > 0);
    CHECK(rate.bytes >= rate.rounds * rate.block_bytes);
  }
}

/// Bytes per second of the best of five copies of 32 MiB.
double own_copy_speed() {
  constexpr size_t kBytes = 32 << 20;
  const std::unique_ptr<char[]> source(new char[kBytes]);
  const std::unique_ptr<char[]> target(new char[kBytes]);
  std::memset(source.get(), 1, kBytes);
  std::memset(target.get(), 2, kBytes);
  double best = 1e9;
  for (int i = 0; i < 5; ++i) {
    source[static_cast<size_t>(i)] = static_cast<char>(i + 10);
    const Clock::time_point begin = Clock::now();
    std::memcpy(target.get(), source.get(), kBytes);
    best = std::min(best, seconds_since(begin));
    REQUIRE(target[static_cast<size_t>(i)] == i + 10);
  }
  return kBytes / best;
}

TEST_CASE("copies") {
  MemoryOptions options;
  options.expert_bytes = 3 << 20;
  options.pool_bytes = 32 << 20;
  options.row_limit = std::chrono::milliseconds(10);
  const double own = own_copy_speed();
  const Clock::time_point begin = Clock::now();
  const Result<MemorySpeed> speed = measure_memory(options, uint64_t{1} << 30);
  const double wall = seconds_since(begin);
  REQUIRE(speed.ok());
  for (const std::vector<Rate>* table : {&speed->host_copy, &speed->link}) {
    check_table(*table);
    REQUIRE(table->size() == 6);  // 64 MiB do not fit
    CHECK(table->back().block_bytes == 16 << 20);
    const Rate* const expert = find_rate(*table, 3 << 20);
    REQUIRE(expert);
    // Wide, for machines that do other work; a wrong unit is further off.
    CHECK(expert->bytes_per_s < own * 50);
    CHECK(expert->bytes_per_s > own / 50);
  }
  CHECK(least_seconds(speed->host_copy, 0) + least_seconds(speed->link, 0) <= wall);
}

TEST_CASE("copies that cannot be measured") {
  MemoryOptions options;
  options.expert_bytes = 16 << 20;
  const Result<MemorySpeed> no_room = measure_memory(options, 100 << 20);
  REQUIRE_FALSE(no_room.ok());
  CHECK(no_room.error().kind == Error::Kind::no_memory);
  options.expert_bytes = 100;
  const Result<MemorySpeed> no_expert = measure_memory(options, uint64_t{1} << 40);
  REQUIRE_FALSE(no_expert.ok());
  CHECK(no_expert.error().kind == Error::Kind::invalid);
}

/// A folder that goes away, if it is empty as it should be.
struct Folder {
  Folder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
  ~Folder() { CHECK(::rmdir(path.c_str()) == 0); }
  std::string path = "device-XXXXXX";
};

TEST_CASE("the disk") {
  for (const disk::Engine engine : {disk::Engine::automatic, disk::Engine::pread}) {
    const Folder folder;
    DiskOptions options;
    options.folder = folder.path;
    options.file_bytes = 32 << 20;
    options.engine = engine;
    const Clock::time_point begin = Clock::now();
    const Result<Disk> disk = measure_disk(options);
    const double wall = seconds_since(begin);
    REQUIRE_MESSAGE(disk.ok(), (disk ? "" : disk.error().message));
    CHECK(disk->folder == std::filesystem::canonical(folder.path).string());
    CHECK(disk->file_bytes >= 16 << 20);
    CHECK(disk->file_bytes <= 32 << 20);
    CHECK(disk->engine == (engine == disk::Engine::pread || !disk->io_uring_refusal.empty() ? "pread" : "io_uring"));
    check_table(disk->reads);
    CHECK(disk->reads.size() == 3);
    const Latency& latency = disk->latency;
    CHECK(latency.reads > 0);
    CHECK(latency.p50_us > 0);
    CHECK(latency.p99_us >= latency.p50_us);
    CHECK(std::isfinite(latency.p99_us));
    const double in_latency = (latency.reads + 1) / 2 * latency.p50_us / 1e6;
    // A slow disk's rounds may end with one block.
    CHECK(least_seconds(disk->reads, 1) + in_latency <= wall);
  }
}

TEST_CASE("folders that cannot be written to") {
  for (const char* const folder : {"no/such/folder", "/proc", "/dev/null"}) {
    DiskOptions options;
    options.folder = folder;
    const Result<Disk> disk = measure_disk(options);
    REQUIRE_FALSE(disk.ok());
    CHECK(disk.error().kind == Error::Kind::io);
    CHECK_MESSAGE(disk.error().message.find(std::string("`") + folder + "`") != std::string::npos,
                  disk.error().message);
    CHECK(disk.error().message.find("--storage DIR") != std::string::npos);
  }
}

TEST_CASE("a scratch file has no name, and ends on time") {
  const Folder folder;
  const Result<ScratchFile> file = ScratchFile::make(folder.path, 1 << 30, Clock::now());
  REQUIRE(file.ok());
  CHECK(file->size_bytes() == 16 << 20);
  CHECK(std::filesystem::is_empty(folder.path));
  CHECK(std::filesystem::file_size(file->path()) == 16 << 20);
}

TEST_CASE("what the kernel says") {
  const Result<Cpu> cpu = read_cpu();
  REQUIRE(cpu.ok());
  CHECK(cpu->cores >= 1);
  CHECK(cpu->cores <= static_cast<uint32_t>(::sysconf(_SC_NPROCESSORS_CONF)));
#if defined(__x86_64__)
  // The processor itself, without /proc.
  __builtin_cpu_init();
  CHECK(cpu->avx2 == (__builtin_cpu_supports("avx2") != 0));
  CHECK(cpu->avx512 == (__builtin_cpu_supports("avx512f") != 0));
#endif
  const Result<Memory> memory = read_memory();
  REQUIRE(memory.ok());
  CHECK(memory->page_bytes == static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
  CHECK(memory->total_bytes == static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * memory->page_bytes);
  CHECK(memory->available_bytes <= memory->total_bytes);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
  if (memory->lock_limit_bytes) CHECK(*memory->lock_limit_bytes == limit.rlim_cur);
  CHECK(utc_date().size() == 20);
}

}  // namespace
}  // namespace moe::device
