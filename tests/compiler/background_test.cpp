// SPDX-License-Identifier: Apache-2.0
// moe_policy_compile returns early, and better code takes over while an engine dispatches.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/compiler/small_engine.h"

namespace moe::test {
namespace {

// A policy whose prefetches are cancelled when they are late decides by the clock.
constexpr const char* kTimeless =
    "policy p { cache { capacity = 30%  eviction = lfu  ttl = 40 }  prefetch { strategy = history  budget = 2  "
    "cancel_stale = false } }";

TEST_CASE("what runs at once and what takes over decide as code that was waited for") {
  for (const char* text : {kTimeless, kExpressions}) {
    CAPTURE(text);
    const PolicyHandle waited(text, options_for(1));
    const PolicyHandle early(text, options_for(0));
    CHECK(std::string(moe_policy_manifest(waited.handle)) == moe_policy_manifest(early.handle));
    SmallEngine a(waited.handle), b(early.handle);
    CHECK(a.decide(500) == b.decide(500));  // on whatever is there
    REQUIRE(moe_policy_wait(early.handle) == MOE_OK);
    CHECK(a.decide(2000) == b.decide(2000));
  }
}

TEST_CASE("a profile's tables are there from the first dispatch on") {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("moe_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const std::string row = "[0.5,0.5,0,0,0,0,0,0,0,0,0,0,0,0,0,0]";
  std::ofstream(folder / "p.moeprof") << R"({"format": "moeprof", "version": 1, "layers": 4, "experts": 16, "top_k": 2,
    "trace": "", "frequency": [)" + row + "," +
                                             row + "," + row + "," + row + R"(],
    "affinity": [[[1, 2, 0.5]], [[3, 4, 0.25]], [[5, 6, 1.0]], []]})";
  const std::string file = folder / "p.moe";
  const char* text = "policy p { cache { capacity = 30% }  prefetch { strategy = affinity  profile = \"p.moeprof\" } }";
  moe_compile_options options = options_for(0);
  options.file_name = file.c_str();
  const PolicyHandle early(text, options);
  SmallEngine(early.handle).decide(200);
  REQUIRE(moe_policy_wait(early.handle) == MOE_OK);
  std::filesystem::remove_all(folder);
}

TEST_CASE("code takes over while dispatches run") {
  for (int round = 0; round < 5; ++round) {
    const PolicyHandle waited(kExpressions, options_for(1));
    const PolicyHandle early(kExpressions, options_for(0));
    SmallEngine a(waited.handle), b(early.handle);
    std::thread waiter([&] { CHECK(moe_policy_wait(early.handle) == MOE_OK); });
    CHECK(a.decide(3000) == b.decide(3000));
    waiter.join();
  }
}

TEST_CASE("a policy may go while its better code is compiled") {
  for (int round = 0; round < 10; ++round) {
    const char* text = round % 2 ? kPlain : kExpressions;
    {
      const PolicyHandle gone(text, options_for(0));
    }
    auto kept = std::make_unique<PolicyHandle>(text, options_for(0));
    SmallEngine engine(kept->handle);
    kept.reset();  // the engine's reference stays
    engine.decide(50);
  }
}

TEST_CASE("waiting is over at once where there is nothing to wait for") {
  const PolicyHandle waited(kPlain, options_for(1));
  CHECK(moe_policy_wait(waited.handle) == MOE_OK);
  const PolicyHandle quick(kExpressions, options_for(0, 0));
  CHECK(moe_policy_wait(quick.handle) == MOE_OK);
  moe_policy* resident = nullptr;
  const moe_model_shape shape{sizeof shape, kLayers, kExperts, kTopK, 0};
  REQUIRE(moe_policy_resident(&shape, &resident) == MOE_OK);
  CHECK(moe_policy_wait(resident) == MOE_OK);
  moe_policy_destroy(resident);
  CHECK(moe_policy_wait(nullptr) == MOE_INVALID);
}

TEST_CASE("an option that is neither 0 nor 1 is refused") {
  moe_compile_options options = options_for(2);
  moe_policy* policy = nullptr;
  CHECK(moe_policy_compile(kPlain, std::strlen(kPlain), &options, &policy, nullptr) == MOE_INVALID);
  CHECK(std::string(moe_last_error()).find("wait") != std::string::npos);
  options.struct_size = offsetof(moe_compile_options, wait);  // a caller from before the option
  CHECK(moe_policy_compile(kPlain, std::strlen(kPlain), &options, &policy, nullptr) == MOE_OK);
  moe_policy_destroy(policy);
}

TEST_CASE("a process may end while it compiles") {
  for (const char* delay_ms : {"0", "1", "3", "5", "8", "12", "20", "30"}) {
    CAPTURE(delay_ms);
    const std::string command = "/proc/self/exe";
    const pid_t child = fork();
    if (child == 0) {
      execl(command.c_str(), "background_test", "--leave", delay_ms, nullptr);
      _exit(99);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }
}

TEST_CASE("a process may end while it keeps code on disk") {
  std::string folder = (std::filesystem::temp_directory_path() / "moe-background-test-XXXXXX").string();
  REQUIRE(mkdtemp(folder.data()) != nullptr);
  for (int delay_ms = 0; delay_ms <= 80; delay_ms += 4) {
    CAPTURE(delay_ms);
    const std::string delay = std::to_string(delay_ms);
    const pid_t child = fork();
    if (child == 0) {
      execl("/proc/self/exe", "background_test", "--leave", delay.c_str(), folder.c_str(), nullptr);
      _exit(99);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) std::filesystem::remove(entry.path());
  }
  std::filesystem::remove_all(folder);
}

#if !defined(__SANITIZE_THREAD__)  // which does not follow a child that has threads
TEST_CASE("a child of fork compiles in the call and ends") {
  const PolicyHandle before(kExpressions, options_for(0));
  REQUIRE(moe_policy_wait(before.handle) == MOE_OK);
  const pid_t child = fork();
  if (child == 0) {
    moe_policy* policy = nullptr;
    const moe_compile_options options = options_for(0);
    const bool done = moe_policy_compile(kPlain, std::strlen(kPlain), &options, &policy, nullptr) == MOE_OK &&
                      moe_policy_wait(policy) == MOE_OK;
    std::exit(done ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
#endif

int leave(int delay_ms) {
  moe_policy* policies[3] = {};
  const moe_compile_options options = options_for(0);
  for (moe_policy*& policy : policies) {
    if (moe_policy_compile(kExpressions, std::strlen(kExpressions), &options, &policy, nullptr) != MOE_OK) return 1;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
  moe_policy_destroy(policies[0]);
  return 0;
}

}  // namespace
}  // namespace moe::test

int main(int argc, char** argv) {
  setenv("MOE_CACHE_DIR", "", 1);  // everything is to be compiled
  if (argc >= 3 && std::strcmp(argv[1], "--leave") == 0) {
    if (argc == 4) setenv("MOE_CACHE_DIR", argv[3], 1);
    return moe::test::leave(std::atoi(argv[2]));
  }
  doctest::Context context(argc, argv);
  return context.run();
}
