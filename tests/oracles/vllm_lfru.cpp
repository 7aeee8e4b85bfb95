// SPDX-License-Identifier: Apache-2.0
// vLLM's expert cache with LFRU eviction: pull request 37190, CachedWeightProvider.prepare() in
// vllm/model_executor/layers/fused_moe/expert_weight_provider.py, as fixed in July 2026 (`needed` is spared).
//
// One provider per layer. The distinct ids come in ascending order. The clock ticks once per expert, after a victim was
// chosen; an entry has the number of its uses since it came in and the clock of the last one; the smallest
// uses / (clock - last + 1) leaves, of equals the one that came in first. More distinct experts than slots: refused.
#include <stdexcept>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Lfru : public System {
 public:
  Lfru(const Shape& shape, uint32_t slots) : slots_(slots), layers_(shape.num_layers) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    Provider& provider = layers_[dispatch.layer];
    const auto needed = by_id(dispatch);
    if (needed.size() > slots_) throw std::runtime_error("more experts than slots: the system refuses the batch");
    for (const Selected& s : needed) {
      const auto found = std::find_if(provider.entries.begin(), provider.entries.end(),
                                      [&](const Entry& e) { return e.expert == s.expert; });
      if (found != provider.entries.end()) {
        found->uses += 1;
        found->last = ++provider.clock;
        record.choose(s.expert, Action::hit);
        continue;
      }
      if (provider.entries.size() == slots_) evict(provider, needed, dispatch.layer, record);
      provider.entries.push_back({s.expert, 1, ++provider.clock});
      record.choose(s.expert, Action::load);
    }
    return record.done();
  }

 private:
  struct Entry {
    uint32_t expert;
    uint64_t uses;
    uint64_t last;
  };
  struct Provider {
    uint64_t clock = 0;
    std::vector<Entry> entries;  ///< in order of arrival
  };

  static void evict(Provider& provider, const std::vector<Selected>& needed, uint32_t layer, Record& record) {
    auto victim = provider.entries.end();
    double lowest = 0;
    for (auto entry = provider.entries.begin(); entry != provider.entries.end(); ++entry) {
      if (is_selected(needed, entry->expert)) continue;
      const auto age = static_cast<double>(provider.clock - entry->last + 1);
      const double score = static_cast<double>(entry->uses) / age;
      if (victim != provider.entries.end() && !(score < lowest)) continue;
      victim = entry;
      lowest = score;
    }
    record.leave(layer, victim->expert);
    provider.entries.erase(victim);
  }

  uint32_t slots_;
  std::vector<Provider> layers_;
};

}  // namespace

SystemPtr make_vllm_lfru(const Shape& shape, uint32_t slots) { return std::make_unique<Lfru>(shape, slots); }

}  // namespace moe::oracle
