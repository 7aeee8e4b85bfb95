// SPDX-License-Identifier: Apache-2.0
// What the disk reader's tests share: files of known bytes, memory with guards, readers of every kind.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/disk/reader.h"

namespace moe::disk::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// A file of random bytes that goes away at the end of the scope. The bytes were never read back.
class TestFile {
 public:
  TestFile(uint64_t size_bytes, uint64_t seed);
  TestFile(const TestFile&) = delete;
  ~TestFile();

  const std::string& path() const { return path_; }
  const uint8_t* bytes() const { return bytes_.data(); }
  uint64_t size_bytes() const { return bytes_.size(); }
  uint32_t crc32c_of(uint64_t offset, uint64_t length) const;
  void truncate(uint64_t size_bytes) const;

 private:
  std::string path_;
  std::vector<uint8_t> bytes_;
};

/// A destination with that remainder of its address by 4096, and guards on both sides.
class Destination {
 public:
  explicit Destination(uint64_t length, uint64_t misaligned = 0);
  uint8_t* data() const { return data_; }
  bool holds(const TestFile& file, uint64_t offset) const {
    return std::memcmp(data_, file.bytes() + offset, length_) == 0;
  }
  bool guards_are_whole() const;
  void fill(uint8_t value) { std::memset(data_, value, length_); }
  bool is_filled_with(uint8_t value) const;

 private:
  static constexpr uint64_t kGuard = 8192;
  uint64_t length_;
  std::unique_ptr<uint8_t[]> memory_;
  uint64_t size_;
  uint8_t* data_;
};

/// The engines that the conformance suite runs over, each with O_DIRECT and without.
struct Variant {
  Engine engine;
  bool direct;
  const char* name;
};
inline constexpr Variant kVariants[] = {{Engine::uring, true, "io_uring, direct"},
                                        {Engine::uring, false, "io_uring, buffered"},
                                        {Engine::pread, true, "pread, direct"},
                                        {Engine::pread, false, "pread, buffered"}};
Options options_for(const Variant& variant);

std::unique_ptr<DiskReader> open_reader(const std::vector<std::string>& paths, const Options& options);

Request request_for(uint64_t offset, uint64_t length, const Destination& destination, uint64_t cookie = 0);

/// Polls until `count` completions came, by cookie; gives up after half a minute.
std::map<uint64_t, Completion> finish(DiskReader& reader, size_t count);

}  // namespace moe::disk::test
