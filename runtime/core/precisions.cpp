// SPDX-License-Identifier: Apache-2.0
#include "runtime/core/precisions.h"

#include <algorithm>

#include "runtime/store/encoding.h"

namespace moe::core {

using precision::Format;

Precisions::Precisions(const store::ExpertStore& store) : store_(store) {
  coded_.push_back({Format::native, store.expert_bytes(), std::nullopt, std::nullopt});
  const store::ExtentStore* extents = store.extents();
  if (!extents) return;
  const size_t count = std::min<size_t>(extents->index().precisions.size(), kMost);
  for (uint32_t number = 1; number < count; ++number) coded_.push_back(make(number));
}

Precisions::Coded Precisions::make(uint32_t number) const {
  const store::StoreIndex& index = store_.extents()->index();
  const store::Precision& one = index.precisions[number];
  const std::string where =
      store_.extents()->path_of(std::string(store::kIndexName)) + ": precision `" + one.name + "`";
  Coded coded;
  const std::optional<Format> format = precision::find_format(one.name);
  if (!format || *format == Format::native) {
    coded.error = Error{Error::Kind::unsupported, where + " is not known"};
    return coded;
  }
  coded.format = *format;
  Result<precision::ExpertStream> stream = store::stream_of(one.encoding, index.layout, where);
  if (!stream) {
    coded.error = stream.error();
    return coded;
  }
  coded.bytes = stream->size_bytes();
  for (size_t key = 0; key < index.num_keys(); ++key) {
    const store::Extent& extent = index.extents[number * index.num_keys() + key];
    if (extent.size_bytes == coded.bytes) continue;
    coded.error =
        Error{Error::Kind::format, store_.extents()->describe(extent) + ": " + std::to_string(extent.size_bytes) +
                                       " bytes, its encoding takes " + std::to_string(coded.bytes)};
    return coded;
  }
  coded.stream = std::move(*stream);
  return coded;
}

Result<uint32_t> Precisions::find(decision::Dtype dtype) const {
  switch (dtype) {
    case decision::Dtype::as_stored:
      return kNative;
    case decision::Dtype::f8_e4m3:
      return find_coded("f8_e4m3", {Format::f8_e4m3fn, Format::f8_e4m3fnuz});
    case decision::Dtype::int8:
      return find_coded("int8", {Format::qint8});
    case decision::Dtype::int4:
      return find_coded("int4", {Format::qint4, Format::hadamard4});
    case decision::Dtype::int2:
      return find_coded("int2", {Format::qint2});
    default:
      return find_wide(dtype);
  }
}

/// A number that is no narrower than the model's holds all of it, so its weights stay as they are.
Result<uint32_t> Precisions::find_wide(decision::Dtype dtype) const {
  const uint64_t wanted = dtype == decision::Dtype::f32 ? 4 : 2;
  for (const store::Part& part : store_.layout().parts) {
    if (part.dtype != MOE_OTHER && precision::size_of(part.dtype) <= wanted) continue;
    const std::string word = dtype == decision::Dtype::bf16 ? "bf16" : dtype == decision::Dtype::f16 ? "f16" : "f32";
    return Error{Error::Kind::unsupported, "it holds experts in `" + word + "`, the model has `" + part.name + "` as " +
                                               (part.dtype_word.empty() ? "bytes" : part.dtype_word) +
                                               ", and a store has no copies in " + word + ": write `as_stored`"};
  }
  return kNative;
}

Result<uint32_t> Precisions::find_coded(std::string_view word, std::initializer_list<Format> formats) const {
  for (const Format format : formats) {
    const auto found =
        std::find_if(coded_.begin() + 1, coded_.end(), [&](const Coded& one) { return one.format == format; });
    if (found == coded_.end()) continue;
    if (found->error) return *found->error;
    return static_cast<uint32_t>(found - coded_.begin());
  }
  const std::string name(precision::info(*formats.begin()).name);
  return Error{Error::Kind::unsupported,
               "it holds experts in `" + std::string(word) +
                   "`, and the store has no such copies: pack the model with `moec pack MODEL "
                   "-o STORE --precision " +
                   name + "` and open the store"};
}

}  // namespace moe::core
