// SPDX-License-Identifier: Apache-2.0
// Two rules as libCacheSim 0.3.5 has them, where it does something else than the papers and than we do. That they
// arrive at its hit counts shows that nothing but what is written here tells the two apart.
#pragma once
#include <cstdint>
#include <memory>

namespace moe::ir::test {

/// LIRS. When a resident HIR member outside the stack is hit, the bottom LIR member is demoted as well, which the paper
/// does not do; with a Q of one place this throws the member that was just hit out of Q, and it goes on as a resident
/// that is counted nowhere.
class LibCacheSimLirs {
 public:
  explicit LibCacheSimLirs(uint32_t capacity);
  ~LibCacheSimLirs();
  bool access(uint32_t key);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// W-TinyLFU. Uses are counted in a Bloom filter without an upper limit; a hit in the window does not count, a duel
/// counts for the challenger; they are halved after 32 hits per place of the main part. Until the cache is full
/// everybody is in the window. Who enters the main part while probation is full goes straight to the protected segment
/// if that has room.
class LibCacheSimWTinyLfu {
 public:
  explicit LibCacheSimWTinyLfu(uint32_t capacity);
  ~LibCacheSimWTinyLfu();
  bool access(uint32_t key);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moe::ir::test
