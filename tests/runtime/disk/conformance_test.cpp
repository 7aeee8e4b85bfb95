// SPDX-License-Identifier: Apache-2.0
// What every kind of reader must do: io_uring and preads, with O_DIRECT and without, are held to the same expectations.
#include <doctest/doctest.h>

#include <array>
#include <set>
#include <thread>

#include "runtime/base/crc32c.h"
#include "tests/runtime/disk/support.h"

namespace moe::disk::test {
namespace {

#define EVERY_VARIANT(variant) \
  for (const Variant& variant : kVariants) SUBCASE(variant.name)

constexpr uint64_t kSize = (1 << 20) + 1234;  // the last block is not whole

TEST_CASE("the processor's CRC-32C is the table's, and the standard's") {
  CHECK(crc32c("123456789", 9) == 0xE3069283u);  // the check value of the catalogue of CRCs
  const std::array<uint8_t, 32> zeros{};
  CHECK(crc32c(zeros.data(), zeros.size()) == 0x8A9136AAu);  // RFC 3720, B.4
  std::vector<uint8_t> bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 + i / 256);
  for (size_t first = 0; first < 9; ++first) {
    for (size_t length = 0; length < 40; ++length) {
      CHECK(crc32c(&bytes[first], length, 17) == moe::detail::crc32c_by_table(&bytes[first], length, 17));
    }
  }
}

TEST_CASE("every alignment of offset, length and destination gives the file's bytes and nothing else") {
  const TestFile file(kSize, 1);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    CHECK(std::string(reader->engine()) == (variant.engine == Engine::uring ? "io_uring" : "pread"));
    CHECK((variant.direct || !reader->direct(0)));
    uint64_t cookie = 0;
    for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{4095}, uint64_t{4096}, uint64_t{70'001}}) {
      for (const uint64_t length : {uint64_t{1}, uint64_t{511}, uint64_t{4096}, uint64_t{65'536}, uint64_t{65'537},
                                    uint64_t{300'000}, kSize - offset}) {
        for (const uint64_t misaligned : {uint64_t{0}, uint64_t{64}, uint64_t{4095}}) {
          const Destination destination(length, misaligned);
          Request request = request_for(offset, length, destination, ++cookie);
          request.crc32c = file.crc32c_of(offset, length);
          REQUIRE(reader->submit(request) != kNoRequest);
          const auto done = finish(*reader, 1);
          CHECK(done.at(cookie).status == Status::ok);
          CHECK(destination.holds(file, offset));
          CHECK(destination.guards_are_whole());
        }
      }
    }
  }
}

TEST_CASE("neighbours in a file become one read") {
  const TestFile file(kSize, 2);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    // The third is not aligned in memory; a whole file system block later the fourth does not follow.
    const Destination a(8192), b(4096), c(10'000, 100), d(4096);
    REQUIRE(reader->submit(request_for(4096, 8192, a, 1)));
    REQUIRE(reader->submit(request_for(12'288, 4096, b, 2)));
    REQUIRE(reader->submit(request_for(16'384, 10'000, c, 3)));
    REQUIRE(reader->submit(request_for(40'960, 4096, d, 4)));
    for (const auto& [cookie, done] : finish(*reader, 4)) CHECK(done.status == Status::ok);
    CHECK(reader->counters().reads == 2);
    CHECK(reader->counters().coalesced == 2);
    CHECK((a.holds(file, 4096) && b.holds(file, 12'288) && c.holds(file, 16'384) && d.holds(file, 40'960)));
    CHECK((a.guards_are_whole() && b.guards_are_whole() && c.guards_are_whole() && d.guards_are_whole()));
  }
}

TEST_CASE("padding up to a block does not part neighbours") {
  const TestFile file(kSize, 3);
  const auto reader = open_reader({file.path()}, options_for(kVariants[0]));
  if (!reader->direct(0)) {
    MESSAGE("skipped: this file system has no O_DIRECT");
    return;
  }
  const Destination a(5000), b(9000), c(100);
  REQUIRE(reader->submit(request_for(0, 5000, a, 1)));
  REQUIRE(reader->submit(request_for(8192, 9000, b, 2)));
  REQUIRE(reader->submit(request_for(20'480, 100, c, 3)));
  finish(*reader, 3);
  CHECK(reader->counters().reads == 1);
  CHECK((a.holds(file, 0) && b.holds(file, 8192) && c.holds(file, 20'480)));
  CHECK((a.guards_are_whole() && b.guards_are_whole() && c.guards_are_whole()));
}

TEST_CASE("many small neighbours with padding: more than a chunk's worth of blocks") {
  const TestFile file(kSize, 14);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    std::vector<Destination> destinations;
    for (uint64_t i = 0; i < 200; ++i) destinations.emplace_back(100 + i * 19, i % 2);
    for (uint64_t i = 0; i < 200; ++i) {
      REQUIRE(reader->submit(request_for(i * 4096, 100 + i * 19, destinations[i], i)) != kNoRequest);
    }
    for (const auto& [i, done] : finish(*reader, 200)) {
      CHECK(done.status == Status::ok);
      CHECK(destinations[i].holds(file, i * 4096));
      CHECK(destinations[i].guards_are_whole());
    }
    // 64 KiB at a time; without O_DIRECT padding would need memory of its own, so there they stay apart.
    CHECK(reader->counters().reads == (reader->direct(0) ? 13 : 200));
  }
}

TEST_CASE("an extent asked for twice is read once") {
  const TestFile file(kSize, 4);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    const Destination a(200'000), b(200'000, 8), c(200'000);
    Request with_sum = request_for(4096, 200'000, b, 2);
    with_sum.crc32c = file.crc32c_of(4096, 200'000);
    REQUIRE(reader->submit(request_for(4096, 200'000, a, 1)));
    REQUIRE(reader->submit(with_sum));
    REQUIRE(reader->submit(request_for(4096, 200'000, c, 3)));
    for (const auto& [cookie, done] : finish(*reader, 3)) CHECK(done.status == Status::ok);
    CHECK(reader->counters().bytes == 200'000);
    CHECK(reader->counters().deduplicated == 2);
    CHECK((a.holds(file, 4096) && b.holds(file, 4096) && c.holds(file, 4096)));
  }
}

TEST_CASE("a request that cannot be is refused by its completion") {
  const TestFile file(kSize, 5);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    const Destination destination(4096);
    Request other_file = request_for(0, 10, destination, 1);
    other_file.file = 1;
    Request nowhere = request_for(0, 10, destination, 2);
    nowhere.destination = nullptr;
    reader->submit(other_file);
    reader->submit(nowhere);
    reader->submit(request_for(0, 0, destination, 3));
    reader->submit(request_for(kSize - 10, 11, destination, 4));
    reader->submit(request_for(UINT64_MAX - 5, 10, destination, 5));
    for (const auto& [cookie, done] : finish(*reader, 5)) CHECK(done.status == Status::invalid);
    CHECK(reader->counters().reads == 0);
  }
}

TEST_CASE("a wrong checksum is read again once, then named") {
  const TestFile file(kSize, 6);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    const Destination destination(100'000);
    const uint32_t right = file.crc32c_of(8192, 100'000);
    Request request = request_for(8192, 100'000, destination, 1);
    request.crc32c = right ^ 1;
    reader->submit(request);
    const Completion done = finish(*reader, 1).at(1);
    CHECK(done.status == Status::mismatch);
    CHECK(done.expected_crc32c == (right ^ 1));
    CHECK(done.found_crc32c == right);
    CHECK(reader->counters().rereads == 1);
    CHECK(reader->counters().bytes == 200'000);
    const std::string text = reader->describe(done);
    for (const std::string& part : {file.path(), std::string("8192"), std::string("100000"), std::string("0x")}) {
      CHECK_MESSAGE(text.find(part) != std::string::npos, text);
    }
  }
}

TEST_CASE("a file that has become shorter is an error that names the place") {
  const TestFile file(kSize, 7);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    const Destination destination(kSize);
    file.truncate(70'000);
    reader->submit(request_for(0, kSize, destination, 1));
    const Completion done = finish(*reader, 1).at(1);
    CHECK(done.status == Status::end_of_file);
    // Chunks that are wholly beyond the end may be the first to say so.
    CHECK(done.failed_at >= round_down(70'000));
    CHECK(reader->describe(done).find(file.path()) != std::string::npos);
    // What is there can still be read.
    reader->submit(request_for(1000, 69'000, destination, 2));
    CHECK(finish(*reader, 1).at(2).status == Status::ok);
    CHECK(std::memcmp(destination.data(), file.bytes() + 1000, 69'000) == 0);
  }
}

TEST_CASE("a full table says so, and serves again when something was reported") {
  const TestFile file(kSize, 8);
  EVERY_VARIANT(variant) {
    Options options = options_for(variant);
    options.num_requests = 4;
    const auto reader = open_reader({file.path()}, options);
    std::vector<Destination> destinations;
    for (uint64_t i = 0; i < 5; ++i) destinations.emplace_back(4096);
    for (uint64_t round = 0; round < 3; ++round) {
      for (uint64_t i = 0; i < 4; ++i) CHECK(reader->submit(request_for(i * 8192, 4096, destinations[i], i)));
      CHECK(reader->submit(request_for(0, 4096, destinations[4], 4)) == kNoRequest);
      finish(*reader, 4);
    }
  }
}

TEST_CASE("poll returns when its time has come, and when it is woken") {
  const TestFile file(kSize, 9);
  EVERY_VARIANT(variant) {
    const auto reader = open_reader({file.path()}, options_for(variant));
    Completion done;
    Clock::time_point begin = Clock::now();
    CHECK(reader->poll({&done, 1}, begin + milliseconds(20)) == 0);
    CHECK(Clock::now() - begin >= milliseconds(20));
    reader->wake();
    CHECK(reader->poll({&done, 1}, kNever) == 0);
    std::thread waker([&] {
      std::this_thread::sleep_for(milliseconds(20));
      reader->wake();
    });
    CHECK(reader->poll({&done, 1}, kNever) == 0);
    waker.join();
  }
}

TEST_CASE("threads submit, promote and cancel while the owner sleeps in poll") {
  const TestFile file(kSize, 10);
  EVERY_VARIANT(variant) {
    Options options = options_for(variant);
    options.num_requests = 16;
    const auto reader = open_reader({file.path()}, options);
    constexpr uint64_t kThreads = 3, kEach = 150;
    std::vector<Destination> destinations;
    for (uint64_t i = 0; i < kThreads * kEach; ++i) destinations.emplace_back(5000, i % 3 == 0 ? 0 : i % 64);
    const auto offset = [](uint64_t i) { return i * 3571 % (kSize - 5000); };
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (uint64_t n = 0; n < kEach; ++n) {
          const uint64_t i = t * kEach + n;
          Request request = request_for(offset(i), 5000, destinations[i], i);
          request.cls = static_cast<Class>(i % 3);
          RequestId id;
          while ((id = reader->submit(request)) == kNoRequest) std::this_thread::yield();
          if (i % 5 == 0) reader->promote(id, Class::demand, 7);
          if (i % 7 == 0) reader->cancel(id);
        }
      });
    }
    const auto done = finish(*reader, kThreads * kEach);
    for (std::thread& thread : threads) thread.join();
    for (const auto& [i, completion] : done) {
      if (i % 7 == 0 && completion.status == Status::cancelled) continue;
      CHECK(completion.status == Status::ok);
      CHECK(destinations[i].holds(file, offset(i)));
    }
  }
}

TEST_CASE("a reader may be destroyed with reads under way") {
  const TestFile file(kSize, 11);
  EVERY_VARIANT(variant) {
    for (int round = 0; round < 20; ++round) {
      std::vector<Destination> destinations;
      for (uint64_t i = 0; i < 12; ++i) destinations.emplace_back(80'000, i % 2);
      const auto reader = open_reader({file.path()}, options_for(variant));
      for (uint64_t i = 0; i < 12; ++i) reader->submit(request_for(i * 80'000, 80'000, destinations[i], i));
      Completion done;
      reader->poll({&done, 1}, Clock::now());
    }
  }
}

struct Hooks {
  std::vector<std::pair<void*, size_t>> blocks;
  size_t released = 0;
};

TEST_CASE("the staging pool comes from the hooks, whole and once") {
  const TestFile file(kSize, 12);
  Hooks hooks;
  const auto allocate = [](void* user, size_t size, size_t alignment) -> void* {
    void* memory = std::aligned_alloc(alignment, size);
    static_cast<Hooks*>(user)->blocks.push_back({memory, size});
    return memory;
  };
  const auto release = [](void* user, void* memory, size_t size) {
    auto* all = static_cast<Hooks*>(user);
    if (!all->blocks.empty() && all->blocks[0] == std::pair(memory, size)) ++all->released;
    std::free(memory);
  };
  {
    Options options = options_for(kVariants[0]);
    options.staging_memory = Allocator(allocate, release, &hooks);
    options.staging_buffers = 2;
    const auto reader = open_reader({file.path()}, options);
    const Destination destination(500'000, 5);
    reader->submit(request_for(3, 500'000, destination, 1));
    CHECK(finish(*reader, 1).at(1).status == Status::ok);
    CHECK(destination.holds(file, 3));
  }
  CHECK(hooks.blocks.size() == 1);
  CHECK(hooks.blocks[0].second == 2 * ((64 << 10) + 8192));
  CHECK(hooks.released == 1);
}

TEST_CASE("open names what is wrong") {
  const TestFile file(100, 13);
  const auto error = [](const std::vector<std::string>& paths, const Options& options) {
    const auto reader = DiskReader::open(paths, options);
    REQUIRE(!reader.ok());
    return reader.error();
  };
  const Error missing = error({file.path(), "no-such-file"}, {});
  CHECK(missing.kind == Error::Kind::io);
  CHECK(missing.message.find("no-such-file") != std::string::npos);
  CHECK(error({"."}, {}).kind == Error::Kind::io);
  Options options;
  options.depth = 0;
  CHECK(error({file.path()}, options).kind == Error::Kind::invalid);
  options = {};
  options.chunk_bytes = 100'000;
  CHECK(error({file.path()}, options).kind == Error::Kind::invalid);
  options = {};
  options.prefetch_share = 0;
  CHECK(error({file.path()}, options).kind == Error::Kind::invalid);
}

}  // namespace
}  // namespace moe::disk::test
