// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/store_index.h"

#include <algorithm>
#include <set>

#include "runtime/base/crc32c.h"
#include "runtime/store/file_name.h"
#include "runtime/store/json.h"

namespace moe::store {
namespace {

using nlohmann::json;

constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxExperts = 65534;
constexpr size_t kMaxParts = 4096;
constexpr size_t kMaxPrecisions = 64;
constexpr size_t kMaxRank = 4;
constexpr uint64_t kMaxBytes = uint64_t{1} << 48;  // sums of kMaxParts of them fit in 64 bits

/// Checks one member after the other; the first fault ends it.
class IndexReader {
 public:
  IndexReader(const json& object, const std::string& where) : object_(object), where_(where) {}

  Result<StoreIndex> read() {
    using Step = Result<void> (IndexReader::*)();
    constexpr Step kSteps[] = {&IndexReader::read_version, &IndexReader::read_shape,      &IndexReader::read_naming,
                               &IndexReader::read_parts,   &IndexReader::read_precisions, &IndexReader::read_files,
                               &IndexReader::read_marks,   &IndexReader::read_extents,    &IndexReader::check_overlaps,
                               &IndexReader::check_names};
    for (const Step step : kSteps) {
      if (Result<void> done = (this->*step)(); !done) return done.error();
    }
    return std::move(index_);
  }

 private:
  Error wrong(const std::string& reason) const {
    return {Error::Kind::format, where_ + ": " + reason + "; pack the model again"};
  }

  const json& member(const json& object, const char* name) const {
    static const json none;
    const auto found = object.is_object() ? object.find(name) : object.end();
    return object.is_object() && found != object.end() ? *found : none;
  }
  /// A whole number in [low, high], or a fault.
  Result<uint64_t> number(const json& object, const char* name, uint64_t low, uint64_t high,
                          const std::string& of) const {
    const json& value = member(object, name);
    if (!value.is_number_unsigned()) return wrong(of + "`" + name + "` is not a whole number");
    const auto n = value.get<uint64_t>();
    if (n >= low && n <= high) return n;
    return wrong(of + "`" + name + "` is " + std::to_string(n) + ", not " + std::to_string(low) + " to " +
                 std::to_string(high));
  }
  Result<std::string> text(const json& object, const char* name, const std::string& of) const {
    const json& value = member(object, name);
    if (!value.is_string()) return wrong(of + "`" + name + "` is not a text");
    return value.get<std::string>();
  }
  /// A list of at most `most`.
  Result<const json*> list(const json& object, const char* name, size_t most, const std::string& of) const {
    const json& value = member(object, name);
    if (!value.is_array()) return wrong(of + "`" + name + "` is not a list");
    if (value.size() > most) return wrong(of + "`" + name + "` has " + std::to_string(value.size()) + " entries");
    return &value;
  }
  static std::string entry(const char* name, size_t i) { return std::string(name) + "[" + std::to_string(i) + "]: "; }

  Result<void> read_version() {
    if (member(object_, "format") != json("moe-store")) return wrong("`format` is not \"moe-store\"");
    const json& version = member(object_, "version");
    if (version != json(1)) {
      return Error{Error::Kind::unsupported, where_ + ": a store of version " + version.dump() +
                                                 ", this build reads version 1; pack the model again with this build"};
    }
    // Damage that happens to be well-formed. Whoever means harm can forge it, so everything is checked all the same.
    json plain = object_;
    plain.erase("index_crc32c");
    const std::string printed = plain.dump(-1, ' ', false, json::error_handler_t::replace);
    const Result<uint64_t> wanted = number(object_, "index_crc32c", 0, UINT32_MAX, "");
    if (!wanted) return wanted.error();
    if (crc32c(printed.data(), printed.size()) != *wanted) return wrong("the index is damaged (`index_crc32c`)");
    return {};
  }

