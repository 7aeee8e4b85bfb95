// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "replay/formats.h"
#include "replay/npy.h"
#include "replay/zip.h"

namespace moe::replay {
namespace {

Error bad(std::string message) { return Error{Error::Kind::format, std::move(message)}; }

/// The archive's arrays by name; each is unpacked when it is asked for and freed with its Array.
class Archive {
 public:
  struct Array {
    std::vector<uint8_t> storage;
    NpyArray array;
  };

  static Result<Archive> open(Bytes file) {
    Result<std::vector<ZipEntry>> entries = read_zip_directory(file);
    if (!entries) return entries.error();
    Archive archive(file);
    for (const ZipEntry& entry : *entries) {
      if (entry.name.ends_with(".npy")) archive.entries_[entry.name.substr(0, entry.name.size() - 4)] = entry;
    }
    return archive;
  }
  bool has(const std::string& name) const { return entries_.contains(name); }

  /// The array; an error unless it has `shape`, of which empty means any.
  Result<Array> get(const std::string& name, const std::vector<uint64_t>& shape) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return bad(fmt::format("the archive has no array `{}`", name));
    Result<std::vector<uint8_t>> contents = extract(file_, found->second);
    if (!contents) return contents.error();
    Array result;
    result.storage = std::move(*contents);
    Result<NpyArray> array = parse_npy(result.storage);
    if (!array) return bad(fmt::format("array `{}`: {}", name, array.error().message));
    result.array = std::move(*array);
    if (!shape.empty() && result.array.shape != shape) {
      return bad(fmt::format("array `{}` has shape ({}), not ({})", name, fmt::join(result.array.shape, ", "),
                             fmt::join(shape, ", ")));
    }
    return result;
  }

 private:
  explicit Archive(Bytes file) : file_(file) {}
  Bytes file_;
  std::map<std::string, ZipEntry> entries_;
};

// Integers of an array that has `shape` (empty: any).
Result<std::vector<uint32_t>> integers(const Archive& archive, const std::string& name,
                                       const std::vector<uint64_t>& shape, uint32_t max) {
  Result<Archive::Array> array = archive.get(name, shape);
  if (!array) return array.error();
  return to_integers(array->array, max, name);
}

Result<std::vector<float>> floats(const Archive& archive, const std::string& name, const std::vector<uint64_t>& shape) {
  Result<Archive::Array> array = archive.get(name, shape);
  if (!array) return array.error();
  return to_floats(array->array);
}

template <class T>
std::vector<T> narrow(const std::vector<uint32_t>& values) {
  std::vector<T> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), [](uint32_t value) { return static_cast<T>(value); });
  return result;
}

// The three-dimensional array of ids, which must have tokens and layers in front when they are known. Returns its
// width.
Result<uint64_t> read_ids(const Archive& archive, const std::string& name, std::vector<uint16_t>& ids,
                          std::vector<uint64_t>& shape) {
  Result<Archive::Array> array = archive.get(name, {});
  if (!array) return array.error();
  const std::vector<uint64_t>& found = array->array.shape;
  const bool matches = found.size() == 3 && (shape.empty() || (found[0] == shape[0] && found[1] == shape[1]));
  if (!matches) {
    return bad(fmt::format("array `{}` has shape ({}), not (tokens, layers, k)", name, fmt::join(found, ", ")));
  }
  Result<std::vector<uint32_t>> values = to_integers(array->array, kNoExpert, name);
  if (!values) return values.error();
  ids = narrow<uint16_t>(*values);
  shape = found;
  return found[2];
}

Result<uint32_t> read_num_experts(const Archive& archive, const Trace& trace, const TraceOptions& options) {
  if (options.num_experts) return *options.num_experts;
  if (archive.has("num_experts")) {
    Result<std::vector<uint32_t>> values = integers(archive, "num_experts", {}, UINT32_MAX);
    if (!values) return values.error();
    if (values->size() != 1) return bad("array `num_experts` is not one number");
    return values->front();
  }
  uint32_t largest = 0;
  for (uint16_t id : trace.experts) {
    if (id != kNoExpert) largest = std::max<uint32_t>(largest, id);
  }
  return largest + 1;
}

// The arrays [tokens].
Result<void> read_token_arrays(const Archive& archive, Trace& trace) {
  const std::vector<uint64_t> shape{trace.num_tokens};
  for (auto [name, target] : {std::pair{"requests", &trace.requests}, std::pair{"steps", &trace.steps}}) {
    if (!archive.has(name)) continue;
    Result<std::vector<uint32_t>> values = integers(archive, name, shape, UINT32_MAX);
    if (!values) return values.error();
    *target = std::move(*values);
  }
  if (!archive.has("phase")) return {};
  Result<std::vector<uint32_t>> phases = integers(archive, "phase", shape, UINT8_MAX);
  if (!phases) return phases.error();
  trace.phases = narrow<uint8_t>(*phases);
  return {};
}

Result<void> read_lookahead(const Archive& archive, std::vector<uint64_t> shape, Trace& trace) {
  if (!archive.has("lookahead")) return {};
  Result<uint64_t> width = read_ids(archive, "lookahead", trace.lookahead, shape);
  if (!width) return width.error();
  if (*width > kNoExpert) return bad("array `lookahead` is too wide");
  trace.lookahead_width = static_cast<uint32_t>(*width);
  if (!archive.has("lookahead_prob")) return bad("the archive has `lookahead` but no `lookahead_prob`");
  Result<std::vector<float>> probabilities = floats(archive, "lookahead_prob", shape);
  if (!probabilities) return probabilities.error();
  trace.lookahead_probs = std::move(*probabilities);
  return {};
}

}  // namespace

Result<Trace> read_npz(Bytes file, const TraceOptions& options) {
  Result<Archive> archive = Archive::open(file);
  if (!archive) return archive.error();
  Trace trace;
  std::vector<uint64_t> shape;
  if (Result<uint64_t> width = read_ids(*archive, "experts", trace.experts, shape); !width) return width.error();
  if (shape[1] > 4096 || shape[2] > kNoExpert) return bad("array `experts` has too many layers or experts per token");
  trace.num_tokens = shape[0];
  trace.num_layers = static_cast<uint32_t>(shape[1]);
  trace.top_k = static_cast<uint32_t>(shape[2]);

  if (archive->has("weights")) {
    Result<std::vector<float>> weights = floats(*archive, "weights", shape);
    if (!weights) return weights.error();
    trace.weights = std::move(*weights);
  }
  if (Result<void> result = read_token_arrays(*archive, trace); !result) return result.error();
  if (Result<void> result = read_lookahead(*archive, shape, trace); !result) return result.error();
  Result<uint32_t> num_experts = read_num_experts(*archive, trace, options);
  if (!num_experts) return num_experts.error();
  trace.num_experts = *num_experts;
  if (Result<void> result = check(trace); !result) return result.error();
  return trace;
}

}  // namespace moe::replay
