// SPDX-License-Identifier: Apache-2.0
// The queue rules a second time, written from the papers without their lists: every key has a record (where it is, when
// it got there, a number), and each question is answered by a search over all records.
#pragma once
#include <memory>

#include "ir/queue_rule.h"

namespace moe::ir::test {

std::unique_ptr<QueueRule> make_model(Eviction rule, uint32_t capacity);

}  // namespace moe::ir::test