  Result<void> read_shape() {
    const Result<uint64_t> layers = number(object_, "num_layers", 1, kMaxLayers, "");
    if (!layers) return layers.error();
    const Result<uint64_t> experts = number(object_, "num_experts", 1, kMaxExperts, "");
    if (!experts) return experts.error();
    index_.num_layers = static_cast<uint32_t>(*layers);
    index_.num_experts = static_cast<uint32_t>(*experts);
    return {};
  }

  Result<void> read_naming() {
    const auto layers = list(object_, "layers", kMaxLayers, "");
    if (!layers) return layers.error();
    if ((*layers)->size() != index_.num_layers) {
      return wrong("`layers` has " + std::to_string((*layers)->size()) + " entries, `num_layers` is " +
                   std::to_string(index_.num_layers));
    }
    for (const json& layer : **layers) {
      const std::string of = entry("layers", index_.naming.size());
      Result<std::string> before = text(layer, "before", of);
      if (!before) return before.error();
      Result<std::string> after = text(layer, "after", of);
      if (!after) return after.error();
      const json& fused = member(layer, "fused");
      if (!fused.is_boolean()) return wrong(of + "`fused` is neither true nor false");
      index_.naming.push_back({std::move(*before), std::move(*after), fused.get<bool>()});
    }
    return {};
  }

  Result<void> read_parts() {
    const auto parts = list(object_, "parts", kMaxParts, "");
    if (!parts) return parts.error();
    for (const json& described : **parts) {
      if (Result<void> read = read_part(described, entry("parts", index_.layout.parts.size())); !read) return read;
    }
    if (index_.layout.weight_bytes == 0) return wrong("`parts` make an empty expert");
    return {};
  }

  Result<void> read_part(const json& described, const std::string& of) {
    Part part;
    Result<std::string> name = text(described, "name", of);
    if (!name) return name.error();
    part.name = std::move(*name);
    const auto& before = index_.layout.parts;
    if (part.name.empty() || (!before.empty() && part.name <= before.back().name)) {
      return wrong(of + "names are not ascending");
    }
    Result<std::string> word = text(described, "dtype", of);
    if (!word) return word.error();
    part.dtype_word = std::move(*word);
    const auto shape = list(described, "shape", kMaxRank, of);
    if (!shape) return shape.error();
    std::vector<uint64_t> dimensions;
    for (const json& dimension : **shape) {
      if (!dimension.is_number_unsigned()) return wrong(of + "`shape` has something else than whole numbers");
      dimensions.push_back(dimension.get<uint64_t>());
    }
    part.rank = static_cast<uint32_t>(dimensions.size());
    std::copy(dimensions.begin(), dimensions.end(), part.shape.begin());
    const Result<uint64_t> size = number(described, "size", 0, kMaxBytes, of);
    if (!size) return size.error();
    part.size_bytes = *size;
    if (const Dtype* dtype = find_dtype(part.dtype_word)) {
      part.dtype = dtype->dtype;
      if (tensor_bytes(*dtype, dimensions) != part.size_bytes) return wrong(of + "shape, dtype and size disagree");
    }
    const Result<uint64_t> offset = number(described, "offset", 0, UINT64_MAX, of);
    if (!offset) return offset.error();
    append_part(index_.layout, std::move(part));
    if (*offset != index_.layout.parts.back().offset_bytes) {
      return wrong(of + "`offset` is " + std::to_string(*offset) + ", the parts before it make it " +
                   std::to_string(index_.layout.parts.back().offset_bytes));
    }
    return {};
  }

  Result<void> read_precisions() {
    const auto precisions = list(object_, "precisions", kMaxPrecisions, "");
    if (!precisions) return precisions.error();
    std::set<std::string> seen;
    for (const json& described : **precisions) {
      const std::string of = entry("precisions", index_.precisions.size());
      Result<std::string> name = text(described, "name", of);
      if (!name) return name.error();
      const bool plain =
          !name->empty() && name->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name->npos;
      if (!plain) return wrong(of + "`name` is not a word of a-z, 0-9 and _");
      if (!seen.insert(*name).second) return wrong(of + "`" + *name + "` is there twice");
      const json& encoding = member(described, "encoding");
      index_.precisions.push_back({std::move(*name), encoding.dump(-1, ' ', false, json::error_handler_t::replace)});
    }
    if (index_.precisions.empty() || index_.precisions.front().name != kNativePrecision) {
      return wrong("the first of `precisions` is not \"native\"");
    }
    return {};
  }

