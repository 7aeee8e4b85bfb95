// SPDX-License-Identifier: Apache-2.0
// Disks that fail, stall, lie and hesitate: the right bytes or a clear error, in time, and nothing is lost by it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "tests/runtime/disk/faulty_io.h"
#include "tests/runtime/disk/support.h"

namespace moe::disk::test {
namespace {

constexpr uint64_t kSize = 1 << 20;

#define EVERY_VARIANT(variant) \
  for (const Variant& variant : kVariants) SUBCASE(variant.name)

Options with_faults(const Variant& variant, FaultyIo::Plan plan) {
  Options options = options_for(variant);
  options.wrap_io = [plan = std::move(plan)](std::unique_ptr<Io> io) {
    return std::make_unique<FaultyIo>(std::move(io), plan);
  };
  return options;
}

bool covers(const Read& read, uint64_t offset) {
  uint64_t length = 0;
  for (uint32_t i = 0; i < read.num_iov; ++i) length += read.iov[i].iov_len;
  return offset >= read.offset && offset < read.offset + length;
}

Fault error(int number) { return {Fault::Kind::error, number, 0, {}}; }

/// Every record, chunk and staging buffer is back: more than fit at once are served, with and without staging.
void check_nothing_is_lost(DiskReader& reader, const TestFile& file, const Options& options) {
  std::vector<Destination> destinations;
  for (uint64_t i = 0; i < options.num_requests; ++i) destinations.emplace_back(3000, i % 2);
  for (uint64_t i = 0; i < options.num_requests; ++i) {
    CHECK(reader.submit(request_for(i * 4096 % (kSize / 2), 3000, destinations[i], i)) != kNoRequest);
  }
  for (const auto& [i, done] : finish(reader, options.num_requests)) {
    CHECK(done.status == Status::ok);
    CHECK(destinations[i].holds(file, i * 4096 % (kSize / 2)));
  }
}

TEST_CASE("a read that fails once is tried again") {
  const TestFile file(kSize, 40);
  EVERY_VARIANT(variant) {
    int failures = 0;
    const Options options = with_faults(variant, [&](const Read&) { return failures++ < 3 ? error(EIO) : Fault{}; });
    const auto reader = open_reader({file.path()}, options);
    const Destination to(200'000);  // four chunks, three of which fail once
    reader->submit(request_for(0, 200'000, to, 1));
    CHECK(finish(*reader, 1).at(1).status == Status::ok);
    CHECK(to.holds(file, 0));
    CHECK(reader->counters().retries == 3);
    check_nothing_is_lost(*reader, file, options);
  }
}

TEST_CASE("a bad sector fails the extent that has it, by name, and no neighbour") {
  const TestFile file(kSize, 41);
  EVERY_VARIANT(variant) {
    constexpr uint64_t kBad = kSize - 100'000;
    const Options options =
        with_faults(variant, [&](const Read& read) { return covers(read, kBad) ? error(EIO) : Fault{}; });
    const auto reader = open_reader({file.path()}, options);
    const uint64_t first = round_down(kBad) - 8192;
    const Destination before(8192), bad(8192), after(8192);
    reader->submit(request_for(first, 8192, before, 1));
    reader->submit(request_for(first + 8192, 8192, bad, 2));
    reader->submit(request_for(first + 16'384, 8192, after, 3));
    const auto done = finish(*reader, 3);
    CHECK(reader->counters().coalesced >= 2);
    CHECK(done.at(1).status == Status::ok);
    CHECK(done.at(3).status == Status::ok);
    CHECK((before.holds(file, first) && after.holds(file, first + 16'384)));
    CHECK(done.at(2).status == Status::io_error);
    CHECK(done.at(2).error_number == EIO);
    CHECK(done.at(2).offset == first + 8192);
    CHECK(done.at(2).failed_at == first + 8192);
    const std::string text = reader->describe(done.at(2));
    CHECK_MESSAGE(text.find(file.path()) != std::string::npos, text);
    CHECK_MESSAGE(text.find(std::to_string(first + 8192)) != std::string::npos, text);
    check_nothing_is_lost(*reader, file, options);
  }
}

TEST_CASE("who waits for the same extent fails with it") {
  const TestFile file(kSize, 42);
  bool broken = true;
  const Options options = with_faults(kVariants[0], [&](const Read&) { return broken ? error(EIO) : Fault{}; });
  const auto reader = open_reader({file.path()}, options);
  const Destination a(300'000), b(300'000);
  reader->submit(request_for(0, 300'000, a, 1));
  reader->submit(request_for(0, 300'000, b, 2));
  const auto done = finish(*reader, 2);
  CHECK((done.at(1).status == Status::io_error && done.at(2).status == Status::io_error));
  CHECK(done.at(2).error_number == EIO);
  broken = false;
  check_nothing_is_lost(*reader, file, options);
}

TEST_CASE("a short read goes on where it ended") {
  const TestFile file(kSize, 43);
  EVERY_VARIANT(variant) {
    uint64_t reads = 0;
    // 12345 bytes, then 4096, then all: with O_DIRECT only whole blocks count.
    const Options options = with_faults(variant, [&](const Read&) {
      const uint64_t amounts[] = {12'345, 4096, kSize};
      return Fault{Fault::Kind::shortened, 0, amounts[reads++ % 3], {}};
    });
    const auto reader = open_reader({file.path()}, options);
    const Destination to(300'000, 16), straight(300'000);
    Request request = request_for(1000, 300'000, to, 1);
    request.crc32c = file.crc32c_of(1000, 300'000);
    reader->submit(request);
    reader->submit(request_for(4096, 300'000, straight, 2));
    for (const auto& [cookie, done] : finish(*reader, 2)) CHECK(done.status == Status::ok);
    CHECK((to.holds(file, 1000) && straight.holds(file, 4096)));
    CHECK((to.guards_are_whole() && straight.guards_are_whole()));
    CHECK(reader->counters().short_reads > 0);
    CHECK(reader->counters().rereads == 0);
  }
}

TEST_CASE("a read that brings nothing, again and again, is an error and no loop") {
  const TestFile file(kSize, 44);
  EVERY_VARIANT(variant) {
    const Options options = with_faults(variant, [](const Read&) { return Fault{Fault::Kind::shortened, 0, 0, {}}; });
    const auto reader = open_reader({file.path()}, options);
    const Destination to(10'000);
    reader->submit(request_for(0, 10'000, to, 1));
    CHECK(finish(*reader, 1).at(1).status == Status::end_of_file);
  }
}

TEST_CASE("interrupted reads are repeated") {
  const TestFile file(kSize, 45);
  int reads = 0;
  const Options options = with_faults(kVariants[0], [&](const Read&) {
    const int interruptions[] = {EINTR, EAGAIN, ECANCELED};
    return ++reads % 7 < 6 ? error(interruptions[reads % 3]) : Fault{};
  });
  const auto reader = open_reader({file.path()}, options);
  const Destination to(50'000);
  reader->submit(request_for(0, 50'000, to, 1));
  CHECK(finish(*reader, 1).at(1).status == Status::ok);
  CHECK(to.holds(file, 0));
}

TEST_CASE("where O_DIRECT turns out not to work the file is read buffered") {
  const TestFile file(kSize, 46);
  EVERY_VARIANT(variant) {
    DiskReader* reader_of_plan = nullptr;
    const Options options =
        with_faults(variant, [&](const Read&) { return reader_of_plan->direct(0) ? error(EINVAL) : Fault{}; });
    const auto reader = open_reader({file.path()}, options);
    reader_of_plan = reader.get();
    const Destination to(300'000, 1), straight(300'000);
    reader->submit(request_for(77, 300'000, to, 1));
    reader->submit(request_for(8192, 300'000, straight, 2));
    for (const auto& [cookie, done] : finish(*reader, 2)) CHECK(done.status == Status::ok);
    CHECK((to.holds(file, 77) && straight.holds(file, 8192)));
    CHECK(!reader->direct(0));
  }
}

TEST_CASE("a corrupt read is read again, and a corrupt disk is named") {
  const TestFile file(kSize, 47);
  EVERY_VARIANT(variant) {
    int corrupt = 1;
    const Options options = with_faults(
        variant, [&](const Read&) { return corrupt-- > 0 ? Fault{Fault::Kind::corrupt, 0, 5000, {}} : Fault{}; });
    const auto reader = open_reader({file.path()}, options);
    const Destination to(200'000), same(200'000, 1);
    Request request = request_for(4096, 200'000, to, 1);
    request.crc32c = file.crc32c_of(4096, 200'000);
    reader->submit(request);
    // Who gave no sum gets the right bytes too.
    reader->submit(request_for(4096, 200'000, same, 2));
    for (const auto& [cookie, done] : finish(*reader, 2)) CHECK(done.status == Status::ok);
    CHECK((to.holds(file, 4096) && same.holds(file, 4096)));
    CHECK(reader->counters().rereads == 1);

    corrupt = 1000;
    reader->submit(request);
    const Completion done = finish(*reader, 1).at(1);
    CHECK(done.status == Status::mismatch);
    CHECK(done.found_crc32c != done.expected_crc32c);
    CHECK(done.expected_crc32c == *request.crc32c);
    corrupt = 0;
    check_nothing_is_lost(*reader, file, options);
  }
}

TEST_CASE("a stalled disk: late in time, and the destination is the reader's until the bytes have come") {
  const TestFile file(kSize, 48);
  EVERY_VARIANT(variant) {
    constexpr auto kStall = milliseconds(2000);
    int stalled = 1;
    const Options options = with_faults(
        variant, [&](const Read&) { return stalled-- > 0 ? Fault{Fault::Kind::none, 0, 0, kStall} : Fault{}; });
    const auto reader = open_reader({file.path()}, options);
    Destination late(8192), other(8192);
    Request request = request_for(0, 8192, late, 1);
    const Clock::time_point begin = Clock::now();
    request.deadline = begin + milliseconds(100);
    reader->submit(request);
    Completion done;
    REQUIRE(reader->poll({&done, 1}, kNever) == 1);
    CHECK(done.status == Status::timed_out);
    CHECK(!done.destination_released);
    CHECK(Clock::now() - begin >= milliseconds(100));
    CHECK(Clock::now() - begin < kStall);
    // Others are served meanwhile.
    reader->submit(request_for(65'536, 8192, other, 2));
    CHECK(finish(*reader, 1).at(2).status == Status::ok);
    CHECK(other.holds(file, 65'536));

    REQUIRE(reader->poll({&done, 1}, kNever) == 1);
    CHECK(done.cookie == 1);
    CHECK(done.status == Status::released);
    CHECK(done.destination_released);
    CHECK(Clock::now() - begin >= kStall);
    late.fill(9);
    check_nothing_is_lost(*reader, file, options);
    CHECK(late.is_filled_with(9));
  }
}

TEST_CASE("without deadlines a disk that does not answer ends requests after the stall limit, queued ones too") {
  const TestFile file(kSize, 49);
  EVERY_VARIANT(variant) {
    bool stalled = true;
    Options options = with_faults(
        variant, [&](const Read&) { return stalled ? Fault{Fault::Kind::none, 0, 0, milliseconds(1500)} : Fault{}; });
    options.stall_limit = milliseconds(200);
    options.depth = 2;
    const auto reader = open_reader({file.path()}, options);
    const Destination a(4096), b(4096, 1), c(4096), d(4096);
    const Clock::time_point begin = Clock::now();
    reader->submit(request_for(0, 4096, a, 1));
    reader->submit(request_for(16'384, 4096, b, 2));
    reader->submit(request_for(32'768, 4096, c, 3));
    reader->submit(request_for(0, 4096, d, 4));
    std::map<uint64_t, Completion> done;
    std::vector<uint64_t> held, released;
    Completion one;
    while (done.size() < 4) {
      REQUIRE(reader->poll({&one, 1}, begin + seconds(20)) == 1);
      REQUIRE(done.emplace(one.cookie, one).second);
      CHECK(one.status == Status::timed_out);
      if (!one.destination_released) held.push_back(one.cookie);
    }
    CHECK(Clock::now() - begin < milliseconds(1500));
    CHECK(held.size() == (reader->direct(0) ? 1 : 2));  // the second one was staged
    stalled = false;
    while (released.size() < held.size()) {
      REQUIRE(reader->poll({&one, 1}, begin + seconds(20)) == 1);
      CHECK(one.status == Status::released);
      released.push_back(one.cookie);
    }
    std::sort(held.begin(), held.end());
    std::sort(released.begin(), released.end());
    CHECK(held == released);
    check_nothing_is_lost(*reader, file, options);
  }
}

TEST_CASE("results that came while nobody polled are not late") {
  const TestFile file(kSize, 50);
  EVERY_VARIANT(variant) {
    Options options = options_for(variant);
    options.stall_limit = milliseconds(500);
    const auto reader = open_reader({file.path()}, options);
    const Destination to(8192);
    Request request = request_for(0, 8192, to, 1);
    request.deadline = Clock::now() + milliseconds(500);
    reader->submit(request);
    Completion done;
    if (reader->poll({&done, 1}, Clock::time_point{}) == 0) {
      std::this_thread::sleep_for(milliseconds(700));
      REQUIRE(reader->poll({&done, 1}, Clock::time_point{}) == 1);
    }
    CHECK(done.status == Status::ok);
    CHECK(to.holds(file, 0));
  }
}

TEST_CASE("a prefetch past its deadline is dropped unread") {
  const TestFile file(kSize, 51);
  const auto reader = open_reader({file.path()}, options_for(kVariants[0]));
  const Destination to(8192);
  Request request = request_for(0, 8192, to, 1);
  request.cls = Class::prefetch;
  request.deadline = Clock::now() - milliseconds(1);
  reader->submit(request);
  const Completion done = finish(*reader, 1).at(1);
  CHECK(done.status == Status::timed_out);
  CHECK(done.destination_released);
  CHECK(reader->counters().reads == 0);
}

TEST_CASE("destroying the reader waits for a stalled read, which writes to memory that is still there") {
  const TestFile file(kSize, 52);
  EVERY_VARIANT(variant) {
    const Options options =
        with_faults(variant, [](const Read&) { return Fault{Fault::Kind::none, 0, 0, milliseconds(300)}; });
    const Destination to(8192);
    auto reader = open_reader({file.path()}, options);
    reader->submit(request_for(0, 8192, to, 1));
    Completion done;
    const Clock::time_point begin = Clock::now();
    CHECK(reader->poll({&done, 1}, begin) == 0);
    reader.reset();
    CHECK(Clock::now() - begin >= milliseconds(250));
    CHECK(to.holds(file, 0));
  }
}

}  // namespace
}  // namespace moe::disk::test
