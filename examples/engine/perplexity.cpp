// SPDX-License-Identifier: Apache-2.0
#include "examples/engine/perplexity.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "examples/engine/error.h"
#include "examples/engine/json_file.h"

namespace engine {
namespace {

constexpr size_t kMaxFile = size_t{1} << 30;
constexpr size_t kPiece = 256;

/// Of the token that really came.
double negative_log_likelihood(std::span<const float> logits, int32_t token) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return largest + std::log(sum) - double{logits[static_cast<size_t>(token)]};
}

std::vector<std::vector<int32_t>> read_ids(const std::filesystem::path& file, const Config& config) {
  const nlohmann::json json = parse_json_object(read_file(file, kMaxFile), file.string());
  const nlohmann::json& docs = JsonObject(json, file.string()).at("docs");
  if (!docs.is_array()) throw data_error(file.string() + ": `docs` is not an array");
  std::vector<std::vector<int32_t>> texts;
  for (const nlohmann::json& doc : docs) {
    const std::string where = file.string() + ": docs[" + std::to_string(texts.size()) + "]";
    const nlohmann::json& ids = JsonObject(doc, where).at("ids");
    if (!ids.is_array()) throw data_error(where + ": `ids` is not an array");
    std::vector<int32_t>& text = texts.emplace_back();
    for (const nlohmann::json& id : ids) {
      text.push_back(static_cast<int32_t>(to_integer(id, 0, config.vocab_size - 1, where + ".ids")));
    }
  }
  return texts;
}

std::vector<std::vector<int32_t>> cut(const std::vector<int32_t>& ids, size_t piece) {
  std::vector<std::vector<int32_t>> texts;
  for (size_t begin = 0; begin + 1 < ids.size(); begin += piece) {
    const size_t end = std::min(begin + piece, ids.size());
    texts.emplace_back(ids.begin() + static_cast<ptrdiff_t>(begin), ids.begin() + static_cast<ptrdiff_t>(end));
  }
  return texts;
}

}  // namespace

std::vector<std::vector<int32_t>> read_texts(const std::filesystem::path& file, const Config& config,
                                             const std::optional<Tokenizer>& tokenizer) {
  std::vector<std::vector<int32_t>> texts;
  if (file.extension() == ".json") {
    texts = read_ids(file, config);
  } else if (tokenizer) {
    texts = cut(tokenizer->encode(read_file(file, kMaxFile)), std::min<size_t>(kPiece, config.max_positions));
  } else {
    throw usage_error(file.string() + ": a text needs the model's tokenizer.json; a .json file with `docs` does not");
  }
  std::erase_if(texts, [](const std::vector<int32_t>& text) { return text.size() < 2; });
  if (texts.empty()) throw data_error(file.string() + ": there is no text of two tokens or more");
  for (const std::vector<int32_t>& text : texts) {
    if (text.size() > config.max_positions) {
      throw data_error(file.string() + ": a text of " + std::to_string(text.size()) + " tokens, and the model has " +
                       std::to_string(config.max_positions) + " positions");
    }
  }
  return texts;
}

Perplexity perplexity_of(Model& model, const std::vector<std::vector<int32_t>>& texts) {
  Perplexity result;
  double total = 0;
  for (const std::vector<int32_t>& text : texts) {
    KvCache cache;
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      const int32_t token[] = {text[i]};
      const Matrix logits = model.logits(model.forward(token, MOE_PHASE_DECODE, cache));
      total += negative_log_likelihood(logits.values, text[i + 1]);
      ++result.tokens;
    }
  }
  result.mean_nll = total / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.mean_nll);
  return result;
}

}  // namespace engine