  Result<void> read_files() {
    const auto files = list(object_, "files", 1'000'000, "");
    if (!files) return files.error();
    for (const json& described : **files) {
      const std::string of = entry("files", index_.files.size());
      Result<std::string> name = file_name(described, of);
      if (!name) return name.error();
      const Result<uint64_t> size = number(described, "size", 0, INT64_MAX, of);
      if (!size) return size.error();
      if (*size % kExtentAlignment != 0) return wrong(of + "`size` is not a multiple of 4096");
      index_.files.push_back({std::move(*name), *size});
    }
    return {};
  }

  Result<std::string> file_name(const json& described, const std::string& of) const {
    Result<std::string> name = text(described, "name", of);
    if (name && !is_plain_file_name(*name))
      return wrong(of + "`" + *name + "` is not the name of a file in this folder");
    return name;
  }

  Result<FileMark> mark(const json& described, const std::string& of) const {
    Result<std::string> name = file_name(described, of);
    if (!name) return name.error();
    const Result<uint64_t> size = number(described, "size", 0, INT64_MAX, of);
    if (!size) return size.error();
    const Result<uint64_t> crc = number(described, "crc32c", 0, UINT32_MAX, of);
    if (!crc) return crc.error();
    return FileMark{std::move(*name), *size, static_cast<uint32_t>(*crc)};
  }

  Result<void> read_marks() {
    const json& tensors = member(object_, "tensors");
    if (!tensors.is_null()) {
      Result<FileMark> one = mark(tensors, "tensors: ");
      if (!one) return one.error();
      index_.tensors.push_back(std::move(*one));
    }
    for (const auto& [name, into] : {std::pair{"side_files", &index_.side_files}, {"source", &index_.source}}) {
      const auto marks = list(object_, name, 1'000'000, "");
      if (!marks) return marks.error();
      for (const json& described : **marks) {
        Result<FileMark> one = mark(described, entry(name, into->size()));
        if (!one) return one.error();
        into->push_back(std::move(*one));
      }
    }
    const json& order = member(object_, "order");
    if (!order.is_object()) return wrong("`order` is not an object");
    index_.order = order.dump(-1, ' ', false, json::error_handler_t::replace);
    return {};
  }

  Result<void> read_extents() {
    const auto extents = list(object_, "extents", SIZE_MAX, "");
    if (!extents) return extents.error();
    const size_t count = index_.num_keys() * index_.precisions.size();
    if ((*extents)->size() != count) {
      return wrong("`extents` has " + std::to_string((*extents)->size()) + " entries, the shape makes it " +
                   std::to_string(count));
    }
    index_.extents.resize(count);  // size 0: not there yet
    size_t i = 0;
    for (const json& described : **extents) {
      if (Result<void> read = read_extent(described, entry("extents", i++)); !read) return read;
    }
    return {};
  }

