// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/watch.h"

#include <sys/stat.h>

#include <chrono>

namespace engine {
namespace {

constexpr std::chrono::milliseconds kPeriod{100};

}  // namespace

FileWatch::FileWatch(std::filesystem::path file, std::function<void()> on_change)
    : file_(std::move(file)), on_change_(std::move(on_change)), seen_(look()), thread_([this] { watch(); }) {}

FileWatch::~FileWatch() {
  {
    const std::lock_guard<std::mutex> guard(lock_);
    ending_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

FileWatch::Seen FileWatch::look() const {
  struct stat info{};
  if (::stat(file_.c_str(), &info) != 0) return {};
  return {info.st_ino, info.st_size, int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

// A change counts when the file has looked the same twice: whoever writes it may not be done.
void FileWatch::watch() {
  Seen last = seen_;
  std::unique_lock<std::mutex> guard(lock_);
  while (!ended_.wait_for(guard, kPeriod, [this] { return ending_; })) {
    const Seen now = look();
    const bool settled = now == last && now.size >= 0;
    last = now;
    if (!settled || now == seen_) continue;
    seen_ = now;
    guard.unlock();
    on_change_();
    guard.lock();
  }
}

}  // namespace engine
