// SPDX-License-Identifier: Apache-2.0
// What every backend does; and CudaBackend over devices that are not there.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/runtime/cuda/fake_driver.h"
#include "tests/runtime/cuda/subjects.h"

namespace moe::test {
namespace {

using cuda::Peers;

constexpr moe_backend_settings kSettings{0, 100, 0};

TEST_CASE("host: conformance") { check_conformance(host_subject); }

TEST_CASE("CUDA without a device: conformance, in many orders of the streams' work") {
  for (uint32_t seed = 1; seed <= 24; ++seed) {
    CAPTURE(seed);
    FakeDriver driver({.num_devices = 1 + static_cast<int>(seed % 2), .seed = seed, .batches = seed % 3 != 0});
    Peers peers(driver);
    moe_backend_settings settings = kSettings;
    settings.device = seed % 2;
    settings.pinned_bytes = seed % 4 == 0 ? 1 : 0;  // two blocks
    check_conformance([&] { return cuda_subject(driver, peers, settings); });
    CHECK(driver.num_live() == 0);
  }
}

TEST_CASE("who waits goes before who does not") {
  FakeDriver driver({});
  Peers peers(driver);
  Subject subject = cuda_subject(driver, peers, kSettings);
  const auto before = driver.num_live();
  REQUIRE(subject.backend->allocate(2, 64).ok());
  CHECK(driver.num_live() > before);
  CHECK(driver.calls("create_stream") == 2);
  // Of the streams that copies went to, the urgent one has the greatest priority: the smallest number.
  const auto stream_of = [&](bool urgent) {
    subject.backend->expect_copy(0, 0, urgent);
    const char byte = 1;
    REQUIRE(subject.backend->start_copy(0, 0, &byte, 1, true).ok());
    REQUIRE(subject.backend->finish_copy(0).ok());
    return driver.last_copy_stream();
  };
  CHECK(driver.priority(stream_of(true)) == -5);
  CHECK(driver.priority(stream_of(false)) == 0);
}

TEST_CASE("memory that the backend gave is copied from as it is, parts together where there are batches") {
  FakeDriver driver({});
  Peers peers(driver);
  Subject subject = cuda_subject(driver, peers, kSettings);
  REQUIRE(subject.backend->allocate(1, 4096).ok());
  Result<void*> memory = subject.backend->allocate_host(8192);
  REQUIRE(memory.ok());
  auto* const source = static_cast<uint8_t*>(*memory);
  std::memset(source, 7, 8192);
  for (size_t part = 0; part < 4; ++part) {  // the source has gaps
    REQUIRE(subject.backend->start_copy(0, part * 1024, source + part * 2048, 1024, part == 3).ok());
  }
  REQUIRE(subject.backend->finish_copy(0).ok());
  CHECK(driver.calls("copy_batch") == 1);
  CHECK(driver.calls("copy") == 0);
  // One byte beyond it: through a block, so one copy.
  std::vector<uint8_t> other(16);
  REQUIRE(subject.backend->start_copy(0, 0, other.data(), 16, true).ok());
  REQUIRE(subject.backend->finish_copy(0).ok());
  CHECK(driver.calls("copy") == 1);
}

TEST_CASE("the calling thread's device stays its own") {
  FakeDriver driver({.num_devices = 3});
  Peers peers(driver);
  moe_backend_settings settings = kSettings;
  settings.device = 2;
  Subject subject = cuda_subject(driver, peers, settings);
  REQUIRE(driver.set_device(1) == 0);
  REQUIRE(subject.backend->allocate(2, 64).ok());
  const char byte = 1;
  REQUIRE(subject.backend->start_copy(0, 0, &byte, 1, true).ok());
  REQUIRE(subject.backend->finish_copy(0).ok());
  int device = -1;
  REQUIRE(driver.current_device(&device) == 0);
  CHECK(device == 1);
}

TEST_CASE("the slot table: addresses in the order of the stream that waited") {
  FakeDriver driver({.seed = 9});
  Peers peers(driver);
  Subject subject = cuda_subject(driver, peers, kSettings);
  Result<void*> tier = subject.backend->allocate(4, 64);
  REQUIRE(tier.ok());
  const auto found = subject.backend->functions(MOE_CUDA_FUNCTIONS);
  REQUIRE(found.table == &cuda::functions());
  const uint64_t* table = nullptr;
  REQUIRE(cuda::functions().slot_table(static_cast<moe_cuda_device*>(found.device), &table) == MOE_OK);
  for (uint32_t key = 0; key < 100; ++key) CHECK(table[key] == 0);

  const auto load = [&](uint32_t slot, uint32_t key) {
    const char byte = 1;
    subject.backend->expect_copy(slot, key, true);
    REQUIRE(subject.backend->start_copy(slot, 0, &byte, 1, true).ok());
    REQUIRE(subject.backend->finish_copy(slot).ok());
  };
  const auto address = [&](uint32_t slot) { return reinterpret_cast<uint64_t>(*tier) + slot * 64; };
  void* const a = subject.make_stream();
  void* const b = subject.make_stream();
  auto* const seen = static_cast<uint64_t*>(subject.host_memory(4 * sizeof(uint64_t)));
  const auto look = [&](int i, uint32_t key, void* stream) {
    subject.queue_read(seen + i, table + key, sizeof(uint64_t), stream);
  };
  // Expert 7 is in slot 2, then in slot 1: what is queued in between sees the first address, whenever it runs.
  load(2, 7);
  REQUIRE(subject.backend->stream_wait(2, a).ok());
  look(0, 7, a);
  REQUIRE(subject.backend->last_use(2, a).ok());
  load(1, 7);
  REQUIRE(subject.backend->stream_wait(1, a).ok());
  look(1, 7, a);
  subject.synchronize(a);
  CHECK(seen[0] == address(2));
  CHECK(seen[1] == address(1));
  CHECK(driver.calls("write_address") == 2);
  // There already, for this stream; another one cannot know.
  REQUIRE(subject.backend->stream_wait(1, a).ok());
  CHECK(driver.calls("write_address") == 2);
  REQUIRE(subject.backend->stream_wait(1, b).ok());
  look(2, 7, b);
  subject.synchronize(b);
  CHECK(seen[2] == address(1));
  CHECK(driver.calls("write_address") == 3);
  subject.destroy_stream(a);
  subject.destroy_stream(b);
}

TEST_CASE("a use of many streams, and many uses of one stream, hold few events") {
  FakeDriver driver({.seed = 3});
  Peers peers(driver);
  Subject subject = cuda_subject(driver, peers, kSettings);
  REQUIRE(subject.backend->allocate(1, 64).ok());
  const int created = driver.calls("create_event");
  void* const streams[] = {subject.make_stream(), subject.make_stream(), subject.make_stream()};
  for (int round = 0; round < 50; ++round) {
    const char byte = 1;
    REQUIRE(subject.backend->start_copy(0, 0, &byte, 1, true).ok());
    REQUIRE(subject.backend->finish_copy(0).ok());
    for (int use = 0; use < 9; ++use) REQUIRE(subject.backend->last_use(0, streams[use % 3]).ok());
  }
  CHECK(driver.calls("create_event") == created + 3);
  for (void* const stream : streams) subject.destroy_stream(stream);
}

/// Every call that can fail, failing at each of its first times: an error that says so, and nothing is left behind.
TEST_CASE("failures of the device are reported, and leave nothing behind") {
  const char* const calls[] = {"allocate",       "create_stream", "create_event",    "record", "stream_wait",
                               "wait_for_event", "copy",          "wait_for_stream", "fill",   "write_address"};
  for (const char* const call : calls) {
    int failed = 0;
    for (int after = 0; after < 12; ++after) {
      CAPTURE(call);
      CAPTURE(after);
      FakeDriver driver({});
      Peers peers(driver);
      {
        Subject subject = cuda_subject(driver, peers, kSettings);
        void* const stream = subject.make_stream();
        driver.fail(call, 700, 1, after);
        std::string message;
        const auto note = [&](const auto& result) {
          if (!result && message.empty()) message = result.error().message;
          return result.ok();
        };
        const char byte = 1;
        if (note(subject.backend->allocate(2, 64))) {
          for (int i = 0; i < 3 && message.empty(); ++i) {
            subject.backend->expect_copy(0, static_cast<uint32_t>(i), i % 2 == 0);
            note(subject.backend->start_copy(0, 0, &byte, 1, true)) && note(subject.backend->finish_copy(0)) &&
                note(subject.backend->stream_wait(0, stream)) && note(subject.backend->last_use(0, stream));
          }
        }
        if (!message.empty()) {
          ++failed;
          CHECK(message.find("CUDA: cannot ") == 0);
          CHECK(message.find("made to fail (700)") != std::string::npos);
        }
        driver.destroy(stream);
      }
      CHECK(driver.num_live() == 0);
    }
    CAPTURE(call);
    CHECK(failed > 0);
  }
}

TEST_CASE("device memory that is not there") {
  FakeDriver driver({});
  Peers peers(driver);
  Subject subject = cuda_subject(driver, peers, kSettings);
  driver.fail("allocate", cuda::kOutOfMemory);
  const Result<void*> tier = subject.backend->allocate(3, 1000);
  REQUIRE_FALSE(tier.ok());
  CHECK(tier.error().kind == Error::Kind::no_memory);
  CHECK(tier.error().message == "CUDA: cannot allocate the fast tier: out of memory (2): 3000 bytes");
}

}  // namespace
}  // namespace moe::test
