// SPDX-License-Identifier: Apache-2.0
// What a reader that is open costs: no allocation, and for who submits no lock and no system call either.
#include <doctest/doctest.h>

#include "tests/runtime/counted_calls.h"
#include "tests/runtime/disk/support.h"

namespace moe::disk::test {
namespace {

using moe::test::Calls;
using moe::test::Counted;

/// Requests of all kinds: staged and straight, neighbours, doubles, stale ones.
void rounds(DiskReader& reader, const std::vector<Destination>& destinations, int count) {
  for (int round = 0; round < count; ++round) {
    for (uint64_t i = 0; i < destinations.size(); ++i) {
      Request request = request_for(i * 20'480 / 4096 * 4096, 20'000, destinations[i], i);
      request.cls = static_cast<Class>(i % 3);
      const RequestId id = reader.submit(request, false);
      if (i % 5 == 0) reader.promote(id, Class::demand, 3, false);
      if (i % 7 == 0) reader.cancel(id, false);
    }
    for (size_t done = 0; done < destinations.size();) {
      Completion some[8];
      done += reader.poll(some, Clock::now() + seconds(10));
    }
  }
}

TEST_CASE("nothing is allocated after open") {
  const TestFile file(1 << 20, 70);
  for (const Variant& variant : kVariants) {
    SUBCASE(variant.name) {
      const auto reader = open_reader({file.path()}, options_for(variant));
      std::vector<Destination> destinations;
      for (uint64_t i = 0; i < 40; ++i) destinations.emplace_back(20'000, i % 2);
      moe::test::reset_calls();
      {
        const Counted counted;
        rounds(*reader, destinations, 20);
      }
      CHECK(moe::test::counted_calls().allocations == 0);
    }
  }
}

TEST_CASE("who submits, promotes and cancels takes no lock and makes no system call") {
  const TestFile file(1 << 20, 71);
  const auto reader = open_reader({file.path()}, {});
  const Destination to(4096);
  const bool watched = moe::test::watch_system_calls();
  if (!watched) MESSAGE("skipped: this kernel does not tell of system calls");
  moe::test::reset_calls();
  for (uint64_t i = 0; i < 100; ++i) {
    const Counted counted;
    const RequestId id = reader->submit(request_for(i * 8192, 4096, to, i), i % 2 == 0);
    reader->promote(id, Class::demand, 1, false);
    reader->cancel(id, false);
  }
  CHECK(moe::test::counted_calls() == Calls{});
  finish(*reader, 100);
}

}  // namespace
}  // namespace moe::disk::test
