// SPDX-License-Identifier: Apache-2.0
#include "ir/explain.h"

#include <fmt/format.h>

#include "ir/explain_parts.h"
#include "ir/json.h"

namespace moe::ir {
namespace {

void add(Explanation& out, std::string title, plain::Sentences sentences) {
  if (!sentences.empty()) out.parts.push_back({std::move(title), std::move(sentences)});
}

void append(plain::Sentences& to, plain::Sentences more) {
  for (std::string& sentence : more) to.push_back(std::move(sentence));
}

// What another policy does while it is in force, in one part.
plain::Sentences of_alternative(const Policy& other) {
  plain::Sentences all = plain::stays(other);
  append(all, plain::on_miss(other));
  append(all, plain::early(other));
  append(all, plain::phases(other));
  append(all, plain::bands(other));
  return all;
}

void add_parts(const Policy& policy, Explanation& out) {
  add(out, "What stays", plain::stays(policy));
  add(out, "On a hit", plain::on_hit(policy));
  add(out, "On a miss", plain::on_miss(policy));
  add(out, "What is fetched early", plain::early(policy));
  add(out, "In a phase", plain::phases(policy));
  add(out, "In some layers", plain::bands(policy));
  add(out, "What adapts", plain::adapts(policy));
  for (const Policy& other : policy.alternatives) {
    if (other.name == policy.name) continue;  // what `choose` returns to
    add(out, fmt::format("While `{}` is in force", other.name.value), of_alternative(other));
  }
  add(out, "What is learned", plain::learns(policy));
  if (policy.tiers) add(out, "Where weights live", plain::tiers(*policy.tiers));
  add(out, "Memory", plain::memory(policy));
  add(out, "What is measured", plain::measured(policy));
  add(out, "What can be set", plain::settable(policy));
  add(out, "The model's output", plain::exact(policy, out.exactness));
  add(out, "Repeatability", plain::timing(policy));
}

}  // namespace

Explanation explain(const Policy& policy) {
  Explanation out{policy.name.value, exactness(policy), timing_free(policy), {}};
  add_parts(policy, out);
  return out;
}

Explanation explain(const BoundPolicy& policy) {
  Explanation out{policy.name, policy.exactness, policy.timing_free, {}};
  if (policy.source != nullptr) add_parts(*policy.source, out);
  add(out, "On this model", plain::on_model(policy));
  return out;
}

std::string print_text(const Explanation& explanation) {
  std::string text = fmt::format("policy `{}`\n", explanation.policy);
  for (const ExplainedPart& part : explanation.parts) {
    text += fmt::format("\n{}\n", part.title);
    for (const std::string& sentence : part.sentences) text += fmt::format("  {}\n", sentence);
  }
  return text;
}

std::string print_json(const std::vector<Explanation>& explanations, const std::vector<std::string>& warnings) {
  Json policies = Json::array();
  for (const Explanation& explanation : explanations) {
    Json parts = Json::array();
    for (const ExplainedPart& part : explanation.parts) {
      parts.push_back({{"title", part.title}, {"sentences", part.sentences}});
    }
    policies.push_back({{"policy", explanation.policy},
                        {"exactness", to_word(explanation.exactness)},
                        {"timing_free", explanation.timing_free},
                        {"parts", parts}});
  }
  return dump({{"policies", policies}, {"warnings", warnings}});
}

}  // namespace moe::ir
