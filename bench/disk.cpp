// SPDX-License-Identifier: Apache-2.0
// Disk to host memory, bytes per second: the runtime's disk reader and fio with the same block size, depth, file and
// O_DIRECT, random blocks, in turns, seconds apart. Figures are medians: of the rates of the turns, and of the ratios
// within a turn.
//
//   build/release/bin/bench-disk [--dir FOLDER] [--size MIB] [--rounds N] [--seconds S] [--depth N] [--block KIB]...
//
// It makes a file of that size in the folder and removes it.
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <vector>

#include "runtime/disk/reader.h"

namespace {

using moe::disk::Clock;
using moe::disk::Completion;
using moe::disk::DiskReader;
using moe::disk::Engine;
using moe::disk::kBlock;

constexpr uint64_t kMib = 1 << 20;

struct Settings {
  std::string dir = ".";
  uint64_t size_mib = 4096;
  uint32_t rounds = 3;
  double seconds = 2;
  uint32_t depth = 8;
  std::vector<uint64_t> blocks_kib = {256, 512, 1024, 2048, 4096, 8192};
};

[[noreturn]] void fail(const std::string& what) {
  fmt::print(stderr, "bench-disk: {}\n", what);
  std::exit(3);
}

/// A file of numbers that do not compress, written past the page cache.
class BenchFile {
 public:
  explicit BenchFile(const Settings& settings) : path_(settings.dir + "/bench-disk-XXXXXX") {
    const int fd = ::mkstemp(path_.data());
    if (fd < 0) fail(path_ + ": " + std::strerror(errno));
    std::vector<uint64_t> block(kMib / sizeof(uint64_t));
    std::mt19937_64 random(1);
    for (uint64_t mib = 0; mib < settings.size_mib; ++mib) {
      for (uint64_t& word : block) word = random();
      if (::write(fd, block.data(), kMib) != static_cast<ssize_t>(kMib)) {
        ::unlink(path_.c_str());
        fail(path_ + ": cannot write: " + std::strerror(errno));
      }
    }
    ::fsync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
  }
  ~BenchFile() { ::unlink(path_.c_str()); }
  BenchFile(const BenchFile&) = delete;
  BenchFile& operator=(const BenchFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// One way to use the reader.
struct Way {
  const char* name;
  Engine engine = Engine::uring;
  uint64_t chunk_bytes = 0;  ///< 0: the block's
  uint64_t misaligned = 0;   ///< of the destinations: 64 makes all of it staged
  moe::disk::Class cls = moe::disk::Class::demand;
};

/// As many requests of one block at random places as are under way at `depth`, for a while. Bytes per second.
double read_for(const Settings& settings, const std::string& path, uint64_t block, const Way& way) {
  moe::disk::Options options;
  options.engine = way.engine;
  options.depth = settings.depth;
  options.pread_threads = settings.depth;
  options.chunk_bytes = way.chunk_bytes ? way.chunk_bytes : block;
  options.staging_buffers = settings.depth;
  moe::Result<std::unique_ptr<DiskReader>> opened = DiskReader::open({&path, 1}, options);
  if (!opened) fail(opened.error().message);
  DiskReader& reader = **opened;
  if (!reader.direct(0)) fail(path + ": no O_DIRECT here; choose another --dir");

  // Twice the depth, so that the next request is there when one ends, as in the transfer engine.
  const uint32_t num_places = 2 * settings.depth;
  const size_t pool_bytes = num_places * (block + kBlock);
  std::unique_ptr<std::byte, decltype(&std::free)> pool(static_cast<std::byte*>(std::aligned_alloc(kBlock, pool_bytes)),
                                                        &std::free);
  if (!pool) fail("no memory");
  std::memset(pool.get(), 0, pool_bytes);
  std::mt19937_64 random(2);
  const uint64_t num_blocks = settings.size_mib * kMib / block;
  const auto ask = [&](uint64_t place) {
    moe::disk::Request request;
    request.offset = random() % num_blocks * block;
    request.length = block;
    request.destination = pool.get() + place * (block + kBlock) + way.misaligned;
    request.cls = way.cls;
    request.cookie = place;
    reader.submit(request);
  };
  for (uint32_t place = 0; place < num_places; ++place) ask(place);
  const Clock::time_point begin = Clock::now();
  const auto end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(settings.seconds));
  uint64_t done = 0;
  Clock::time_point now = begin;
  while (now < end) {
    Completion some[8];
    const size_t count = reader.poll(some, end);
    now = Clock::now();
    for (size_t i = 0; i < count; ++i) {
      if (some[i].status != moe::disk::Status::ok) fail(reader.describe(some[i]));
      done += block;
      ask(some[i].cookie);
    }
  }
  return static_cast<double>(done) / std::chrono::duration<double>(now - begin).count();
}

std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) return {};
  std::string text;
  char buffer[4096];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, got);
  ::pclose(pipe);
  return text;
}

