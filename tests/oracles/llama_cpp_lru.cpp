// SPDX-License-Identifier: Apache-2.0
// llama.cpp's expert cache in device memory, pull request 27861: src/llama-moecache.cpp.
//
// Per layer `slots` slots. While a token is decoded the ids are only observed: a cached one gets a new time stamp,
// another is noted. Between two tokens llama_moe_cache_step() first publishes the uploads that it had begun a step
// earlier, with a new stamp, and then begins new ones, last noted first, until `inserts` of the noted ids are gone
// through; each takes an empty slot or that of the oldest stamp, whose expert is gone at once. So an expert can be used
// two tokens after it was missed, and is computed on the CPU until then. Uploads are taken to be done within a token.
// Batches of prompt tokens do not go through the cache: only decoding is modelled.
#include <stdexcept>

#include "tests/oracles/systems.h"

namespace moe::oracle {
namespace {

class LlamaCppLru : public System {
 public:
  LlamaCppLru(const Shape& shape, uint32_t slots, uint32_t inserts)
      : inserts_(inserts), layers_(shape.num_layers, std::vector<Slot>(slots)) {}

  Outcome step(const Dispatch& dispatch) override {
    if (dispatch.ids.size() != 1) throw std::runtime_error("only decoding goes through this cache");
    Record record;
    std::vector<Slot>& slots = layers_[dispatch.layer];
    std::vector<uint32_t> noted;
    for (uint32_t id : dispatch.ids[0]) {
      Slot* slot = holding(slots, id);
      if (slot != nullptr && !slot->in_flight) {
        slot->stamp = ++clock_;
        record.choose(id, Action::hit);
      } else {
        noted.push_back(id);
      }
    }
    publish(slots);
    uint32_t budget = inserts_;
    for (auto id = noted.rbegin(); id != noted.rend(); ++id) {
      const bool begun = budget > 0 && begin_upload(slots, *id, dispatch.layer, record);
      if (budget > 0) --budget;
      record.choose(*id, begun ? Action::cpu_load : Action::cpu);
    }
    return record.done();
  }

 private:
  struct Slot {
    bool used = false;
    bool in_flight = false;
    uint32_t expert = 0;
    uint64_t stamp = 0;
    uint64_t begun = 0;
  };

  static Slot* holding(std::vector<Slot>& slots, uint32_t id) {
    for (Slot& slot : slots) {
      if (slot.used && slot.expert == id) return &slot;
    }
    return nullptr;
  }

  void publish(std::vector<Slot>& slots) {
    std::vector<Slot*> arrived;
    for (Slot& slot : slots) {
      if (slot.in_flight) arrived.push_back(&slot);
    }
    std::sort(arrived.begin(), arrived.end(), [](const Slot* a, const Slot* b) { return a->begun < b->begun; });
    for (Slot* slot : arrived) {
      slot->in_flight = false;
      slot->stamp = ++clock_;
    }
  }

  bool begin_upload(std::vector<Slot>& slots, uint32_t id, uint32_t layer, Record& record) {
    if (holding(slots, id) != nullptr) return false;  // published a moment ago
    Slot* place = nullptr;
    for (Slot& slot : slots) {
      if (slot.in_flight) continue;
      if (!slot.used) {
        place = &slot;
        break;
      }
      if (place == nullptr || slot.stamp < place->stamp) place = &slot;
    }
    if (place == nullptr) return false;
    if (place->used) record.leave(layer, place->expert);
    *place = {true, true, id, 0, ++num_begun_};
    return true;
  }

  uint32_t inserts_;
  uint64_t clock_ = 0;
  uint64_t num_begun_ = 0;
  std::vector<std::vector<Slot>> layers_;
};

}  // namespace

SystemPtr make_llama_cpp_lru(const Shape& shape, uint32_t slots, uint32_t inserts) {
  return std::make_unique<LlamaCppLru>(shape, slots, inserts);
}

}  // namespace moe::oracle
