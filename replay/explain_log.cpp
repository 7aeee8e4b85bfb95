// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>

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
    case ir::Action::degrade:
      return decision::kDegrade;
    case ir::Action::shared:
      return decision::kShared;
    case ir::Action::skip:
      return decision::kSkip;
  }
  return UINT32_MAX;
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

/// Dispatches in a row that there is a beginning for.
struct Stretch {
  uint64_t first;
  uint64_t last;
};

std::vector<Stretch> stretches_of(const DecisionLog& log) {
  std::vector<Stretch> found;
  bool begun = false;
  for (const LogRecord& record : log.records) {
    begun = begun || record.kind != Kind::dispatch;
    if (record.kind != Kind::dispatch || !begun) continue;
    if (!found.empty() && found.back().last + 1 == record.number) {
      found.back().last = record.number;
    } else {
      found.push_back({record.number, record.number});
    }
  }
  return found;
}

std::string range_of(const std::vector<Stretch>& stretches) {
  constexpr size_t kMost = 3;
  if (stretches.empty()) return "the log explains none";
  std::string text = "the log explains dispatches ";
  for (size_t i = 0; i < stretches.size() && i < kMost; ++i) {
    text += fmt::format("{}{} to {}", i == 0 ? "" : ", ", stretches[i].first, stretches[i].last);
  }
  return stretches.size() > kMost ? text + fmt::format(" and more, up to {}", stretches.back().last) : text;
}

/// Why dispatch `number` is in no stretch.
std::string why_not(const std::vector<Stretch>& stretches, uint64_t number) {
  if (stretches.empty()) return "";
  if (number < stretches.front().first) return "; what came before has been overwritten: a larger log keeps more";
  if (number > stretches.back().last) return "";
  return "; it was too large for the log, which left it out";
}

/// The records at which a replay up to record `to` can begin, the last first: nothing is missing in between.
std::vector<size_t> beginnings_for(const DecisionLog& log, size_t to) {
  std::vector<size_t> found;
  uint64_t next = log.records[to].number;
  for (size_t i = to; i-- > 0;) {
    const LogRecord& record = log.records[i];
    const bool dispatched = record.kind == Kind::dispatch;
    if (record.number + (dispatched ? 1 : 0) != next) break;
    next = record.number;
    if (!dispatched) found.push_back(i);
    if (record.kind == Kind::start) break;
  }
  return found;
}

/// Makes the decisions of a log again.
class LogReplay {
 public:
  LogReplay(const DecisionLog& log, const RemakePolicy& remake) : log_(log), remake_(remake) {}

  /// Puts the interpreter where record `beginning` says.
  Result<void> begin(size_t beginning) {
    const LogRecord& record = log_.records[beginning];
    Result<RemadePolicy> made = remake(record.policy);
    if (!made) return made.error();
    auto interpreter = std::make_unique<ir::Interpreter>(*made->bound);
    if (record.kind == Kind::state) {
      if (made->params == nullptr || log_.abi_version != decision::kAbiVersion) {
        return Error{Error::Kind::unsupported, "the log begins with a state of another version's kernels"};
      }
      const Result<ir::Snapshot> snapshot = read_state(*made->params, record.state);
      if (!snapshot) return snapshot.error();
      interpreter->restore(*snapshot);
    }
    become(record.policy, *made->bound, std::move(interpreter));
    return {};
  }

  /// Decides the records behind `beginning` up to `to`, that one with an account.
  Result<ir::ExplainedDecision> run(size_t beginning, size_t to) {
    ir::ExplainedDecision explained;
    for (size_t i = beginning + 1; i <= to; ++i) {
      const LogRecord& record = log_.records[i];
      if (record.policy != policy_) {
        if (Result<void> swapped = swap(record); !swapped) return swapped.error();
      }
      if (record.kind != Kind::dispatch) continue;
      if (i == to) interpreter_->set_account(&explained.account);
      std::optional<ir::Decision> decision = decide(*interpreter_, record, log_.top_k);
      if (!decision || digest_of(*decision) != record.digest) return differs(record);
      explained.dispatch = record.number;
      explained.num_tokens = record.num_tokens;
      explained.decision = std::move(*decision);
    }
    return explained;
  }

