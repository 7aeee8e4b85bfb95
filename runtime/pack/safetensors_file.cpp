// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/safetensors_file.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/store/checksum.h"

namespace moe::pack {
namespace {

constexpr uint64_t kPiece = uint64_t{1} << 24;

std::string header_of(std::span<const store::Tensor> tensors) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t offset = 0;
  for (const store::Tensor& tensor : tensors) {
    header[tensor.name] = {
        {"dtype", tensor.dtype_word}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.size_bytes}}};
    offset += tensor.size_bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // the tensors begin aligned, as the format's own writers do it
  const uint64_t length = text.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  return bytes + text;
}

}  // namespace

Result<store::FileMark> write_safetensors(const std::string& dir, const std::string& name,
                                          std::span<const store::Tensor> tensors, const Fetch& fetch,
                                          const Count& count) {
  Result<OutFile> file = OutFile::open(dir + "/" + name);
  if (!file) return file.error();
  store::FileMark mark{name, 0, 0};
  auto append = [&](const char* data, uint64_t size) -> Result<void> {
    for (uint64_t done = 0; done < size;) {
      const uint64_t n = std::min(size - done, kPiece);
      const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data + done), n);
      if (Result<void> written = file->write_at(mark.size_bytes, bytes); !written) return written;
      mark.crc32c = store::checksum(bytes.data(), n, mark.crc32c);
      mark.size_bytes += n;
      done += n;
    }
    return {};
  };
  const std::string header = header_of(tensors);
  if (Result<void> written = append(header.data(), header.size()); !written) return written.error();
  for (const store::Tensor& tensor : tensors) {
    const Result<const char*> data = fetch(tensor);
    if (!data) return data.error();
    if (Result<void> written = append(*data, tensor.size_bytes); !written) return written.error();
    count(tensor.size_bytes);
  }
  if (Result<void> shortened = file->reserve(mark.size_bytes); !shortened) return shortened.error();
  if (Result<void> synced = file->sync(); !synced) return synced.error();
  return mark;
}

}  // namespace moe::pack
