// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <zstd.h>

#include <memory>

#include "replay/formats.h"

namespace moe::replay {

Result<std::vector<uint8_t>> decompress_zstd(Bytes file, uint64_t max_size) {
  constexpr int kMaxWindowLog = 27;  // 128 MiB, what the zstd program accepts too
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (!context) return Error{Error::Kind::no_memory, "no memory to decompress"};
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxWindowLog);

  std::vector<uint8_t> out;
  std::vector<uint8_t> chunk(ZSTD_DStreamOutSize());
  ZSTD_inBuffer in{file.data(), file.size(), 0};
  size_t status = 0;
  bool output_was_full = false;
  while (in.pos < in.size || (output_was_full && status != 0)) {
    ZSTD_outBuffer piece{chunk.data(), chunk.size(), 0};
    status = ZSTD_decompressStream(context.get(), &piece, &in);
    if (ZSTD_isError(status) != 0) {
      return Error{Error::Kind::format, fmt::format("zstd, offset {}: {}", in.pos, ZSTD_getErrorName(status))};
    }
    if (piece.pos > max_size - out.size()) {
      return Error{Error::Kind::format, fmt::format("zstd: more than {} bytes when decompressed", max_size)};
    }
    out.insert(out.end(), chunk.begin(), chunk.begin() + static_cast<ptrdiff_t>(piece.pos));
    output_was_full = piece.pos == chunk.size();
  }
  if (status != 0) return Error{Error::Kind::format, fmt::format("zstd, offset {}: the file is cut off", file.size())};
  return out;
}

std::string compress_zstd(Bytes contents) {
  constexpr int kLevel = 9;
  std::string out(ZSTD_compressBound(contents.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), contents.data(), contents.size(), kLevel);
  out.resize(ZSTD_isError(size) != 0 ? 0 : size);  // cannot fail with a buffer of compressBound bytes
  return out;
}

}  // namespace moe::replay
