// SPDX-License-Identifier: Apache-2.0
// The language's word for every enumerator. An exhaustive switch: the compiler says which one is missing.
#include "ir/bind.h"
#include "ir/decision.h"
#include "ir/policy.h"

namespace moe::ir {

std::string_view to_word(Eviction value) {
  switch (value) {
    case Eviction::lru:
      return "lru";
    case Eviction::lfu:
      return "lfu";
    case Eviction::score:
      return "score";
    case Eviction::freq_threshold:
      return "freq_threshold";
    case Eviction::fifo:
      return "fifo";
  }
  return "?";
}

std::string_view to_word(Scope value) {
  switch (value) {
    case Scope::global:
      return "global";
    case Scope::layer:
      return "layer";
  }
  return "?";
}

std::string_view to_word(Admit value) {
  switch (value) {
    case Admit::always:
      return "always";
    case Admit::never:
      return "never";
  }
  return "?";
}

std::string_view to_word(Strategy value) {
  switch (value) {
    case Strategy::none:
      return "none";
    case Strategy::history:
      return "history";
    case Strategy::lookahead:
      return "lookahead";
    case Strategy::gate:
      return "gate";
  }
  return "?";
}

std::string_view to_word(ScheduleMode value) {
  switch (value) {
    case ScheduleMode::gpu_only:
      return "gpu_only";
    case ScheduleMode::cpu_fallback:
      return "cpu_fallback";
    case ScheduleMode::hybrid:
      return "hybrid";
  }
  return "?";
}

std::string_view to_word(Exactness value) {
  switch (value) {
    case Exactness::exact:
      return "exact";
    case Exactness::exact_on_host:
      return "exact_on_host";
    case Exactness::approximate:
      return "approximate";
  }
  return "?";
}

std::string_view to_word(MissAction value) {
  switch (value) {
    case MissAction::load:
      return "load";
    case MissAction::cpu:
      return "cpu";
    case MissAction::cpu_load:
      return "cpu_load";
  }
  return "?";
}

std::string_view to_word(Action value) {
  switch (value) {
    case Action::hit:
      return "hit";
    case Action::load:
      return "load";
    case Action::stream:
      return "stream";
    case Action::cpu:
      return "cpu";
    case Action::cpu_load:
      return "cpu_load";
  }
  return "?";
}

}  // namespace moe::ir
