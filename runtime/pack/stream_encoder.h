// SPDX-License-Identifier: Apache-2.0
// Copies of experts in the formats of runtime/precision, in the layout of runtime/store/encoding.h.
#pragma once
#include <string>
#include <string_view>

#include "runtime/pack/encoder.h"
#include "runtime/store/encoding.h"

namespace moe::pack {

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

}  // namespace moe::pack
