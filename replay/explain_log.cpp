// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "ir/interpreter.h"
#include "replay/explain.h"
#include "replay/native_state.h"
#include "runtime/base/decision_log.h"

namespace moe::replay {
namespace {

using Kind = LogRecord::Kind;

/// An action as engines number it.
uint32_t number_of(ir::Action action) {
  switch (action) {
    case ir::Action::hit:
      return decision::kHit;
    case ir::Action::load:
      return decision::kLoad;
    case ir::Action::stream:
      return decision::kStream;
    case ir::Action::cpu:
      return decision::kCpu;
    case ir::Action::cpu_load:
      return decision::kCpuLoad;
    default:  // no engine has it
      return UINT32_MAX;
  }
}

uint64_t digest_of(const ir::Decision& decision) {
  logfmt::Digest digest;
  const auto add_all = [&digest](const std::vector<uint32_t>& numbers) {
    digest.add(static_cast<uint32_t>(numbers.size()));
    for (const uint32_t number : numbers) digest.add(number);
  };
  digest.add(static_cast<uint32_t>(decision.experts.size()));
  for (const ir::ExpertDecision& expert : decision.experts) digest.add(expert.expert);
  for (const ir::ExpertDecision& expert : decision.experts) digest.add(number_of(expert.action));
  add_all(decision.evicted);
  add_all(decision.prefetched);
  add_all(decision.rules_fired);
  return digest.value();
}

std::optional<ir::Decision> decide(ir::Interpreter& interpreter, const LogRecord& record, uint32_t top_k) {
  for (const LoggedHint& hint : record.hints) (void)interpreter.hint(hint.layer, hint.ids, hint.probabilities);
  const std::vector<uint32_t> requests(record.num_tokens, record.request);
  ir::DispatchInput input;
  input.layer = record.layer;
  input.num_tokens = record.num_tokens;
  input.top_k = top_k;
  input.ids = record.ids;
  input.weights = record.weights;
  input.dropped = record.dropped;
  input.phase = record.decode ? ir::Phase::decode : ir::Phase::prefill;
  input.requests = requests;
  input.probabilities = record.probabilities;
  return interpreter.dispatch(input);
}

std::string range_of(const DecisionLog& log) {
  std::optional<uint64_t> first, last;
  bool begun = false;
  for (const LogRecord& record : log.records) {
    begun = begun || record.kind != Kind::dispatch;
    if (record.kind != Kind::dispatch || !begun) continue;
    if (!first) first = record.number;
    last = record.number;
  }
  return first ? fmt::format("the log explains dispatches {} to {}", *first, *last) : "the log explains none";
}

}  // namespace

Result<LoggedDispatch> find(const DecisionLog& log, const WhichDispatch& which) {
  std::optional<size_t> beginning;
  uint64_t of_layer = 0;  // that came in this log; those before are gone
  for (size_t i = 0; i < log.records.size(); ++i) {
    const LogRecord& record = log.records[i];
    if (record.kind != Kind::dispatch) {
      beginning = i;
      continue;
    }
    const bool counts = !which.layer || record.layer == *which.layer;
    const bool is_it = counts && (which.layer ? of_layer++ : record.number) == which.number;
    if (is_it && beginning) return LoggedDispatch{i, *beginning, record.policy};
    if (is_it) break;
  }
  return Error{Error::Kind::invalid,
               fmt::format("dispatch {}{} cannot be explained: {}", which.number,
                           which.layer ? fmt::format(" of layer {}", *which.layer) : "", range_of(log))};
}

Result<ir::ExplainedDecision> explain(const DecisionLog& log, const LoggedDispatch& dispatch,
                                      const ir::BoundPolicy& policy, const decision::Params* params) {
  const ir::ModelShape& shape = policy.shape;
  if (shape.num_layers != log.num_layers || shape.num_experts != log.num_experts || shape.top_k != log.top_k) {
    return Error{Error::Kind::format, fmt::format("the log is of a model of {}x{}x{}, policy `{}` is for {}x{}x{}",
                                                  log.num_layers, log.num_experts, log.top_k, policy.name,
                                                  shape.num_layers, shape.num_experts, shape.top_k)};
  }
  ir::Interpreter interpreter(policy);
  const LogRecord& beginning = log.records[dispatch.beginning];
  if (beginning.kind == Kind::state) {
    if (params == nullptr || log.abi_version != decision::kAbiVersion) {
      return Error{Error::Kind::unsupported, "the log begins with a state of another version's kernels"};
    }
    const Result<ir::Snapshot> snapshot = read_state(*params, beginning.state);
    if (!snapshot) return snapshot.error();
    interpreter.restore(*snapshot);
  }
  ir::ExplainedDecision explained;
  for (size_t i = dispatch.beginning + 1; i <= dispatch.record; ++i) {
    const LogRecord& record = log.records[i];
    if (i == dispatch.record) interpreter.set_account(&explained.account);
    std::optional<ir::Decision> decision = decide(interpreter, record, log.top_k);
    if (!decision || digest_of(*decision) != record.digest) {
      return Error{Error::Kind::format,
                   fmt::format("policy `{}` decides dispatch {} otherwise than the engine did: it is another text, or "
                               "has other settings",
                               policy.name, record.number)};
    }
    explained.dispatch = record.number;
    explained.num_tokens = record.num_tokens;
    explained.decision = std::move(*decision);
  }
  return explained;
}

}  // namespace moe::replay
