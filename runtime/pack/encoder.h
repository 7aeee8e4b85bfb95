// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/store/layout.h"

namespace moe::pack {

/// Makes the copies of experts at another precision. The writer asks for one expert at a time and puts what comes back
/// in an extent of its own, keyed (layer, expert, precision); it looks at none of it.
class Encoder {
 public:
  virtual ~Encoder() = default;

  /// The precision's name, [a-z0-9_]+, not "native".
  virtual std::string_view precision() const = 0;

  /// What a decoder needs to know about all experts, a JSON text: the `encoding` of the precision in the store's index.
  virtual std::string encoding(const store::ExpertLayout& layout) const = 0;

  /// Bytes of an encoded expert: the same for all of a layout, because places in the files are given out beforehand.
  virtual uint64_t encoded_bytes(const store::ExpertLayout& layout) const = 0;

  /// Encodes one expert that lies as `layout` says into `encoded`, encoded_bytes() long. Pure: the same bytes each
  /// time.
  virtual Result<void> encode(const store::ExpertLayout& layout, std::span<const std::byte> expert,
                              std::span<std::byte> encoded) const = 0;
};

}  // namespace moe::pack
