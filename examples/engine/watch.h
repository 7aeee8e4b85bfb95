// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace engine {

/// Looks after a file, from a thread of its own, and says when it has changed: ten times a second, by its identity,
/// size and time, so that editors that write a new file and rename it are noticed too.
class FileWatch {
 public:
  /// `on_change` runs in the watching thread; it must not throw.
  FileWatch(std::filesystem::path file, std::function<void()> on_change);
  /// A change that is being handled is handled to its end.
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

 private:
  struct Seen {
    uint64_t inode = 0;
    int64_t size = -1;
    int64_t time_ns = 0;
    bool operator==(const Seen&) const = default;
  };
  Seen look() const;
  void watch();

  const std::filesystem::path file_;
  const std::function<void()> on_change_;
  Seen seen_;
  std::mutex lock_;
  std::condition_variable ended_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace engine
