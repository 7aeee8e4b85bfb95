// SPDX-License-Identifier: Apache-2.0
#include "compiler/worker.h"

#include <unistd.h>

#include <system_error>

#include "runtime/base/signals_blocked.h"

namespace moe::compiler {

namespace {

/// Of the main thread, whose own objects go first when it ends the process. What jobs make at their first use, such as
/// LLVM's tables, was made after the worker and would go before it, under the job that reads it.
struct EndOfMainThread {
  ~EndOfMainThread() {
    if (gettid() == getpid()) Worker::instance().end();
  }
  void begin() const {}
};

}  // namespace

int Worker::current_process() { return getpid(); }

// Made at its first use, so after everything that jobs use was made at start-up: it ends before that does.
Worker& Worker::instance() {
  static Worker worker;
  return worker;
}

bool Worker::submit(Job job) {
  if (process_ != current_process()) return false;
  static thread_local const EndOfMainThread at_end;
  at_end.begin();
  const std::lock_guard<std::mutex> guard(lock_);
  if (ending_) return false;
  jobs_.push_back(std::move(job));
  if (working_) return true;
  try {
    if (thread_.joinable()) thread_.join();  // it has left its loop
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error&) {
    jobs_.pop_back();
    return false;
  }
  working_ = true;
  return true;
}

void Worker::work() {
  std::unique_lock<std::mutex> guard(lock_);
  while (!jobs_.empty() && !ending_) {
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    guard.unlock();
    job.run();
    job = {};  // what it holds ends outside the lock
    guard.lock();
  }
  working_ = false;
}

Worker::~Worker() { end(); }

void Worker::end() {
  if (process_ != current_process()) {
    if (thread_.joinable()) thread_.detach();  // the parent's
    return;
  }
  {
    const std::lock_guard<std::mutex> guard(lock_);
    ending_ = true;
  }
  if (thread_.joinable()) thread_.join();
  for (const Job& job : jobs_) job.drop();
  jobs_.clear();
}

}  // namespace moe::compiler
