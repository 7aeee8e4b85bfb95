// SPDX-License-Identifier: Apache-2.0
#include "replay/load_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "replay/file.h"

namespace moe::replay {
namespace {

constexpr uint64_t kMaxDecompressed = uint64_t{8} << 30;

bool begins_with(Bytes file, std::string_view magic) {
  return file.size() >= magic.size() && std::equal(magic.begin(), magic.end(), file.begin(),
                                                   [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

bool looks_like_json(Bytes file) {
  for (uint8_t byte : file) {
    if (byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n') return byte == '{';
  }
  return false;
}

Result<Trace> read_any(Bytes file, const TraceOptions& options) {
  if (begins_with(file, "MOET")) return read_moet(file, options);
  if (begins_with(file, "PK\x03\x04") || begins_with(file, "PK\x05\x06")) return read_npz(file, options);
  if (looks_like_json(file)) return read_jsonl(file, options);
  if (begins_with(file, "\x28\xB5\x2F\xFD")) {
    Result<std::vector<uint8_t>> contents = decompress_zstd(file, kMaxDecompressed);
    if (!contents) return contents.error();
    return read_moet(*contents, options);
  }
  return Error{Error::Kind::format, "offset 0: not a trace (.moet, .moet.zst, .npz or JSON Lines)"};
}

}  // namespace

Result<Trace> load_trace(const std::string& path, const TraceOptions& options) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  try {
    Result<Trace> trace = read_any(file->bytes(), options);
    if (trace) return trace;
    return Error{trace.error().kind, fmt::format("`{}`: {}", path, trace.error().message)};
  } catch (const std::bad_alloc&) {
    return Error{Error::Kind::no_memory, fmt::format("`{}`: the trace does not fit in memory", path)};
  }
}

Result<void> save_trace(const Trace& trace, const std::string& path) {
  if (path.ends_with(".moet")) return write_file(path, write_moet(trace));
  if (path.ends_with(".moet.zst")) return write_file(path, compress_zstd(as_bytes(write_moet(trace))));
  return Error{Error::Kind::unsupported, fmt::format("`{}`: traces are written as .moet or .moet.zst", path)};
}

}  // namespace moe::replay
