// SPDX-License-Identifier: Apache-2.0
// The index of a store: what `moec pack` writes and the runtime streams experts from.
//
// A store is a folder. Everything in it is an ordinary file, and nothing refers to a place outside:
//
//     moe_store.json            this index; a folder is a store if and only if it is there
//     experts-00000.bin, ...    the experts: one extent per (layer, expert, precision)
//     other_tensors.safetensors every tensor that is no expert's, in the safetensors format
//     config.json, tokenizer.json, ...   copied from the model, so that a store is a model folder too
//
// The index is one JSON object:
//
//     format        "moe-store"
//     version       1; a reader refuses another
//     index_crc32c  CRC-32C of the object without this member, printed without spaces and with keys in order
//     num_layers, num_experts    MoE layers, and experts in each
//     layers        [num_layers] {before, after, fused}: an expert's tensors are named `before` E `after` PART. fused:
//                   they were the E-th matrices of tensors `before` PART, one a part (fused.h)
//     parts         {name, dtype, shape, offset, size}: how an expert at native precision lies in its extent. Ascending
//                   by name; each begins at the next multiple of 64 bytes, zeros between: the layout of a slot
//     precisions    {name, encoding}: the copies that every expert has. The first is "native", the checkpoint's own
//                   bytes; `encoding` is what the others' encoder says of its layout, and null for native
//     files         {name, size}: the data files; size is a multiple of 4096
//     extents       {layer, expert, precision, file, offset, size, crc32c}: precision and file count the lists above.
//                   Offset is a multiple of 4096, and so is what belongs to the extent: size rounded up, zeros at the
//                   end. So an extent can be read with O_DIRECT. Written in order of file and offset. crc32c is of
//                   `size` bytes
//     tensors       {name, size, crc32c} of the file of other tensors; null when the source had none
//     side_files    [{name, size, crc32c}], the files that were copied
//     source        [{name, size, crc32c}], the files it was made from: for the record, they need not exist
//     order         {method, ...}: how the extents were ordered, for the record
//
// All of it is hostile input: what read_store_index() returns has been checked against itself, and ExtentStore::open()
// (extent_store.h) checks it against the files.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/store/layout.h"

namespace moe::store {

inline constexpr std::string_view kIndexName = "moe_store.json";
inline constexpr std::string_view kTensorsName = "other_tensors.safetensors";
inline constexpr std::string_view kNativePrecision = "native";
inline constexpr uint64_t kExtentAlignment = 4096;

constexpr uint64_t padded(uint64_t size_bytes) {
  return (size_bytes + kExtentAlignment - 1) / kExtentAlignment * kExtentAlignment;
}

/// One expert at one precision: where it lies.
struct Extent {
  uint32_t layer = 0;
  uint32_t expert = 0;
  uint32_t precision = 0;     ///< counts StoreIndex::precisions
  uint32_t file = 0;          ///< counts StoreIndex::files
  uint64_t offset_bytes = 0;  ///< a multiple of kExtentAlignment
  uint64_t size_bytes = 0;    ///< >= 1; padded(size_bytes) belong to it, and lie in the file
  uint32_t crc32c = 0;        ///< of size_bytes
};

/// A file and what it holds.
struct FileMark {
  std::string name;
  uint64_t size_bytes = 0;
  uint32_t crc32c = 0;
};

struct DataFile {
  std::string name;
  uint64_t size_bytes = 0;  ///< a multiple of kExtentAlignment
};

struct Precision {
  std::string name;      ///< [a-z0-9_]+
  std::string encoding;  ///< JSON text; "null" for native
};

/// How the tensors of a layer's experts are named: `before` E `after` PART.
struct ExpertNaming {
  std::string before;
  std::string after;
  bool fused = false;  ///< in the model a part of all experts is one tensor, `before` PART
  std::string name_of(uint32_t expert, std::string_view part) const {
    return before + std::to_string(expert) + after + std::string(part);
  }
};

/// Invariant (of what read_store_index returns)  every (layer, expert, precision) has one extent, no two overlap, all
/// lie in their files; all native extents have expert_bytes(); file names are plain, no two are equal.
struct StoreIndex {
  uint32_t num_layers = 0;
  uint32_t num_experts = 0;
  std::vector<ExpertNaming> naming;  ///< [num_layers]
  ExpertLayout layout;
  std::vector<Precision> precisions;  ///< the first is native
  std::vector<DataFile> files;
  std::vector<Extent> extents;    ///< [precision][layer][expert]
  std::vector<FileMark> tensors;  ///< none or one
  std::vector<FileMark> side_files;
  std::vector<FileMark> source;
  std::string order = "{}";  ///< a JSON object

  size_t num_keys() const { return size_t{num_layers} * num_experts; }
  size_t place(uint32_t layer, uint32_t expert, uint32_t precision) const {
    return precision * num_keys() + size_t{layer} * num_experts + expert;
  }
  /// Bytes of an expert at native precision.
  uint64_t expert_bytes() const { return layout.parts.back().offset_bytes + layout.parts.back().size_bytes; }
};

/// The tensors of all experts without data: by layer, expert and part.
std::vector<Tensor> expert_tensors(const StoreIndex& index);

/// Errors: format: two of the tensors have one name.
Result<void> check_unique(const std::vector<Tensor>& tensors, const std::string& where);

/// Reads an index. `where` begins the messages. Cost: linear in the text.
/// Errors: format, with the member and what to do; unsupported: another version.
Result<StoreIndex> read_store_index(std::string_view text, const std::string& where);

/// The text of an index, ending in a newline; extents in order of file and offset, one a line.
std::string write_store_index(const StoreIndex& index);

}  // namespace moe::store
