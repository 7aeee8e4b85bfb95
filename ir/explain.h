// SPDX-License-Identifier: Apache-2.0
// A policy in plain sentences: what its reader would say of it to a colleague.
#pragma once
#include <string>
#include <vector>

#include "ir/bind.h"

namespace moe::ir {

/// Sentences about one thing. Each begins with a capital letter and ends with a period or a question mark.
struct ExplainedPart {
  std::string title;  ///< "On a miss"
  std::vector<std::string> sentences;
};

struct Explanation {
  std::string policy;
  Exactness exactness = Exactness::exact;
  bool timing_free = true;
  std::vector<ExplainedPart> parts;  ///< in reading order; none is empty
};

/// Of what the policy says; nothing is known of a model.
Explanation explain(const Policy& policy);

/// With a part about the model: slots, bytes, tables. `policy` is bind()'s. It has no findings: those are the caller's.
Explanation explain(const BoundPolicy& policy);

/// The sentences as a text, one a line under their titles.
std::string print_text(const Explanation& explanation);
/// {"policies": [{"policy", "exactness", "timing_free", "parts": [{"title", "sentences"}]}], "warnings": [...]}
std::string print_json(const std::vector<Explanation>& explanations, const std::vector<std::string>& warnings);

}  // namespace moe::ir
