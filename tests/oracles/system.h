// SPDX-License-Identifier: Apache-2.0
// What the models of published systems share: the routing they see and the record of what they decide.
//
// A model knows nothing of policies, IR or runtime. It is written from the description of one system, or from facts
// read in its public code, in that system's own words where possible; README.md lists the sources.
#pragma once
#include <algorithm>
#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace moe::oracle {

struct Shape {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;  ///< per layer
  uint32_t top_k = 0;
};

struct Pair {
  uint32_t layer = 0;
  uint32_t expert = 0;
  friend auto operator<=>(const Pair&, const Pair&) = default;
};

/// What the router of a coming layer, applied early, thinks of an expert.
struct Guess {
  uint32_t expert = 0;
  double probability = 0;
};

/// One layer's routing for one batch.
struct Dispatch {
  uint32_t layer = 0;
  bool prefill = false;
  uint32_t request = 0;                      ///< all tokens of a dispatch belong to one
  std::vector<std::vector<uint32_t>> ids;    ///< token by token, heaviest first
  std::vector<std::vector<double>> weights;  ///< same shape
  std::vector<std::vector<Guess>> guesses;   ///< token by token, for layer + 1, most probable first; empty: none
};

enum class Action : uint8_t { hit, load, stream, cpu, cpu_load, degrade, shared, skip };
std::string to_word(Action);

struct Choice {
  uint32_t expert = 0;
  Action action = Action::hit;
  friend bool operator==(const Choice&, const Choice&) = default;
};

/// Everything that one dispatch decided.
struct Outcome {
  std::vector<Choice> choices;   ///< by ascending expert, each unique expert once
  std::vector<Pair> left;        ///< what is no longer resident, in order
  std::vector<Pair> prefetched;  ///< in order
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// "3 hit, 5 load; left 0:7; ahead 1:2".
std::string to_text(const Outcome&);

/// A published system's expert cache, prefetcher and scheduler.
class System {
 public:
  virtual ~System() = default;
  virtual Outcome step(const Dispatch&) = 0;

 protected:
  System() = default;
  System(const System&) = default;
  System& operator=(const System&) = default;
};

/// A unique expert of a dispatch.
struct Selected {
  uint32_t expert = 0;
  uint32_t tokens = 0;
  double weight = 0;  ///< the largest of its router weights
};

/// In order of first appearance, token by token.
std::vector<Selected> by_appearance(const Dispatch&);
/// By ascending id, as torch.unique gives them.
std::vector<Selected> by_id(const Dispatch&);
/// The guesses of all tokens: each expert once with its largest probability, most probable first, then the lower id.
std::vector<Guess> merged_guesses(const Dispatch&);

inline bool contains(const std::vector<uint32_t>& ids, uint32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}
inline bool is_selected(const std::vector<Selected>& selected, uint32_t expert) {
  return std::any_of(selected.begin(), selected.end(), [&](const Selected& s) { return s.expert == expert; });
}

/// Collects what a dispatch decides; done() sorts the choices.
class Record {
 public:
  void choose(uint32_t expert, Action action) { outcome_.choices.push_back({expert, action}); }
  void leave(uint32_t layer, uint32_t expert) { outcome_.left.push_back({layer, expert}); }
  void ahead(uint32_t layer, uint32_t expert) { outcome_.prefetched.push_back({layer, expert}); }
  Outcome done();

 private:
  Outcome outcome_;
};

}  // namespace moe::oracle
