// SPDX-License-Identifier: Apache-2.0
// What the threads of all links have in common: how they start, and when they rest.
#pragma once
#include <pthread.h>
#include <sys/prctl.h>

#include <chrono>
#include <string>
#include <system_error>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/base/signals_blocked.h"

namespace moe::core {

/// How long a thread with nothing to do dozes while only unreleased plans say that more may come.
inline constexpr auto kLongDoze = std::chrono::milliseconds(1);

/// Runs `run` in a thread whose dozes end on time. `link` is for the message, `name` the thread's, at most 15
/// characters, for ever. Errors: no_memory (the system has no thread left).
template <class Run>
Result<void> start_link_thread(std::thread& thread, const char* link, const char* name, Run run) {
  const SignalsBlocked blocked;
  try {
    thread = std::thread([name, run] {
      pthread_setname_np(pthread_self(), name);
      ::prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);  // 1 us; the default of 50 would double every doze
      run();
    });
  } catch (const std::system_error& e) {
    return Error{Error::Kind::no_memory, std::string("cannot start the ") + link + " thread: " + e.what()};
  }
  return {};
}

/// Whether a dispatch may come at any moment: for some time after the last one. The link's thread only.
class Activity {
 public:
  using Clock = std::chrono::steady_clock;

  /// `seen`: the waker's epoch before the thread looked for work.
  bool lasts(uint32_t seen, Clock::time_point now) {
    if (seen != last_seen_) until_ = now + std::chrono::milliseconds(10);
    last_seen_ = seen;
    return now < until_;
  }

 private:
  uint32_t last_seen_ = 0;
  Clock::time_point until_{};
};

}  // namespace moe::core
