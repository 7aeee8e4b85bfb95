// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "examples/engine/decoder.h"
#include "examples/engine/error.h"
#include "examples/engine/json_file.h"
#include "examples/engine/normalizer.h"
#include "examples/engine/pre_tokenizer.h"

namespace engine {

// The parts of a tokenizer.json that are chains of steps. A step that changes the result and is not computed here is an
// error that names it: data.

Normalizer read_normalizer(const JsonObject& part);

struct PreTokenizerPart {
  PreTokenizer steps;
  bool byte_level = false;
};
PreTokenizerPart read_pre_tokenizer(const JsonObject& part);

struct DecoderPart {
  Decoder steps;
  bool byte_level = false;
};
DecoderPart read_decoder(const JsonObject& part);

Error unsupported(const JsonObject& part, const std::string& type);

/// Calls `read` on a part, or on each part of a Sequence. A Sequence inside a Sequence is refused, and so is one
/// without end: real files have none, and every step is taken for every text.
template <class Read>
void each_part(const JsonObject& part, const char* items_key, Read read) {
  constexpr size_t kMaxSteps = 64;
  if (part.string("type") != "Sequence") return read(part);
  part.allow_only({"type", items_key});
  const nlohmann::json& items = part.at(items_key);
  if (items.size() > kMaxSteps) throw data_error(part.where() + ": a Sequence of more than 64 parts");
  for (const nlohmann::json& item : items) {
    const JsonObject inner(item, part.where());
    if (inner.string("type") == "Sequence") throw unsupported(inner, "Sequence in a Sequence");
    read(inner);
  }
}

}  // namespace engine
