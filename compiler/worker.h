// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace moe::compiler {

/// One thread that works in the background, and exists only while there is work.
///
/// Threads  any.
class Worker {
 public:
  struct Job {
    std::function<void()> run;
    std::function<void()> drop;  ///< instead of `run`, when the process ends first
  };

  /// The process's. At exit it finishes the job in progress, as that may be inside a library that is about to be taken
  /// down, and drops the others.
  static Worker& instance();

  /// False: there can be no thread, the caller has to do the work. In a child of fork() there is none. From the main
  /// thread on, the process' end waits for the job in progress before it destroys anything.
  bool submit(Job job);

  /// Finishes the job in progress and drops the others. No more are taken then.
  void end();

  Worker() = default;
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

 private:
  void work();

  const int process_ = current_process();
  std::mutex lock_;
  std::deque<Job> jobs_;
  bool working_ = false;
  bool ending_ = false;
  std::thread thread_;

  static int current_process();
};

}  // namespace moe::compiler
