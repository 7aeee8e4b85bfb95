// SPDX-License-Identifier: Apache-2.0
// Kernels that refuse io_uring or O_DIRECT: a seccomp filter on a thread of the test makes this one such.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <thread>

#include "tests/runtime/disk/support.h"

namespace moe::disk::test {
namespace {

#if defined(__x86_64__)

bool install(const std::vector<sock_filter>& filter) {
  sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

constexpr sock_filter load(uint32_t offset) { return {BPF_LD | BPF_W | BPF_ABS, 0, 0, offset}; }
constexpr sock_filter fail_with(uint32_t code) { return {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | code}; }
constexpr sock_filter kAllow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};

std::vector<sock_filter> refuse_uring(uint32_t code) {
  return {
      load(offsetof(seccomp_data, nr)), {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_io_uring_setup}, fail_with(code), kAllow};
}

std::vector<sock_filter> refuse_direct() {
  return {load(offsetof(seccomp_data, nr)),
          {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_openat},
          load(offsetof(seccomp_data, args[2])),
          {BPF_JMP | BPF_JSET | BPF_K, 0, 1, O_DIRECT},
          fail_with(EINVAL),
          kAllow};
}

/// Runs f in a thread under the filter; false where the kernel takes none.
template <class F>
bool under(const std::vector<sock_filter>& filter, F&& f) {
  bool installed = false;
  std::thread thread([&] {
    installed = install(filter);
    if (installed) f();
  });
  thread.join();
  if (!installed) MESSAGE("skipped: this kernel takes no seccomp filter");
  return installed;
}

void check_reads(DiskReader& reader, const TestFile& file) {
  const Destination to(300'000, 1);
  Request request = request_for(777, 300'000, to, 1);
  request.crc32c = file.crc32c_of(777, 300'000);
  reader.submit(request);
  CHECK(finish(reader, 1).at(1).status == Status::ok);
  CHECK(to.holds(file, 777));
}

TEST_CASE("where the kernel refuses io_uring the reader preads, and says why") {
  const TestFile file(1 << 20, 60);
  for (const int code : {EPERM, ENOSYS, ENOMEM}) {
    under(refuse_uring(static_cast<uint32_t>(code)), [&] {
      const auto reader = open_reader({file.path()}, {});
      CHECK(std::string(reader->engine()) == "pread");
      CHECK(reader->fallback_reason().find(std::strerror(code)) != std::string::npos);
      check_reads(*reader, file);
      Options options;
      options.engine = Engine::uring;
      const auto only = DiskReader::open(std::vector{file.path()}, options);
      REQUIRE(!only.ok());
      CHECK(only.error().kind == Error::Kind::unsupported);
    });
  }
}

TEST_CASE("where a file system refuses O_DIRECT the file is opened without") {
  const TestFile file(1 << 20, 61);
  under(refuse_direct(), [&] {
    const auto reader = open_reader({file.path()}, {});
    CHECK(!reader->direct(0));
    check_reads(*reader, file);
  });
}

#endif

}  // namespace
}  // namespace moe::disk::test
