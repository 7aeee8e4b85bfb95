// SPDX-License-Identifier: Apache-2.0
// In which precisions an engine can hold experts: the model's own, and those of the copies that its store has.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "runtime/decision/abi.h"
#include "runtime/precision/stream.h"
#include "runtime/store/store.h"

namespace moe::core {

/// The numbers are those of the store's precisions: 0 is native, as the model has it, and decoding it is a copy.
/// Immutable: any thread.
class Precisions {
 public:
  static constexpr uint32_t kNative = 0;
  static constexpr uint32_t kMost = 64;  ///< that an engine tells apart; those of a store beyond it are not used

  /// Copies that this version cannot decode are errors of find() only. The store outlives this.
  explicit Precisions(const store::ExpertStore& store);

  uint32_t count() const { return static_cast<uint32_t>(coded_.size()); }
  /// The precision that stands for a policy's word. Errors: unsupported (the store has no such copies), format.
  Result<uint32_t> find(decision::Dtype dtype) const;

  /// Of an expert: what a transfer of it moves.
  uint64_t bytes(uint32_t precision) const { return coded_[precision].bytes; }
  /// Whether `a` keeps less of the weights than `b`.
  bool is_lower(uint32_t a, uint32_t b) const { return bytes(a) < bytes(b); }
  precision::Format format(uint32_t precision) const { return coded_[precision].format; }
  /// Requires another than kNative, that find() has returned.
  const precision::ExpertStream& stream(uint32_t precision) const { return *coded_[precision].stream; }
  /// Where part `index` of an expert lies in a slot, and in which dtype.
  const store::Part& part(size_t index) const { return store_.layout().parts[index]; }

 private:
  struct Coded {
    precision::Format format = precision::Format::native;
    uint64_t bytes = 0;
    std::optional<precision::ExpertStream> stream;
    std::optional<Error> error;  ///< why it cannot be decoded
  };
  Coded make(uint32_t number) const;
  Result<uint32_t> find_wide(decision::Dtype dtype) const;
  Result<uint32_t> find_coded(std::string_view word, std::initializer_list<precision::Format> formats) const;

  const store::ExpertStore& store_;
  std::vector<Coded> coded_;
};

}  // namespace moe::core
