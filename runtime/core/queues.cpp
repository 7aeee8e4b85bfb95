// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/queues.h"

#include <bit>

namespace moe::core {
namespace {

template <class T, class Make>
std::array<T, kNumQueues> for_each_queue(Make make) {
  static_assert(kNumQueues == 4);
  return {make(), make(), make(), make()};
}

}  // namespace

Queues::Queues(uint32_t num_copies, const Allocator& allocator)
    : ring_(allocator, std::bit_ceil(num_copies)),
      late_(for_each_queue<AtomicBitset>([&] { return AtomicBitset(allocator, num_copies, false); })),
      lists_(for_each_queue<List>([&] { return List(allocator, std::bit_ceil(2 * num_copies)); })),
      set_aside_(for_each_queue<List>([&] { return List(allocator, std::bit_ceil(2 * num_copies)); })) {}

}  // namespace moe::core
