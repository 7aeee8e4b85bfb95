// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/disk/support.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <random>

#include "runtime/base/crc32c.h"

namespace moe::disk::test {

TestFile::TestFile(uint64_t size_bytes, uint64_t seed) : bytes_(size_bytes) {
  std::mt19937_64 random(seed);
  for (uint8_t& byte : bytes_) byte = static_cast<uint8_t>(random());
  // Not in /tmp, which may be memory: beside the build, where the disk is.
  std::string name = "moe-disk-test-XXXXXX";
  const int fd = ::mkstemp(name.data());
  REQUIRE(fd >= 0);
  path_ = name;
  for (size_t done = 0; done < bytes_.size();) {
    const ssize_t written = ::write(fd, bytes_.data() + done, bytes_.size() - done);
    REQUIRE(written > 0);
    done += static_cast<size_t>(written);
  }
  REQUIRE(::fsync(fd) == 0);
  ::close(fd);
}

TestFile::~TestFile() { ::unlink(path_.c_str()); }

uint32_t TestFile::crc32c_of(uint64_t offset, uint64_t length) const { return crc32c(bytes_.data() + offset, length); }

void TestFile::truncate(uint64_t size_bytes) const {
  REQUIRE(::truncate(path_.c_str(), static_cast<off_t>(size_bytes)) == 0);
}

Destination::Destination(uint64_t length, uint64_t misaligned) : length_(length), size_(length + 2 * kGuard + 4096) {
  memory_ = std::make_unique<uint8_t[]>(size_);
  std::memset(memory_.get(), 0xA5, size_);
  const auto first = reinterpret_cast<uintptr_t>(memory_.get()) + kGuard;
  data_ = memory_.get() + kGuard + ((4096 - first % 4096) % 4096 + misaligned) % 4096;
}

bool Destination::guards_are_whole() const {
  const auto whole = [](uint8_t byte) { return byte == 0xA5; };
  return std::all_of(memory_.get(), data_, whole) && std::all_of(data_ + length_, memory_.get() + size_, whole);
}

bool Destination::is_filled_with(uint8_t value) const {
  return std::all_of(data_, data_ + length_, [value](uint8_t byte) { return byte == value; });
}

Options options_for(const Variant& variant) {
  Options options;
  options.engine = variant.engine;
  options.direct = variant.direct;
  options.chunk_bytes = 64 << 10;
  return options;
}

std::unique_ptr<DiskReader> open_reader(const std::vector<std::string>& paths, const Options& options) {
  Result<std::unique_ptr<DiskReader>> reader = DiskReader::open(paths, options);
  REQUIRE_MESSAGE(reader.ok(), reader.error().message);
  return std::move(*reader);
}

Request request_for(uint64_t offset, uint64_t length, const Destination& destination, uint64_t cookie) {
  Request request;
  request.offset = offset;
  request.length = length;
  request.destination = destination.data();
  request.cookie = cookie;
  return request;
}

std::map<uint64_t, Completion> finish(DiskReader& reader, size_t count) {
  std::map<uint64_t, Completion> all;
  const Clock::time_point end = Clock::now() + seconds(30);
  while (all.size() < count && Clock::now() < end) {
    Completion some[8];
    const size_t got = reader.poll(some, end);
    for (size_t i = 0; i < got; ++i) {
      CHECK_MESSAGE(all.emplace(some[i].cookie, some[i]).second, "reported twice: " << reader.describe(some[i]));
    }
  }
  REQUIRE(all.size() == count);
  return all;
}

}  // namespace moe::disk::test