  Result<void> read_extent(const json& described, const std::string& of) {
    Error fault;
    bool good = true;
    auto take = [&](const char* name, uint64_t low, uint64_t high) {
      const Result<uint64_t> value = good ? number(described, name, low, high, of) : Result<uint64_t>(low);
      if (!value) fault = value.error(), good = false;
      return value ? *value : low;
    };
    Extent extent;
    extent.layer = static_cast<uint32_t>(take("layer", 0, index_.num_layers - 1));
    extent.expert = static_cast<uint32_t>(take("expert", 0, index_.num_experts - 1));
    extent.precision = static_cast<uint32_t>(take("precision", 0, index_.precisions.size() - 1));
    extent.file = static_cast<uint32_t>(take("file", 0, index_.files.empty() ? 0 : index_.files.size() - 1));
    extent.offset_bytes = take("offset", 0, INT64_MAX);
    extent.size_bytes = take("size", 1, kMaxBytes);
    extent.crc32c = static_cast<uint32_t>(take("crc32c", 0, UINT32_MAX));
    if (!good) return fault;
    if (index_.files.empty()) return wrong(of + "there are no files");
    if (extent.offset_bytes % kExtentAlignment != 0) return wrong(of + "`offset` is not a multiple of 4096");
    if (extent.offset_bytes + padded(extent.size_bytes) > index_.files[extent.file].size_bytes) {
      return wrong(of + "it ends beyond its file, `" + index_.files[extent.file].name + "`");
    }
    if (extent.precision == 0 && extent.size_bytes != index_.expert_bytes()) {
      return wrong(of + "`size` is " + std::to_string(extent.size_bytes) + ", the parts make it " +
                   std::to_string(index_.expert_bytes()));
    }
    Extent& there = index_.extents[index_.place(extent.layer, extent.expert, extent.precision)];
    if (there.size_bytes != 0) return wrong(of + "layer, expert and precision are those of an extent before it");
    there = extent;
    return {};
  }

  Result<void> check_overlaps() {
    std::vector<const Extent*> sorted;
    for (const Extent& extent : index_.extents) sorted.push_back(&extent);
    std::sort(sorted.begin(), sorted.end(), [](const Extent* a, const Extent* b) {
      return a->file != b->file ? a->file < b->file : a->offset_bytes < b->offset_bytes;
    });
    for (size_t i = 1; i < sorted.size(); ++i) {
      const Extent& a = *sorted[i - 1];
      const Extent& b = *sorted[i];
      if (a.file != b.file || a.offset_bytes + padded(a.size_bytes) <= b.offset_bytes) continue;
      return wrong("the extents of layer " + std::to_string(a.layer) + " expert " + std::to_string(a.expert) +
                   " and layer " + std::to_string(b.layer) + " expert " + std::to_string(b.expert) + " overlap in `" +
                   index_.files[a.file].name + "`");
    }
    return {};
  }

  Result<void> check_names() {
    std::set<std::string> names{std::string(kIndexName)};
    auto take = [&](const std::string& name) -> Result<void> {
      if (names.insert(name).second) return {};
      return wrong("the file `" + name + "` is named twice");
    };
    for (const DataFile& file : index_.files) {
      if (Result<void> taken = take(file.name); !taken) return taken;
    }
    for (const auto* marks : {&index_.tensors, &index_.side_files}) {
      for (const FileMark& file : *marks) {
        if (Result<void> taken = take(file.name); !taken) return taken;
      }
    }
    return {};
  }

  const json& object_;
  const std::string& where_;
  StoreIndex index_;
};

}  // namespace

std::vector<Tensor> expert_tensors(const StoreIndex& index) {
  std::vector<Tensor> tensors;
  for (uint32_t layer = 0; layer < index.num_layers; ++layer) {
    for (uint32_t expert = 0; expert < index.num_experts; ++expert) {
      for (const Part& part : index.layout.parts) {
        Tensor tensor;
        tensor.name = index.naming[layer].name_of(expert, part.name);
        tensor.dtype = part.dtype;
        tensor.dtype_word = part.dtype_word;
        tensor.shape.assign(part.shape.begin(), part.shape.begin() + part.rank);
        tensor.size_bytes = part.size_bytes;
        tensors.push_back(std::move(tensor));
      }
    }
  }
  return tensors;
}

Result<void> check_unique(const std::vector<Tensor>& tensors, const std::string& where) {
  std::set<std::string_view> names;
  for (const Tensor& tensor : tensors) {
    if (names.insert(tensor.name).second) continue;
    return Error{Error::Kind::format,
                 where + ": two tensors have the name `" + tensor.name + "`; pack the model again"};
  }
  return {};
}

Result<StoreIndex> read_store_index(std::string_view text, const std::string& where) {
  Result<json> object = parse_object(text, where);
  if (!object) return object.error();
  return IndexReader(*object, where).read();
}

}  // namespace moe::store
