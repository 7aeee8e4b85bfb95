// SPDX-License-Identifier: Apache-2.0
// Least recently used, one list per layer. The experts of a dispatch are used together: whoever is there is moved to
// the young end in turn, then the others come in, and none of them pushes out another. Who finds no place passes
// through.
#include <list>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Lru : public System {
 public:
  Lru(const Shape& shape, uint32_t slots) : slots_(slots), layers_(shape.num_layers) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    const auto selected = by_appearance(dispatch);
    std::list<Use>& uses = layers_[dispatch.layer];
    const uint64_t before = clock_;
    for (const Selected& s : selected) {
      ++clock_;
      const auto found = std::find_if(uses.begin(), uses.end(), [&](const Use& u) { return u.expert == s.expert; });
      if (found == uses.end()) continue;
      record.choose(s.expert, Action::hit);
      found->when = clock_;
    }
    for (size_t i = 0; i < selected.size(); ++i) {
      const uint32_t expert = selected[i].expert;
      if (std::any_of(uses.begin(), uses.end(), [&](const Use& u) { return u.expert == expert; })) continue;
      record.choose(expert, make_room(uses, selected, dispatch.layer, record) ? Action::load : Action::stream);
      if (uses.size() < slots_) uses.push_back({expert, before + i + 1});
    }
    return record.done();
  }

 private:
  struct Use {
    uint32_t expert;
    uint64_t when;
  };

  bool make_room(std::list<Use>& uses, const std::vector<Selected>& selected, uint32_t layer, Record& record) const {
    if (uses.size() < slots_) return true;
    auto oldest = uses.end();
    for (auto use = uses.begin(); use != uses.end(); ++use) {
      if (is_selected(selected, use->expert)) continue;
      if (oldest == uses.end() || use->when < oldest->when) oldest = use;
    }
    if (oldest == uses.end()) return false;
    record.leave(layer, oldest->expert);
    uses.erase(oldest);
    return true;
  }

  uint32_t slots_;
  uint64_t clock_ = 0;
  std::vector<std::list<Use>> layers_;
};

}  // namespace

SystemPtr make_lru(const Shape& shape, uint32_t slots) { return std::make_unique<Lru>(shape, slots); }

}  // namespace moe::oracle
