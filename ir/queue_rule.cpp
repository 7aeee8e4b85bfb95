// SPDX-License-Identifier: Apache-2.0
#include "ir/queue_rule.h"

#include "ir/queue_rules.h"

namespace moe::ir {

std::unique_ptr<QueueRule> make_queue_rule(Eviction rule, uint32_t capacity) {
  switch (rule) {
    case Eviction::sieve:
      return make_sieve(capacity);
    case Eviction::s3_fifo:
      return make_s3_fifo(capacity);
    case Eviction::arc:
      return make_arc(capacity);
    case Eviction::lirs:
      return make_lirs(capacity);
    case Eviction::w_tinylfu:
      return make_w_tinylfu(capacity);
    default:
      return nullptr;
  }
}

}  // namespace moe::ir
