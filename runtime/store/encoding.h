// SPDX-License-Identifier: Apache-2.0
// The `encoding` of a precision in a store's index: how copies of experts lie in their extents. They have the streaming
// layout, runtime/precision/stream.h, of the expert's parts in the order of the store's `parts`: matrices of f32, f16
// or bf16 are quantized, with quanto's choice of groups; parts of another rank, such as biases, are kept as they are,
// as one row. The text is one JSON object:
//
//     layout   "moe-stream-1"
//     format   as precision::FormatInfo has it
//     parts    {name, format, group, scales, shifts, codes, end}: where each part lies in the extent, as in
//              precision::PartExtent. All of it follows from format and layout; it is there for other readers
#pragma once
#include <string>

#include "runtime/precision/stream.h"
#include "runtime/store/layout.h"

namespace moe::store {

/// How experts that lie as `layout` says are kept in `format`. Errors: unsupported: the format cannot keep them (a part
/// of another dtype, rows that hadamard4 cannot rotate, no matrix at all).
Result<precision::ExpertStream> stream_in(precision::Format format, const ExpertLayout& layout);

/// The encoding of such a stream.
std::string encoding_of(precision::Format format, const precision::ExpertStream& stream, const ExpertLayout& layout);

/// What decodes the copies of a precision whose encoding a store's index has. `where` begins the messages. The
/// extents' length is for the caller to compare with size_bytes().
/// Errors: format: the encoding is no such text, or does not agree with itself or with the layout; unsupported: another
/// layout than moe-stream-1.
Result<precision::ExpertStream> stream_of(const std::string& encoding, const ExpertLayout& layout,
                                          const std::string& where);

}  // namespace moe::store
