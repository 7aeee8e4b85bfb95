// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/stream_encoder.h"

namespace moe::pack {

using store::ExpertLayout;

Result<StreamEncoder> StreamEncoder::make(precision::Format format, const ExpertLayout& layout) {
  Result<precision::ExpertStream> stream = store::stream_in(format, layout);
  if (!stream) return stream.error();
  return StreamEncoder(format, std::move(*stream));
}

std::string StreamEncoder::encoding(const ExpertLayout& layout) const {
  return store::encoding_of(format_, stream_, layout);
}

uint64_t StreamEncoder::encoded_bytes(const ExpertLayout&) const { return stream_.size_bytes(); }

Result<void> StreamEncoder::encode(const ExpertLayout& layout, std::span<const std::byte> expert,
                                   std::span<std::byte> encoded) const {
  std::vector<const void*> parts;
  for (const store::Part& part : layout.parts) parts.push_back(expert.data() + part.offset_bytes);
  const Result<precision::ExpertStream::Notes> notes = stream_.encode(parts, encoded.data());
  if (!notes) return notes.error();
  return {};
}

}  // namespace moe::pack
