// SPDX-License-Identifier: Apache-2.0
#include "tests/oracles/system.h"

#include <map>

namespace moe::oracle {

std::string to_word(Action action) {
  static const char* const kWords[] = {"hit", "load", "stream", "cpu", "cpu_load", "degrade", "shared", "skip"};
  return kWords[static_cast<size_t>(action)];
}

std::string to_text(const Outcome& outcome) {
  const auto pairs = [](const char* word, const std::vector<Pair>& list) {
    std::string text;
    for (const Pair& p : list) text += " " + std::to_string(p.layer) + ":" + std::to_string(p.expert);
    return text.empty() ? text : "; " + std::string(word) + text;
  };
  std::string text;
  for (const Choice& c : outcome.choices) {
    text += (text.empty() ? "" : ", ") + std::to_string(c.expert) + " " + to_word(c.action);
  }
  return text + pairs("left", outcome.left) + pairs("ahead", outcome.prefetched);
}

std::vector<Selected> by_appearance(const Dispatch& dispatch) {
  std::vector<Selected> list;
  for (size_t token = 0; token < dispatch.ids.size(); ++token) {
    for (size_t k = 0; k < dispatch.ids[token].size(); ++k) {
      const uint32_t expert = dispatch.ids[token][k];
      const double weight = dispatch.weights[token][k];
      const auto known = std::find_if(list.begin(), list.end(), [&](const Selected& s) { return s.expert == expert; });
      if (known == list.end()) {
        list.push_back({expert, 1, weight});
      } else {
        known->tokens += 1;
        known->weight = std::max(known->weight, weight);
      }
    }
  }
  return list;
}

std::vector<Selected> by_id(const Dispatch& dispatch) {
  std::vector<Selected> list = by_appearance(dispatch);
  std::sort(list.begin(), list.end(), [](const Selected& a, const Selected& b) { return a.expert < b.expert; });
  return list;
}

std::vector<Guess> merged_guesses(const Dispatch& dispatch) {
  std::map<uint32_t, double> best;
  for (const auto& of_token : dispatch.guesses) {
    for (const Guess& guess : of_token) best[guess.expert] = std::max(best[guess.expert], guess.probability);
  }
  std::vector<Guess> list;
  for (const auto& [expert, probability] : best) list.push_back({expert, probability});
  std::stable_sort(list.begin(), list.end(),
                   [](const Guess& a, const Guess& b) { return a.probability > b.probability; });
  return list;
}

Outcome Record::done() {
  std::sort(outcome_.choices.begin(), outcome_.choices.end(),
            [](const Choice& a, const Choice& b) { return a.expert < b.expert; });
  return std::move(outcome_);
}

}  // namespace moe::oracle