 private:
  Result<RemadePolicy> remake(uint32_t policy) {
    Result<RemadePolicy> made = remake_(policy);
    if (!made) return made;
    const ir::ModelShape& shape = made->bound->shape;
    if (shape.num_layers != log_.num_layers || shape.num_experts != log_.num_experts || shape.top_k != log_.top_k) {
      return Error{Error::Kind::format, fmt::format("the log is of a model of {}x{}x{}, policy `{}` is for {}x{}x{}",
                                                    log_.num_layers, log_.num_experts, log_.top_k, made->bound->name,
                                                    shape.num_layers, shape.num_experts, shape.top_k)};
    }
    return made;
  }

  void become(uint32_t policy, const ir::BoundPolicy& bound, std::unique_ptr<ir::Interpreter> interpreter) {
    policy_ = policy;
    bound_ = &bound;
    interpreter_ = std::move(interpreter);
  }

  /// The policy of `record` takes over, as in the engine.
  Result<void> swap(const LogRecord& record) {
    if (log_.policies[record.policy].serial != log_.policies[policy_].serial + 1) {
      return Error{Error::Kind::unsupported, "the log does not tell of every policy that the engine had in between"};
    }
    const Result<RemadePolicy> made = remake(record.policy);
    if (!made) return made.error();
    auto next = std::make_unique<ir::Interpreter>(*made->bound);
    (void)next->take_over(*interpreter_);
    become(record.policy, *made->bound, std::move(next));
    return {};
  }

  Error differs(const LogRecord& record) const {
    const std::string what =
        fmt::format("policy `{}` decides dispatch {} otherwise than the engine did: ", bound_->name, record.number);
    if (!bound_->timing_free) {
      return {Error::Kind::unsupported,
              what + "its decisions depend on what was measured, of which the log has nothing, or it is another text"};
    }
    return {Error::Kind::format, what + "it is another text, or has other settings"};
  }

  const DecisionLog& log_;
  const RemakePolicy& remake_;
  uint32_t policy_ = 0;
  const ir::BoundPolicy* bound_ = nullptr;
  std::unique_ptr<ir::Interpreter> interpreter_;
};

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
  const std::vector<Stretch> stretches = stretches_of(log);
  return Error{Error::Kind::invalid,
               fmt::format("dispatch {}{} cannot be explained: {}{}", which.number,
                           which.layer ? fmt::format(" of layer {}", *which.layer) : "", range_of(stretches),
                           which.layer ? "" : why_not(stretches, which.number))};
}

Result<ir::ExplainedDecision> explain(const DecisionLog& log, const LoggedDispatch& dispatch,
                                      const RemakePolicy& remake) {
  LogReplay replay(log, remake);
  std::optional<Error> first;  // why the last state does not do
  for (const size_t beginning : beginnings_for(log, dispatch.record)) {
    const Result<void> begun = replay.begin(beginning);
    if (begun) return replay.run(beginning, dispatch.record);
    if (!first) first = begun.error();
    if (begun.error().kind != Error::Kind::unsupported) break;
  }
  return first ? *first : Error{Error::Kind::format, "the log has nothing that a replay can begin at"};
}

Result<ir::ExplainedDecision> explain(const DecisionLog& log, const LoggedDispatch& dispatch,
                                      const ir::BoundPolicy& policy, const decision::Params* params) {
  return explain(log, dispatch, [&](uint32_t which) -> Result<RemadePolicy> {
    if (which == dispatch.policy) return RemadePolicy{&policy, params};
    return Error{Error::Kind::unsupported, "the policy that ran before is not known"};
  });
}

}  // namespace moe::replay
