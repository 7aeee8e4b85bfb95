// SPDX-License-Identifier: Apache-2.0
#include "codegen/compiler.h"
#include "codegen/native.h"
#include "codegen/program.h"
#include "runtime/decision/layout.h"

namespace moe::codegen {
namespace {

decision::Params without_predictors(decision::Params p) {
  p.strategy = p.next_strategies = p.room.strategies = 0;
  p.learn_window = 0;
  p.keeps &= ~(decision::kKeepsPredicted | decision::kKeepsForetold | decision::kKeepsValue);
  return p;
}

}  // namespace

Result<StateSize> state_size(const ir::BoundPolicy& policy) {
  const Program program(policy);
  if (Result<void> native = check_native(program); !native) return native.error();
  decision::Params params = program.params.front();
  decision::Changes changes = program.changes;
  changes.per_layer = program.per_layer ? &*program.per_layer : nullptr;
  if (program.has_changes) params.changes = &changes;
  const size_t bytes = decision::make_layout(params).total;
  return StateSize{bytes, bytes - decision::make_layout(without_predictors(params)).total};
}

}  // namespace moe::codegen
