// SPDX-License-Identifier: Apache-2.0
// Counts what a stretch of code must not do: the program's allocator and its mutex lock are replaced by counting ones
// (counted_calls.cpp), and the kernel raises a signal for every system call between two marks.
#pragma once
#include <cstdint>

namespace moe::test {

/// Lets the kernel tell of this thread's system calls from now on; false where it cannot.
bool watch_system_calls();

/// While it lives, this thread's calls are counted. Not nested.
class Counted {
 public:
  Counted();
  ~Counted();
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

/// Since the last reset.
struct Calls {
  uint64_t allocations = 0;  ///< and frees
  uint64_t locks = 0;
  uint64_t system_calls = 0;
  friend bool operator==(const Calls&, const Calls&) = default;
};
Calls counted_calls();
void reset_calls();

/// The instruments work: one allocation and its free, one lock and, where they are watched, one system call.
Calls make_some_calls();

}  // namespace moe::test
