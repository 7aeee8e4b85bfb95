// SPDX-License-Identifier: Apache-2.0
// moe_dispatch allocates nothing, takes no lock and makes no system call: this program replaces the allocator and the
// lock by counting ones, and lets the kernel raise a signal for every system call between two marks.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "tests/runtime/support.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

namespace {

thread_local volatile bool t_inside = false;  // this thread is in moe_dispatch
std::atomic<uint64_t> g_allocations{0};
std::atomic<uint64_t> g_locks{0};
volatile uint64_t g_syscalls = 0;
volatile char g_selector = 0;  // 0: system calls pass, 1: they raise SIGSYS

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

/// Lets SIGSYS tell of this thread's system calls while g_selector is 1; false where the kernel cannot.
bool watch_system_calls() {
  struct sigaction action{};
  action.sa_handler = on_system_call;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return false;
  return ::prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0L, 0L, &g_selector) == 0;
}

class Inside {
 public:
  explicit Inside(bool watched) {
    t_inside = true;
    g_selector = watched ? 1 : 0;
  }
  ~Inside() {
    g_selector = 0;
    t_inside = false;
  }
};

/// Dispatches of all sorts, with plans left open for a while, hints, swaps and refusals.
void exercise(const decision::Params& p, bool watched, uint32_t n, uint64_t log_bytes = 0) {
  moe_runtime_config config = config_for(p);
  config.decision_log_bytes = log_bytes;
  config.max_plans = 4;
  Fixture f(p, 2000, config);
  REQUIRE(f.attach(p) == MOE_OK);
  std::mt19937 random(99);
  moe_plan open[3] = {empty_plan(), empty_plan(), empty_plan()};
  for (uint32_t i = 0; i < n; ++i) {
    std::vector<int32_t> ids;
    const uint32_t tokens = random() % 8 == 0 ? 16 : 1;
    for (uint32_t t = 0; t < tokens; ++t) {
      const auto a = static_cast<uint32_t>(random() % p.num_experts);
      const auto b = static_cast<uint32_t>((a + 1 + random() % (p.num_experts - 1)) % p.num_experts);
      ids.insert(ids.end(), {static_cast<int32_t>(a), static_cast<int32_t>(random() % 50 ? b : a)});
    }
    const float probabilities[] = {0.5f, 0.5f};
    if (i % 3 == 0 && ids[0] != ids[1])
      REQUIRE(moe_hint(f.get(), i % p.num_layers, ids.data(), probabilities, 2) == MOE_OK);
    if (i % 97 == 0) {
      decision::Params other = p;
      other.eviction = (i / 97) % 11;
      REQUIRE(f.attach(other) == MOE_OK);
    }
    moe_dispatch_args args = dispatch_args(p, i % p.num_layers, ids);
    moe_plan& plan = open[i % 3];
    if (plan.id != 0) {
      for (uint32_t e = 0; e < plan.num_entries && i % 2; ++e) {
        if (moe_plan_wait(f.get(), &plan, e, nullptr) == MOE_OK) moe_plan_done(f.get(), &plan, e, nullptr);
      }
      REQUIRE(moe_plan_release(f.get(), &plan, nullptr) == MOE_OK);
    }
    plan = empty_plan();
    moe_status status;
    {
      const Inside inside(watched);
      status = moe_dispatch(f.get(), &args, &plan);
    }
    REQUIRE((status == MOE_OK || status == MOE_INVALID));
  }
}

TEST_CASE("dispatch allocates nothing, takes no lock, makes no system call") {
  const bool watched = watch_system_calls();
  if (!watched) MESSAGE("[SKIP] this kernel cannot report system calls; allocations and locks are still counted");
  // The instruments work.
  {
    const Inside inside(watched);
    std::free(std::malloc(17));
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    if (watched) ::syscall(SYS_getpid);
  }
  CHECK(g_allocations == 2);
  CHECK(g_locks == 1);
  CHECK(g_syscalls == (watched ? 1 : 0));
  g_allocations = g_locks = 0;
  g_syscalls = 0;

  decision::Params p = lru_params(3, 32, 2, 12);
  exercise(p, watched, 3000);
  p.strategy = static_cast<uint32_t>(decision::Strategy::gate);
  p.priority_routing = 1;
  exercise(p, watched, 3000);
  p.strategy = static_cast<uint32_t>(decision::Strategy::history);
  p.protect_selected = 0;
  p.ttl = 20;
  p.miss = static_cast<uint32_t>(decision::MissAction::cpu_load);
  exercise(p, watched, 3000);
  exercise(p, watched, 3000, 1 << 16);  // a decision log that wraps, with states of many policies
  exercise(p, watched, 3000, 1 << 24);
  CHECK(g_allocations == 0);
  CHECK(g_locks == 0);
  CHECK(g_syscalls == 0);
}

}  // namespace
}  // namespace moe::test
