// SPDX-License-Identifier: Apache-2.0
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <thread>

#include "runtime/disk/io.h"

namespace moe::disk {
namespace {

constexpr uint64_t kWakeTag = UINT64_MAX;

class UringIo final : public Io {
 public:
  UringIo() = default;
  ~UringIo() override {
    if (has_ring_) io_uring_queue_exit(&ring_);
    if (wake_fd_ >= 0) ::close(wake_fd_);
  }

  /// 0 or an errno.
  int open(uint32_t depth, std::span<const iovec> buffers);

  const char* name() const override { return "io_uring"; }
  void start(const Read& read) override;
  void flush() override { io_uring_submit(&ring_); }
  size_t wait(std::span<ReadResult> results, Clock::time_point until) override;
  void wake() override {
    const uint64_t one = 1;
    // Fails only when 2^64 - 2 wakes are pending already.
    [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
  }

 private:
  size_t reap(std::span<ReadResult> results);
  void watch_for_wakes();

  io_uring ring_{};
  bool has_ring_ = false;
  bool has_buffers_ = false;
  int wake_fd_ = -1;
};

int UringIo::open(uint32_t depth, std::span<const iovec> buffers) {
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd_ < 0) return errno;
  io_uring_params params{};
  // Room for every read, the watch for wakes, and one that is armed again before the last was reaped.
  if (const int code = io_uring_queue_init_params(depth + 2, &ring_, &params); code < 0) return -code;
  has_ring_ = true;
  // Without EXT_ARG a wait with a time limit takes an entry of the ring.
  if (!(params.features & IORING_FEAT_EXT_ARG) || !(params.features & IORING_FEAT_NODROP)) return ENOSYS;
  has_buffers_ =
      !buffers.empty() && io_uring_register_buffers(&ring_, buffers.data(), static_cast<unsigned>(buffers.size())) == 0;
  watch_for_wakes();
  return 0;
}

void UringIo::watch_for_wakes() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  io_uring_prep_poll_add(sqe, wake_fd_, POLLIN);
  io_uring_sqe_set_data64(sqe, kWakeTag);
}

void UringIo::start(const Read& read) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  const iovec& first = read.iov[0];
  if (read.num_iov != 1) {
    io_uring_prep_readv(sqe, read.fd, read.iov, read.num_iov, read.offset);
  } else if (has_buffers_ && read.buffer >= 0) {
    io_uring_prep_read_fixed(sqe, read.fd, first.iov_base, static_cast<unsigned>(first.iov_len), read.offset,
                             read.buffer);
  } else {
    io_uring_prep_read(sqe, read.fd, first.iov_base, static_cast<unsigned>(first.iov_len), read.offset);
  }
  io_uring_sqe_set_data64(sqe, read.tag);
}

size_t UringIo::reap(std::span<ReadResult> results) {
  size_t count = 0;
  io_uring_cqe* cqe = nullptr;
  while (count < results.size() && io_uring_peek_cqe(&ring_, &cqe) == 0) {
    const uint64_t tag = io_uring_cqe_get_data64(cqe);
    const int32_t result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    if (tag == kWakeTag) {
      uint64_t wakes;
      [[maybe_unused]] const ssize_t got = ::read(wake_fd_, &wakes, sizeof wakes);
      watch_for_wakes();
    } else {
      results[count++] = {static_cast<uint32_t>(tag), result};
    }
  }
  return count;
}

size_t UringIo::wait(std::span<ReadResult> results, Clock::time_point until) {
  if (const size_t count = reap(results); count != 0) {
    flush();
    return count;
  }
  using std::chrono::nanoseconds;
  if (until == Clock::time_point{}) {
    flush();
    return reap(results);
  }
  // A year stands for ever: adding UINT64_MAX nanoseconds to now overflows in the kernel.
  const auto left = until == kNever ? std::chrono::hours(24 * 365) : std::max(until - Clock::now(), nanoseconds(0));
  const int64_t left_ns = std::chrono::duration_cast<nanoseconds>(left).count();
  __kernel_timespec limit{};
  limit.tv_sec = left_ns / 1'000'000'000;
  limit.tv_nsec = left_ns % 1'000'000'000;
  io_uring_cqe* cqe = nullptr;
  const int code = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &limit, nullptr);
  // The kernel has no memory for the reads: they stay in the ring, and the next call offers them again. Others' time
  // must pass, not ours alone.
  if (code == -EAGAIN || code == -EBUSY || code == -ENOMEM) {
    std::this_thread::sleep_for(std::min<nanoseconds>(nanoseconds(left_ns), std::chrono::milliseconds(1)));
  }
  return reap(results);
}

}  // namespace

Result<std::unique_ptr<Io>> open_uring(uint32_t depth, std::span<const iovec> buffers) {
  std::unique_ptr<UringIo> io(new (std::nothrow) UringIo);
  if (!io) return Error{Error::Kind::no_memory, "no memory for the disk's queue"};
  if (const int code = io->open(depth, buffers); code != 0) {
    return Error{Error::Kind::unsupported, std::string("the kernel refuses io_uring: ") + std::strerror(code)};
  }
  return std::unique_ptr<Io>(std::move(io));
}

}  // namespace moe::disk
