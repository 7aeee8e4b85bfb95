// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/peer_test.h"

#include <cstring>
#include <vector>

#include "runtime/cuda/errors.h"

namespace moe::cuda {
namespace {

constexpr size_t kBytes = size_t{8} << 20;

struct Piece {
  size_t offset;
  size_t size_bytes;
};
// What a driver copies by registers, in one packet, and by its copy engines.
constexpr Piece kPieces[] = {{0, 1},
                             {3, 7},
                             {64, 64},
                             {4096, 4096},
                             {12289, 65537},
                             {1 << 18, 1 << 18},
                             {1 << 20, 1 << 20},
                             {4 << 20, (4 << 20) - 1}};

/// Memory and a stream of one device.
class Side {
 public:
  Side(Driver& driver, int device) : driver_(driver), scope_(driver, device) {
    if (!scope_.entered()) {
      ready_ = scope_.entered();
      return;
    }
    Code code = driver.allocate(&memory_, kBytes);
    if (code == kSuccess) code = driver.create_stream(&stream_, 0);
    ready_ = check(driver, code, "prepare a test of peer copies");
  }
  ~Side() {
    if (stream_) driver_.destroy(stream_);
    if (memory_) driver_.release(memory_);
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  const Result<void>& ready() const { return ready_; }
  std::byte* memory() const { return static_cast<std::byte*>(memory_); }
  Stream stream() const { return stream_; }

 private:
  Driver& driver_;
  DeviceScope scope_;
  void* memory_ = nullptr;
  Stream stream_ = nullptr;
  Result<void> ready_;
};

std::vector<std::byte> pattern(uint64_t seed) {
  std::vector<std::byte> bytes(kBytes);
  uint64_t x = seed;
  for (size_t i = 0; i < kBytes; i += 8) {
    x = x * 6364136223846793005 + 1442695040888963407;
    const uint64_t word = x ^ x >> 29;
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

/// Both directions of host memory: returns when the bytes are there.
Code copy_and_wait(Driver& driver, const Move& move, Stream stream) {
  const Code code = driver.copy(move, stream);
  return code == kSuccess ? driver.wait_for_stream(stream) : code;
}

/// One round: the source's bytes, piece by piece, over what the target holds.
Result<bool> arrives(Driver& driver, const Side& to, const Side& from, int to_device, int from_device, uint64_t seed) {
  const std::vector<std::byte> sent = pattern(seed);
  std::vector<std::byte> wanted = pattern(~seed);
  std::vector<std::byte> found(kBytes);
  Code code = copy_and_wait(driver, {from.memory(), sent.data(), kBytes}, from.stream());
  if (code == kSuccess) code = copy_and_wait(driver, {to.memory(), wanted.data(), kBytes}, to.stream());
  for (const Piece& piece : kPieces) {
    if (code != kSuccess) break;
    std::memcpy(wanted.data() + piece.offset, sent.data() + piece.offset, piece.size_bytes);
    const Move move{to.memory() + piece.offset, from.memory() + piece.offset, piece.size_bytes};
    code = driver.copy_peer(move, to_device, from_device, from.stream());
  }
  if (code == kSuccess) code = driver.wait_for_stream(from.stream());
  if (code == kSuccess) code = copy_and_wait(driver, {found.data(), to.memory(), kBytes}, to.stream());
  if (Result<void> made = check(driver, code, "test peer copies"); !made) return made.error();
  return found == wanted;
}

}  // namespace

Result<bool> test_peer_copies(Driver& driver, int to_device, int from_device) {
  const Side to(driver, to_device);
  if (!to.ready()) return to.ready().error();
  const Side from(driver, from_device);
  if (!from.ready()) return from.ready().error();
  for (const uint64_t seed : {UINT64_C(1), UINT64_C(0x5DEECE66D)}) {
    const Result<bool> good = arrives(driver, to, from, to_device, from_device, seed);
    if (!good || !*good) return good;
  }
  return true;
}

}  // namespace moe::cuda
