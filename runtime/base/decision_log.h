// SPDX-License-Identifier: Apache-2.0
// The decision log as libmoe writes it and `moec explain` reads it. Little endian:
//
//     0   "MOEL", u16 version 1, u16 0, u32 layers, u32 experts, u32 top_k, u32 ABI version of the decision kernels,
//         u64 bytes of the JSON, u64 words of the records
//     40  u32 CRC-32C of the 40 bytes before; zero up to 64
//     64  JSON: {"policies": [{"serial": N, "manifest": "...", "program": "..."}, ...]}, both texts JSON as well;
//         `program` is "" where nobody gave the runtime the policy's text; spaces up to a multiple of 8
//         records, oldest first, each of whole 64-bit words
//         u32 CRC-32C of everything before
//
// A record: word 0 its words | kind << 32 | flags << 40; word 1 the number of its dispatch, from 0; word 2 the policy's
// serial | layer << 32. Then, by kind:
//     start     nothing: the policy's state is fresh
//     state     the policy's state block before the dispatch, as runtime/decision/layout.h lays it out
//     dispatch  word 3 tokens | request << 32; word 4 dropped keys | hints << 32; word 5 Digest of the decision.
//               Then, each in whole words: u16 ids[tokens][top_k]; f32 weights likewise, if flagged; f32
//               probabilities[tokens][experts], if flagged; u32 dropped keys; and per hint that came since the dispatch
//               before: a word layer | n << 32, u32 ids[n], f32 probabilities[n], most probable first
// Numbers of consecutive dispatches differ by one; where one is missing it was too large for the log, and a state
// follows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace moe::logfmt {

inline constexpr std::string_view kMagic = "MOEL";
inline constexpr uint16_t kVersion = 1;
inline constexpr size_t kHeaderSize = 64;
inline constexpr size_t kHeaderCrcOffset = 40;
inline constexpr size_t kCrcSize = 4;
inline constexpr uint64_t kMostBytes = uint64_t{1} << 30;  ///< of the records

enum Kind : uint8_t { kStart = 1, kState = 2, kDispatch = 3 };
enum Flag : uint8_t { kDecode = 1, kWeights = 2, kProbabilities = 4 };
inline constexpr uint8_t kAllFlags = 7;
inline constexpr size_t kPrologue = 3;       ///< words of every record
inline constexpr size_t kDispatchWords = 6;  ///< words of a dispatch before its arrays

constexpr uint64_t pack(uint32_t low, uint32_t high) { return uint64_t{low} | uint64_t{high} << 32; }
constexpr uint32_t low(uint64_t word) { return static_cast<uint32_t>(word); }
constexpr uint32_t high(uint64_t word) { return static_cast<uint32_t>(word >> 32); }
constexpr uint64_t words_for(uint64_t bytes) { return bytes / 8 + (bytes % 8 != 0 ? 1 : 0); }

/// Tells two decisions apart: a replay of the log that gives another one than the engine had is of another policy.
/// FNV-1a over whole numbers, in the order of the decision's lists.
class Digest {
 public:
  void add(uint32_t number) { value_ = (value_ ^ number) * 0x100000001B3u; }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xCBF29CE484222325u;
};

}  // namespace moe::logfmt
