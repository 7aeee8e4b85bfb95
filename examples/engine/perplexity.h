// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "examples/engine/model.h"
#include "examples/engine/tokenizer.h"

namespace engine {

/// How well a model says what comes next in given texts.
struct Perplexity {
  uint64_t tokens = 0;    ///< that were predicted: all but each text's first
  double mean_nll = 0;    ///< minus the mean logarithm of the probability that each had, in nats
  double perplexity = 1;  ///< exp(mean_nll)
};

/// The texts of a file, as token ids. A `.json` file is an object whose `docs` are objects with `ids`, arrays of
/// tokens; other files are one text, cut into pieces of at most 256 tokens, for which a tokenizer is needed. Errors:
/// machine (the file cannot be read), data (no such object, an id beyond the vocabulary, no text of two tokens, or one
/// longer than the model has positions), usage (a text, and no tokenizer).
std::vector<std::vector<int32_t>> read_texts(const std::filesystem::path& file, const Config& config,
                                             const std::optional<Tokenizer>& tokenizer);

/// Feeds the texts to the model one token after another, as generating does, so that the policy decides as it would
/// there. Cost: a decoding step for each token. Errors: those of Model::forward.
Perplexity perplexity_of(Model& model, const std::vector<std::vector<int32_t>>& texts);

}  // namespace engine