/// 0: not installed.
double fio_for(const Settings& settings, const std::string& path, uint64_t block) {
  const std::string text = output_of(
      fmt::format("fio --name=bench --filename='{}' --rw=randread --bs={} --iodepth={} --ioengine=io_uring --direct=1 "
                  "--norandommap --time_based --runtime={} --output-format=json 2>/dev/null",
                  path, block, settings.depth, settings.seconds));
  const auto report = nlohmann::json::parse(text.substr(std::min(text.find('{'), text.size())), nullptr, false);
  if (report.is_discarded() || !report.contains("jobs")) return 0;
  return report["jobs"][0]["read"]["bw_bytes"].get<double>();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void compare(const Settings& settings, const std::string& path, uint64_t block, const std::vector<Way>& ways) {
  std::vector<std::vector<double>> of_ways(ways.size()), ratios(ways.size());
  std::vector<double> of_fio;
  for (uint32_t round = 0; round < settings.rounds; ++round) {
    of_fio.push_back(fio_for(settings, path, block));
    for (size_t i = 0; i < ways.size(); ++i) {
      // fio takes as long to start. Disks that are limited by their host let those run faster who have been idle.
      std::this_thread::sleep_for(std::chrono::milliseconds(400));
      of_ways[i].push_back(read_for(settings, path, block, ways[i]));
      ratios[i].push_back(of_ways[i].back() / of_fio.back());
    }
  }
  const double fio = median(of_fio);
  const std::string size = block < kMib ? fmt::format("{} KiB", block >> 10) : fmt::format("{} MiB", block / kMib);
  fmt::print("{:>8} {:<30} {:>8}\n", size, "fio", fio > 0 ? fmt::format("{:.0f}", fio / 1e6) : "-");
  for (size_t i = 0; i < ways.size(); ++i) {
    const double rate = median(of_ways[i]);
    fmt::print("{:>8} {:<30} {:>8.0f} {:>8}\n", size, ways[i].name, rate / 1e6,
               fio > 0 ? fmt::format("{:.2f}", median(ratios[i])) : "-");
  }
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Disk to host memory, beside fio");
  app.add_option("--dir", settings.dir, "folder for the file that is read")->check(CLI::ExistingDirectory);
  app.add_option("--size", settings.size_mib, "MiB of the file")->check(CLI::Range(64, 1 << 20));
  app.add_option("--rounds", settings.rounds, "turns of each")->check(CLI::Range(1, 100));
  app.add_option("--seconds", settings.seconds, "of a turn")->check(CLI::Range(0.1, 60.0));
  app.add_option("--depth", settings.depth, "reads under way")->check(CLI::Range(1, 64));
  app.add_option("--block", settings.blocks_kib, "KiB of a block")->check(CLI::Range(64, 1 << 20));
  CLI11_PARSE(app, argc, argv);

  if (output_of("fio --version 2>/dev/null").empty()) fmt::print("fio not installed\n");
  const BenchFile file(settings);
  fmt::print("file of {} MiB, depth {}, O_DIRECT, random blocks; medians of {} turns of {} s\n\n", settings.size_mib,
             settings.depth, settings.rounds, settings.seconds);
  fmt::print("{:>8} {:<30} {:>8} {:>8}\n", "block", "", "MB/s", "x fio");
  using moe::disk::Class;
  for (const uint64_t kib : settings.blocks_kib) {
    const uint64_t block = kib << 10;
    std::vector<Way> ways = {{"reader"}, {.name = "reader, staged", .misaligned = 64}};
    if (block == kMib || block == 8 * kMib) {
      ways.push_back({.name = "reader, chunks of 1 MiB", .chunk_bytes = kMib});
      ways.push_back({.name = "reader, prefetch, 1 MiB", .chunk_bytes = kMib, .cls = Class::prefetch});
      ways.push_back({.name = "reader, preads", .engine = Engine::pread});
    }
    compare(settings, file.path(), block, ways);
  }
}
