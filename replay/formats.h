// SPDX-License-Identifier: Apache-2.0
// The trace formats, one reader each, over bytes in memory. All of them are for hostile input: they refuse with the
// place and the reason, allocate no more than a small multiple of what the bytes really hold, and return traces for
// which check() is ok. load_trace.h picks the reader.
#pragma once
#include <cstddef>
#include <optional>
#include <string>

#include "replay/bytes.h"
#include "replay/trace.h"
#include "runtime/base/result.h"

namespace moe::replay {

/// What a file may leave open.
struct TraceOptions {
  std::optional<uint32_t> num_experts;  ///< overrides what the file says; else that, else the largest id + 1
};

/// NumPy .npz: `experts` [tokens, layers, k]; optional `weights` (same shape), `requests` [tokens], `steps` [tokens],
/// `phase` [tokens], `lookahead` and `lookahead_prob` [tokens, layers, m], `num_experts`. Other arrays are not read.
Result<Trace> read_npz(Bytes file, const TraceOptions& options);

/// JSON Lines, one dispatch a line: {"l": layer, "e": [ids], "s": [weights]}. A layer that is not above the line before
/// begins the next token. Layers that a token leaves out, and places that a short line leaves, are "no expert". "s" is
/// in every line or in none.
Result<Trace> read_jsonl(Bytes file, const TraceOptions& options);

/// .moet, little endian:
///
///     0   "MOET", u16 version 1, u16 flags, u32 layers, u32 experts, u32 top_k, u64 tokens, u64 offset of the trailer
///     36  u32 CRC-32C of the 36 bytes before; zero up to 64
///     64  u16 experts[tokens][layers][top_k]
///         then what the flags name, in this order, each 64-byte aligned:
///           1 weights f16, or 16 weights f32    2 requests u32    4 steps u32    8 phase u8
///           32 lookahead: u16 m, u16 ids[tokens][layers][m], f16 probabilities of the same shape
///         JSON trailer: {"offsets": {"weights": N, ...}, "events": [[dispatch, layer, expert], ...], ...metadata}
///         u32 CRC-32C of everything before
///
/// Flag 64 says that the trailer has `events`: loads that the mechanism dropped before that dispatch.
Result<Trace> read_moet(Bytes file, const TraceOptions& options);

/// The bytes of a .moet file. Weights are stored as f16 when that loses nothing, else as f32; lookahead probabilities
/// are rounded to f16, as the format has no other. Requires check(trace).
std::string write_moet(const Trace& trace);

/// zstd, one or more frames, to at most `max_size` bytes.
Result<std::vector<uint8_t>> decompress_zstd(Bytes file, uint64_t max_size);
std::string compress_zstd(Bytes contents);

}  // namespace moe::replay
