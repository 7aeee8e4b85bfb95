// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <sys/uio.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "runtime/base/signals_blocked.h"
#include "runtime/disk/io.h"

namespace moe::disk {
namespace {

/// A ring that holds as many as it was made for.
template <class T>
class Fifo {
 public:
  explicit Fifo(size_t capacity) : items_(capacity) {}
  bool empty() const { return count_ == 0; }
  void push(const T& item) { items_[(first_ + count_++) % items_.size()] = item; }
  T pop() {
    const T item = items_[first_];
    first_ = (first_ + 1) % items_.size();
    --count_;
    return item;
  }

 private:
  std::vector<T> items_;
  size_t first_ = 0;
  size_t count_ = 0;
};

class PreadIo final : public Io {
 public:
  explicit PreadIo(uint32_t depth) : reads_(depth), results_(depth) {}
  ~PreadIo() override {
    {
      const std::lock_guard hold(lock_);
      stopping_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  Result<void> open(uint32_t num_threads);

  const char* name() const override { return "pread"; }
  void start(const Read& read) override {
    {
      const std::lock_guard hold(lock_);
      reads_.push(read);
    }
    work_.notify_one();
  }
  void flush() override {}
  size_t wait(std::span<ReadResult> results, Clock::time_point until) override;
  void wake() override {
    {
      const std::lock_guard hold(lock_);
      woken_ = true;
    }
    done_.notify_one();
  }

 private:
  void serve();

  std::mutex lock_;
  std::condition_variable work_;
  std::condition_variable done_;
  Fifo<Read> reads_;
  Fifo<ReadResult> results_;
  bool woken_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

Result<void> PreadIo::open(uint32_t num_threads) {
  const SignalsBlocked blocked;
  try {
    threads_.reserve(num_threads);
    while (threads_.size() < num_threads) threads_.emplace_back([this] { serve(); });
  } catch (const std::system_error& e) {
    // One is enough to go on with.
    if (threads_.empty()) {
      return Error{Error::Kind::no_memory, std::string("cannot start a thread that reads: ") + e.what()};
    }
  }
  return {};
}

void PreadIo::serve() {
  pthread_setname_np(pthread_self(), "moe-disk");
  std::unique_lock hold(lock_);
  for (;;) {
    work_.wait(hold, [this] { return stopping_ || !reads_.empty(); });
    if (reads_.empty()) return;
    const Read read = reads_.pop();
    hold.unlock();
    const ssize_t got = ::preadv(read.fd, read.iov, static_cast<int>(read.num_iov), static_cast<off_t>(read.offset));
    const int32_t result = got < 0 ? -errno : static_cast<int32_t>(got);
    hold.lock();
    results_.push({read.tag, result});
    done_.notify_one();
  }
}

size_t PreadIo::wait(std::span<ReadResult> results, Clock::time_point until) {
  std::unique_lock hold(lock_);
  const auto ready = [this] { return woken_ || !results_.empty(); };
  // To wait until the end of time overflows in the library.
  if (until == kNever) {
    done_.wait(hold, ready);
  } else {
    done_.wait_until(hold, until, ready);
  }
  woken_ = false;
  size_t count = 0;
  while (count < results.size() && !results_.empty()) results[count++] = results_.pop();
  return count;
}

}  // namespace

Result<std::unique_ptr<Io>> open_pread(uint32_t depth, uint32_t num_threads) {
  try {
    auto io = std::make_unique<PreadIo>(depth);
    if (Result<void> opened = io->open(num_threads); !opened) return opened.error();
    return std::unique_ptr<Io>(std::move(io));
  } catch (const std::bad_alloc&) {
    return Error{Error::Kind::no_memory, "no memory for the disk's queue"};
  }
}

}  // namespace moe::disk
