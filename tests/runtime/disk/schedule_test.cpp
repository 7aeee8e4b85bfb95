// SPDX-License-Identifier: Apache-2.0
// What is read in which order, what waits for what, and how much of the link a prefetch gets. The disk answers when the
// test says so.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "tests/runtime/disk/faulty_io.h"
#include "tests/runtime/disk/steered_io.h"
#include "tests/runtime/disk/support.h"

namespace moe::disk::test {
namespace {

constexpr uint64_t kChunk = 64 << 10;
constexpr uint64_t kSize = 4 << 20;

/// A reader over a steered disk, driven by hand. Declared after the destinations: it ends with reads under way.
struct Steered {
  explicit Steered(const TestFile& file, Options options = {}) {
    options.engine = Engine::pread;
    options.chunk_bytes = kChunk * 4;  // pieces of 64 KiB
    options.wrap_io = [this](std::unique_ptr<Io> io) { return std::make_unique<SteeredIo>(std::move(io), control); };
    reader = open_reader({file.path()}, options);
  }
  ~Steered() { control.permits = 1000; }

  RequestId ask(uint64_t offset, uint64_t length, const Destination& to, Class cls, uint64_t cookie = 0,
                uint16_t priority = 0, Clock::time_point deadline = kNever) {
    Request request = request_for(offset, length, to, cookie);
    request.cls = cls;
    request.priority = priority;
    request.deadline = deadline;
    return reader->submit(request);
  }
  /// Does what can be done, after letting `permits` reads end. The completions that came.
  std::vector<Completion> step(uint64_t permits = 0) {
    control.permits = permits;
    std::vector<Completion> all;
    Completion some[8];
    while (const size_t count = reader->poll(some, Clock::time_point{})) all.insert(all.end(), some, some + count);
    return all;
  }
  std::vector<uint64_t> offsets_from(size_t first) const {
    std::vector<uint64_t> offsets;
    for (size_t i = first; i < control.started.size(); ++i) offsets.push_back(control.started[i].offset);
    return offsets;
  }

