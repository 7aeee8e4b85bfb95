// SPDX-License-Identifier: Apache-2.0
// HOBBIT (Tang et al., 2024, arXiv:2411.01433), from the paper's account.
//
// A missed expert of little weight is used in a low-precision copy. What is kept is judged in several dimensions within
// the sequence: how recently and how often it was used, and how far its layer is ahead. Simplified: a low-precision
// copy is made at the first use and stays, and the full one follows behind; one threshold; the score is 1 / (uses of
// the cache since the last use) + uses in this request / 64 + 1 - distance / L; its dimension of high-precision uses is
// left out.
#include <map>
#include <set>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class Hobbit : public System {
 public:
  Hobbit(const Shape& shape, uint32_t slots, double high_precision_from)
      : shape_(shape), slots_(slots), high_precision_from_(high_precision_from) {}

  Outcome step(const Dispatch& dispatch) override {
    Record record;
    if (dispatch.request != request_) in_request_.clear();
    request_ = dispatch.request;
    const auto selected = by_appearance(dispatch);
    std::vector<std::pair<Selected, uint64_t>> missing;
    for (const Selected& s : selected) {
      const Pair pair{dispatch.layer, s.expert};
      ++clock_;
      in_request_[pair] += 1;
      const auto found = find(pair);
      if (found == resident_.end()) {
        missing.emplace_back(s, clock_);
      } else {
        found->last = clock_;
        record.choose(s.expert, Action::hit);
      }
    }
    for (const auto& [s, when] : missing) {
      const bool placed = make_room(dispatch.layer, selected, record);
      if (placed) resident_.push_back({{dispatch.layer, s.expert}, when});
      const bool light = s.weight < high_precision_from_ && low_.contains({dispatch.layer, s.expert});
      const Action loaded = placed ? Action::load : Action::stream;
      record.choose(s.expert, light ? Action::degrade : loaded);
    }
    for (const Selected& s : selected) low_.insert({dispatch.layer, s.expert});
    return record.done();
  }

 private:
  struct Resident {
    Pair who;
    uint64_t last;
  };

  std::vector<Resident>::iterator find(const Pair& who) {
    return std::find_if(resident_.begin(), resident_.end(), [&](const Resident& r) { return r.who == who; });
  }

  double score(const Resident& r, uint32_t layer) {
    const uint32_t distance = (r.who.layer + 2 * shape_.num_layers - layer - 1) % shape_.num_layers;  // the next: 0
    const double recency = 1.0 / static_cast<double>(clock_ - r.last);
    const double frequency = static_cast<double>(in_request_[r.who]) / 64;
    return recency + frequency + 1 - static_cast<double>(distance) / shape_.num_layers;
  }

  bool make_room(uint32_t layer, const std::vector<Selected>& selected, Record& record) {
    if (resident_.size() < slots_) return true;
    auto victim = resident_.end();
    for (auto r = resident_.begin(); r != resident_.end(); ++r) {
      if (r->who.layer == layer && is_selected(selected, r->who.expert)) continue;
      if (victim == resident_.end() || score(*r, layer) < score(*victim, layer)) victim = r;
    }
    if (victim == resident_.end()) return false;
    record.leave(victim->who.layer, victim->who.expert);
    resident_.erase(victim);
    return true;
  }

  Shape shape_;
  uint32_t slots_;
  double high_precision_from_;
  uint64_t clock_ = 0;
  uint32_t request_ = 0;
  std::vector<Resident> resident_;  ///< in order of arrival
  std::map<Pair, uint64_t> in_request_;
  std::set<Pair> low_;  ///< have a copy in low precision
};

}  // namespace

SystemPtr make_hobbit(const Shape& shape, uint32_t slots, double high_precision_from) {
  return std::make_unique<Hobbit>(shape, slots, high_precision_from);
}

}  // namespace moe::oracle
