// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/queues.h"

#include <bit>

namespace moe::core {

Queues::Queues(uint32_t num_copies, const Allocator& allocator)
    : ring_(allocator, std::bit_ceil(num_copies)),
      late_{AtomicBitset(allocator, num_copies, false), AtomicBitset(allocator, num_copies, false),
            AtomicBitset(allocator, num_copies, false)},
      lists_{List(allocator, std::bit_ceil(2 * num_copies)), List(allocator, std::bit_ceil(2 * num_copies)),
             List(allocator, std::bit_ceil(2 * num_copies))},
      set_aside_{List(allocator, std::bit_ceil(2 * num_copies)), List(allocator, std::bit_ceil(2 * num_copies)),
                 List(allocator, std::bit_ceil(2 * num_copies))} {}

}  // namespace moe::core
