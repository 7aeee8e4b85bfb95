// SPDX-License-Identifier: Apache-2.0
// Least frequently used over all layers, with counts that fade: 1 when an expert comes in, 1 more for each later use,
// all of them multiplied by `decay` at every `decay_interval`-th use of the cache, before that use is counted. Of
// equals the one that came in earlier leaves. The experts of a dispatch do not push out one another.
#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Lfu : public System {
 public:
  Lfu(uint32_t slots, double decay, uint64_t interval) : slots_(slots), decay_(decay), interval_(interval) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    const auto selected = by_appearance(dispatch);
    std::vector<uint32_t> missing;
    for (const Selected& s : selected) {
      if (++uses_ % interval_ == 0) {
        for (Entry& entry : entries_) entry.count *= decay_;
      }
      const auto found = find({dispatch.layer, s.expert});
      if (found == entries_.end()) {
        missing.push_back(s.expert);
      } else {
        found->count += 1;
        record.choose(s.expert, Action::hit);
      }
    }
    for (uint32_t expert : missing) {
      if (entries_.size() == slots_) {
        auto victim = entries_.end();
        for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
          if (entry->who.layer == dispatch.layer && is_selected(selected, entry->who.expert)) continue;
          if (victim == entries_.end() || entry->count < victim->count) victim = entry;
        }
        if (victim == entries_.end()) {
          record.choose(expert, Action::stream);
          continue;
        }
        record.leave(victim->who.layer, victim->who.expert);
        entries_.erase(victim);
      }
      entries_.push_back({{dispatch.layer, expert}, 1});
      record.choose(expert, Action::load);
    }
    return record.done();
  }

 private:
  struct Entry {
    Pair who;
    double count;
  };
  std::vector<Entry>::iterator find(const Pair& who) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.who == who; });
  }

  uint32_t slots_;
  double decay_;
  uint64_t interval_;
  uint64_t uses_ = 0;
  std::vector<Entry> entries_;  ///< in order of arrival
};

}  // namespace

SystemPtr make_lfu(const Shape&, uint32_t slots, double decay, uint64_t decay_interval) {
  return std::make_unique<Lfu>(slots, decay, decay_interval);
}

}  // namespace moe::oracle