  SteeredIo::Control control;
  std::unique_ptr<DiskReader> reader;
};

TEST_CASE("class, priority, deadline, order: in this order of importance") {
  const TestFile file(kSize, 20);
  Options options;
  options.depth = 1;
  const Destination to(4096);
  Steered s(file, options);
  const Clock::time_point soon = Clock::now() + seconds(1000), later = soon + seconds(1000);
  const auto at = [](uint64_t n) { return n * 3 * 4096; };  // no neighbours
  s.ask(at(0), 4096, to, Class::demand);                    // begins at once: nothing else is there
  s.step();
  s.ask(at(9), 4096, to, Class::prefetch, 0, 9);
  s.ask(at(8), 4096, to, Class::prefetch, 0, 10);
  s.ask(at(7), 4096, to, Class::background);
  s.ask(at(6), 4096, to, Class::demand);
  s.ask(at(5), 4096, to, Class::demand, 0, 0, later);
  s.ask(at(4), 4096, to, Class::demand, 0, 0, soon);
  s.ask(at(3), 4096, to, Class::demand, 0, 5);
  s.ask(at(2), 4096, to, Class::demand, 0, 5, later);
  s.ask(at(1), 4096, to, Class::demand, 0, 6);
  for (int i = 0; i < 10; ++i) s.step(1);
  std::vector<uint64_t> expected(10);
  for (uint64_t i = 0; i < 10; ++i) expected[i] = at(i);
  CHECK(s.offsets_from(0) == expected);
}

TEST_CASE("a demand finds at most one chunk's bytes of others under way, and goes before the rest") {
  const TestFile file(kSize, 21);
  for (const Class cls : {Class::background, Class::prefetch}) {
    const Destination others(kSize / 2), demanded(kChunk * 6);
    Steered s(file);
    s.ask(0, kSize / 2, others, cls);
    s.step();
    const auto bytes = [&](size_t from) {
      return std::accumulate(s.control.started.begin() + static_cast<long>(from), s.control.started.end(), uint64_t{0},
                             [](uint64_t sum, const SteeredIo::Started& read) { return sum + read.length; });
    };
    CHECK(bytes(0) == 4 * kChunk);
    const size_t before = s.control.started.size();
    s.ask(kSize / 2, kChunk * 6, demanded, Class::demand, 1);
    s.step();
    CHECK(s.offsets_from(before) == std::vector<uint64_t>{kSize / 2, kSize / 2 + 4 * kChunk});
    // Nothing of the others begins before the demand has come back.
    CHECK(s.step(before).empty());
    CHECK(s.control.started.size() == before + 2);
    CHECK(s.step(1).empty());
    CHECK(s.control.started.size() == before + 2);
    CHECK(s.step(1).size() == 1);
    CHECK(s.control.started.size() == before + 2 + 4);
    CHECK(demanded.holds(file, kSize / 2));
  }
}

TEST_CASE("promote makes a prefetch demand, what is under way of it too") {
  const TestFile file(kSize, 22);
  const Destination a(kChunk * 8), b(kChunk * 8);
  Steered s(file);
  s.ask(0, kChunk * 8, a, Class::prefetch, 1);
  const RequestId wanted = s.ask(kSize / 2, kChunk * 8, b, Class::prefetch, 2);
  s.step();
  CHECK(s.control.started.size() == 4);  // of the first
  s.reader->promote(wanted, Class::demand);
  s.step();
  CHECK(s.offsets_from(4) == std::vector<uint64_t>{kSize / 2, kSize / 2 + 4 * kChunk});
  s.step(4);  // the first one's pieces: it must wait now
  CHECK(s.control.started.size() == 6);
  const auto done = s.step(2);
  CHECK((done.size() == 1 && done[0].cookie == 2 && done[0].status == Status::ok));
  CHECK(b.holds(file, kSize / 2));
}

TEST_CASE("a stale prefetch that is cancelled is not read") {
  const TestFile file(kSize, 23);
  Options options;
  options.depth = 1;
  Destination a(4096), b(4096), c(4096);
  Steered s(file, options);
  s.ask(0, 4096, a, Class::prefetch, 1);
  s.step();
  const RequestId stale = s.ask(8192, 4096, b, Class::prefetch, 2);
  s.ask(16'384, 4096, c, Class::prefetch, 3);
  s.reader->cancel(stale);
  const auto done = s.step();
  CHECK((done.size() == 1 && done[0].cookie == 2 && done[0].status == Status::cancelled));
  s.reader->cancel(stale);  // of one that has ended: nothing
  s.step(2);
  CHECK(s.offsets_from(0) == std::vector<uint64_t>{0, 16'384});
}

TEST_CASE("a cancelled read that goes straight to its destination is waited for, a staged one is not") {
  const TestFile file(kSize, 24);
  Destination straight(8192), staged(8192, 1);
  Steered s(file);
  const RequestId first = s.ask(0, 8192, straight, Class::demand, 1);
  s.step();
  s.reader->cancel(first);
  CHECK(s.step().empty());
  const auto done = s.step(1);
  CHECK((done.size() == 1 && done[0].status == Status::cancelled && done[0].destination_released));
  if (!s.reader->direct(0)) {
    MESSAGE("skipped: without O_DIRECT nothing is staged");
    return;
  }
  const RequestId second = s.ask(65'536, 8192, staged, Class::demand, 2);
  s.step();
  s.reader->cancel(second);
  const auto at_once = s.step();
  CHECK((at_once.size() == 1 && at_once[0].status == Status::cancelled));
  staged.fill(7);
  s.step(1);
  CHECK(staged.is_filled_with(7));
}

TEST_CASE("when the one that reads is cancelled, the one that waits for the same extent reads") {
  const TestFile file(kSize, 25);
  const Destination a(8192), b(8192), c(8192, 3);
  Steered s(file);
  const RequestId first = s.ask(0, 8192, a, Class::prefetch, 1);
  s.step();
  s.ask(0, 8192, b, Class::demand, 2);
  s.ask(0, 8192, c, Class::background, 3);
  s.step();
  CHECK(s.control.started.size() == 1);
  s.reader->cancel(first);
  s.step();
  CHECK(s.control.started.size() == 2);
  std::vector<Completion> done = s.step(2);
  CHECK(done.size() == 3);
  for (const Completion& completion : done) {
    CHECK(completion.status == (completion.cookie == 1 ? Status::cancelled : Status::ok));
  }
  CHECK((b.holds(file, 0) && c.holds(file, 0)));
}

TEST_CASE("a demand for an extent that is being prefetched makes the prefetch demand") {
  const TestFile file(kSize, 26);
  Options options;
  options.depth = 2;
  const Destination a(4096), b(4096), c(4096), d(4096);
  Steered s(file, options);
  s.ask(0, 4096, a, Class::demand, 1);
  s.step();
  s.ask(8192, 4096, b, Class::prefetch, 2);
  s.ask(16'384, 4096, c, Class::prefetch, 3);
  s.ask(16'384, 4096, d, Class::demand, 4);
  s.step();
  CHECK(s.offsets_from(1) == std::vector<uint64_t>{16'384});
  CHECK(s.step(2).size() == 3);
  CHECK(d.holds(file, 16'384));
}

/// Bytes of prefetch that a link carries in a while, when there is always more to prefetch.
double prefetch_rate(const TestFile& file, const Variant& variant, double share, uint64_t bytes_per_s) {
  Options options = options_for(variant);
  options.prefetch_share = share;
  options.bytes_per_s = bytes_per_s;
  const auto reader = open_reader({file.path()}, options);
  const Destination to(kSize);
  Request request = request_for(0, kSize, to);
  request.cls = Class::prefetch;
  reader->submit(request);
  const Clock::time_point begin = Clock::now();
  Completion done;
  REQUIRE(reader->poll({&done, 1}, begin + seconds(20)) == 1);
  CHECK(done.status == Status::ok);
  CHECK(to.holds(file, 0));
  return static_cast<double>(kSize) / std::chrono::duration<double>(Clock::now() - begin).count();
}

// A machine that is busy makes it slower, never faster; the lower limits are far away for that reason.
TEST_CASE("a limited link carries its bytes per second, and a prefetch its share of them") {
  const TestFile file(kSize, 27);
  for (const Variant& variant : kVariants) {
    SUBCASE(variant.name) {
      constexpr uint64_t kRate = 32 << 20;
      const double whole = prefetch_rate(file, variant, 1, kRate);
      CHECK(whole <= 1.02 * kRate);
      CHECK(whole >= 0.1 * kRate);
      const double quarter = prefetch_rate(file, variant, 0.25, kRate);
      CHECK(quarter <= 1.05 * 0.25 * kRate);
      CHECK(quarter >= 0.02 * kRate);
    }
  }
}

TEST_CASE("a demand on a limited link waits for one chunk of a prefetch at most") {
  const TestFile file(kSize, 28);
  for (const Variant& variant : kVariants) {
    SUBCASE(variant.name) {
      std::vector<uint64_t> offsets;
      Options options = options_for(variant);
      options.bytes_per_s = 4 << 20;  // a chunk: 15.6 ms; its pieces, of at least 64 KiB, as long
      options.wrap_io = [&](std::unique_ptr<Io> io) {
        return std::make_unique<FaultyIo>(std::move(io), [&](const Read& read) {
          offsets.push_back(read.offset);
          return Fault{};
        });
      };
      const Destination prefetched(kSize / 2), demanded(kChunk);
      const auto reader = open_reader({file.path()}, options);
      Request prefetch = request_for(0, kSize / 2, prefetched, 1);
      prefetch.cls = Class::prefetch;
      reader->submit(prefetch);
      Completion done;
      CHECK(reader->poll({&done, 1}, Clock::now() + milliseconds(40)) == 0);
      const size_t before = offsets.size();
      CHECK(before > 0);
      // By the limited link's clock no more has been carried than fits, and one chunk that is on its way.
      CHECK(before <= 40 * (4 << 20) / 1000 / kChunk + 2);
      reader->submit(request_for(kSize / 2, kChunk, demanded, 2));
      REQUIRE(reader->poll({&done, 1}, Clock::now() + seconds(5)) == 1);
      CHECK(done.cookie == 2);
      REQUIRE(offsets.size() > before);
      CHECK(offsets[before] == kSize / 2);
    }
  }
}

}  // namespace
}  // namespace moe::disk::test
