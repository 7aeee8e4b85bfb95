// SPDX-License-Identifier: Apache-2.0
// Copies of experts in the formats of runtime/precision. An extent is the streaming layout, runtime/precision/stream.h,
// of the expert's parts in the order of the store's `parts`: matrices of f32, f16 or bf16 are quantized, with quanto's
// choice of groups; parts of another rank, such as biases, are kept as they are, as one row.
#pragma once
#include <string>
#include <string_view>

#include "runtime/pack/encoder.h"
#include "runtime/precision/stream.h"

namespace moe::pack {

/// Its `encoding` is
///
///     layout   "moe-stream-1"
///     format   as precision::FormatInfo has it
///     parts    {name, format, group, scales, shifts, codes, end}: where each part lies in the extent, as in
///              precision::PartExtent. All of it follows from format and layout; it is there for other readers
class StreamEncoder final : public Encoder {
 public:
  /// An encoder of experts that lie as `layout` says, and of no others. Errors: unsupported: the format cannot keep
  /// them (a part of another dtype, rows that hadamard4 cannot rotate, no matrix at all).
  static Result<StreamEncoder> make(precision::Format format, const store::ExpertLayout& layout);

  std::string_view precision() const override { return precision::info(format_).name; }
  std::string encoding(const store::ExpertLayout& layout) const override;
  uint64_t encoded_bytes(const store::ExpertLayout& layout) const override;
  Result<void> encode(const store::ExpertLayout& layout, std::span<const std::byte> expert,
                      std::span<std::byte> encoded) const override;

  const precision::ExpertStream& stream() const { return stream_; }

 private:
  StreamEncoder(precision::Format format, precision::ExpertStream stream)
      : format_(format), stream_(std::move(stream)) {}
  precision::Format format_;
  precision::ExpertStream stream_;
};

/// What decodes the copies of a precision whose `encoding` a store's index has. `where` begins the messages. The
/// extents' length is for the caller to compare with size_bytes().
/// Errors: format: the encoding is no such text, or does not agree with itself or with the layout; unsupported: another
/// layout than moe-stream-1.
Result<precision::ExpertStream> stream_of(const std::string& encoding, const store::ExpertLayout& layout,
                                          const std::string& where);

}  // namespace moe::pack
