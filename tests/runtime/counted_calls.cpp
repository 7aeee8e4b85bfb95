// SPDX-License-Identifier: Apache-2.0
#include "tests/runtime/counted_calls.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

namespace {

thread_local volatile bool t_inside = false;
std::atomic<uint64_t> g_allocations{0};
std::atomic<uint64_t> g_locks{0};
volatile uint64_t g_syscalls = 0;
volatile char g_selector = 0;  // 0: system calls pass, 1: they raise SIGSYS
bool g_watched = false;

void note(std::atomic<uint64_t>& counter) {
  if (t_inside) counter.fetch_add(1);
}

}  // namespace

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

[[gnu::visibility("default")]] void* malloc(size_t size) {
  note(g_allocations);
  return __libc_malloc(size);
}
[[gnu::visibility("default")]] void* calloc(size_t count, size_t size) {
  note(g_allocations);
  return __libc_calloc(count, size);
}
[[gnu::visibility("default")]] void* realloc(void* memory, size_t size) {
  note(g_allocations);
  return __libc_realloc(memory, size);
}
[[gnu::visibility("default")]] void* aligned_alloc(size_t alignment, size_t size) {
  note(g_allocations);
  return __libc_memalign(alignment, size);
}
[[gnu::visibility("default")]] void free(void* memory) {
  if (memory) note(g_allocations);
  __libc_free(memory);
}
[[gnu::visibility("default")]] int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static const Lock real = reinterpret_cast<Lock>(::dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  note(g_locks);
  return real(mutex);
}

}  // extern "C"

namespace moe::test {
namespace {

void on_system_call(int) {
  g_selector = 0;  // so that the handler may return
  g_syscalls = g_syscalls + 1;
}

}  // namespace

bool watch_system_calls() {
  struct sigaction action{};
  action.sa_handler = on_system_call;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return false;
  g_watched = ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &g_selector) == 0;
  return g_watched;
}

Counted::Counted() {
  t_inside = true;
  g_selector = g_watched ? 1 : 0;
}
Counted::~Counted() {
  g_selector = 0;
  t_inside = false;
}

Calls counted_calls() { return {g_allocations, g_locks, g_syscalls}; }
void reset_calls() {
  g_allocations = g_locks = 0;
  g_syscalls = 0;
}

Calls make_some_calls() {
  static std::mutex mutex;
  reset_calls();
  {
    const Counted counted;
    std::free(std::malloc(17));
    const std::lock_guard lock(mutex);
    if (g_watched) ::syscall(SYS_getpid);
  }
  const Calls made = counted_calls();
  reset_calls();
  return made;
}

}  // namespace moe::test
