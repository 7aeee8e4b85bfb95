// SPDX-License-Identifier: Apache-2.0
#include "replay/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <optional>

namespace moe::replay {
namespace {

constexpr uint32_t kLocalMagic = 0x04034B50;
constexpr uint32_t kCentralMagic = 0x02014B50;
constexpr uint32_t kEndMagic = 0x06054B50;
constexpr uint32_t kEnd64Magic = 0x06064B50;
constexpr uint32_t kLocator64Magic = 0x07064B50;
constexpr size_t kLocalSize = 30;
constexpr size_t kCentralSize = 46;
constexpr size_t kEndSize = 22;
constexpr size_t kLocator64Size = 20;
constexpr size_t kEnd64Size = 56;
constexpr size_t kMaxComment = 65535;
constexpr uint16_t kZip64Extra = 1;

Error bad(uint64_t offset, std::string_view reason) {
  return Error{Error::Kind::format, fmt::format("zip, offset {}: {}", offset, reason)};
}

struct Directory {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint64_t num_entries = 0;
};

std::optional<size_t> find_end_record(Bytes file) {
  if (file.size() < kEndSize) return std::nullopt;
  const size_t last = file.size() - kEndSize;
  const size_t first = last > kMaxComment ? last - kMaxComment : 0;
  for (size_t offset = last + 1; offset-- > first;) {
    if (read_le<uint32_t>(file, offset) == kEndMagic) return offset;
  }
  return std::nullopt;
}

Result<Directory> read_end64(Bytes file, size_t end) {
  if (end < kLocator64Size || read_le<uint32_t>(file, end - kLocator64Size) != kLocator64Magic) {
    return bad(end, "the zip64 locator is missing");
  }
  const auto offset = read_le<uint64_t>(file, end - kLocator64Size + 8);
  if (!fits(offset, kEnd64Size, end)) return bad(end - kLocator64Size, "the zip64 end record lies outside the file");
  if (read_le<uint32_t>(file, offset) != kEnd64Magic) return bad(offset, "the zip64 end record is missing");
  return Directory{read_le<uint64_t>(file, offset + 48), read_le<uint64_t>(file, offset + 40),
                   read_le<uint64_t>(file, offset + 32)};
}

Result<Directory> find_directory(Bytes file) {
  const std::optional<size_t> end = find_end_record(file);
  if (!end) return bad(file.size(), "no end of central directory: the file is cut off or not a zip");
  Directory directory{read_le<uint32_t>(file, *end + 16), read_le<uint32_t>(file, *end + 12),
                      read_le<uint16_t>(file, *end + 10)};
  if (directory.offset == UINT32_MAX || directory.size == UINT32_MAX || directory.num_entries == UINT16_MAX) {
    Result<Directory> wide = read_end64(file, *end);
    if (!wide) return wide;
    directory = *wide;
  } else if (read_le<uint16_t>(file, *end + 4) != 0) {
    return bad(*end, "the archive is split over several files");
  }
  if (!fits(directory.offset, directory.size, *end)) return bad(*end, "the central directory lies outside the file");
  if (directory.num_entries > directory.size / kCentralSize)
    return bad(*end, "more members than the directory can hold");
  return directory;
}

// Fields of 0xFFFFFFFF stand in the zip64 extra field, in this order. False when it is too short.
bool read_zip64_extra(Bytes extra, ZipEntry& entry, uint64_t& local_offset) {
  size_t at = 0;
  while (at + 4 <= extra.size()) {
    const auto id = read_le<uint16_t>(extra, at);
    const auto size = read_le<uint16_t>(extra, at + 2);
    at += 4;
    if (size > extra.size() - at) return false;
    if (id != kZip64Extra) {
      at += size;
      continue;
    }
    Bytes fields = extra.subspan(at, size);
    for (uint64_t* field : {&entry.size, &entry.compressed_size, &local_offset}) {
      if (*field != UINT32_MAX) continue;
      if (fields.size() < 8) return false;
      *field = read_le<uint64_t>(fields, 0);
      fields = fields.subspan(8);
    }
    return true;
  }
  return false;
}

// One entry of the central directory at `at`, which moves past it.
Result<ZipEntry> read_entry(Bytes file, uint64_t& at, const Directory& directory) {
  const uint64_t end = directory.offset + directory.size;
  const uint64_t start = at;
  if (!fits(at, kCentralSize, end) || read_le<uint32_t>(file, at) != kCentralMagic) {
    return bad(at, "no directory entry where one should be");
  }
  const uint64_t name_size = read_le<uint16_t>(file, at + 28);
  const uint64_t extra_size = read_le<uint16_t>(file, at + 30);
  const uint64_t comment_size = read_le<uint16_t>(file, at + 32);
  if (!fits(at + kCentralSize, name_size + extra_size + comment_size, end))
    return bad(at, "a directory entry is cut off");

  ZipEntry entry;
  entry.method = read_le<uint16_t>(file, at + 10);
  entry.crc = read_le<uint32_t>(file, at + 16);
  entry.compressed_size = read_le<uint32_t>(file, at + 20);
  entry.size = read_le<uint32_t>(file, at + 24);
  uint64_t local = read_le<uint32_t>(file, at + 42);
  const Bytes name = file.subspan(at + kCentralSize, name_size);
  entry.name.assign(name.begin(), name.end());
  const bool wide = entry.size == UINT32_MAX || entry.compressed_size == UINT32_MAX || local == UINT32_MAX;
  const Bytes extra = file.subspan(at + kCentralSize + name_size, extra_size);
  if (wide && !read_zip64_extra(extra, entry, local)) return bad(start, "the zip64 sizes are missing");
  if ((read_le<uint16_t>(file, at + 8) & 1) != 0) return bad(start, "the member is encrypted");
  if (entry.method != 0 && entry.method != 8) {
    return bad(start, fmt::format("compression method {} is not supported, only stored and deflate", entry.method));
  }
  at += kCentralSize + name_size + extra_size + comment_size;

  if (!fits(local, kLocalSize, directory.offset) || read_le<uint32_t>(file, local) != kLocalMagic) {
    return bad(start, fmt::format("no member at offset {}", local));
  }
  entry.data_offset = local + kLocalSize + read_le<uint16_t>(file, local + 26) + read_le<uint16_t>(file, local + 28);
  if (!fits(entry.data_offset, entry.compressed_size, directory.offset)) {
    return bad(local, fmt::format("member `{}` leaves the file", entry.name));
  }
  if (entry.method == 0 && entry.compressed_size != entry.size) {
    return bad(start, fmt::format("stored member `{}` has two sizes", entry.name));
  }
  return entry;
}

Result<void> check_overlaps(std::vector<ZipEntry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.data_offset < b.data_offset; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i - 1].data_offset + entries[i - 1].compressed_size <= entries[i].data_offset) continue;
    return bad(entries[i].data_offset,
               fmt::format("members `{}` and `{}` overlap", entries[i - 1].name, entries[i].name));
  }
  return {};
}

// Raw deflate; grows the output step by step up to the claimed size. nullopt: broken, or another size than claimed.
std::optional<std::vector<uint8_t>> inflate_all(Bytes compressed, uint64_t claimed_size) {
  constexpr size_t kStep = size_t{1} << 20;
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return std::nullopt;
  std::vector<uint8_t> out;
  size_t consumed = 0;
  int status = Z_OK;
  while (status == Z_OK) {
    const size_t old_size = out.size();
    const size_t step =
        static_cast<size_t>(std::min<uint64_t>(kStep, claimed_size - old_size)) + 1;  // 1 more: too long
    const size_t given = std::min(compressed.size() - consumed, kStep);
    out.resize(old_size + step);
    stream.next_in = const_cast<uint8_t*>(compressed.data() + consumed);  // zlib does not write through it
    stream.avail_in = static_cast<uInt>(given);
    stream.next_out = out.data() + old_size;
    stream.avail_out = static_cast<uInt>(step);
    status = inflate(&stream, Z_NO_FLUSH);
    consumed += given - stream.avail_in;
    out.resize(old_size + step - stream.avail_out);
    if (out.size() > claimed_size) status = Z_DATA_ERROR;
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END || out.size() != claimed_size) return std::nullopt;
  return out;
}

uint32_t zip_crc(Bytes bytes) { return static_cast<uint32_t>(crc32_z(0, bytes.data(), bytes.size())); }

}  // namespace

Result<std::vector<ZipEntry>> read_zip_directory(Bytes file) {
  Result<Directory> directory = find_directory(file);
  if (!directory) return directory.error();
  std::vector<ZipEntry> entries;
  uint64_t at = directory->offset;
  for (uint64_t i = 0; i < directory->num_entries; ++i) {
    Result<ZipEntry> entry = read_entry(file, at, *directory);
    if (!entry) return entry.error();
    entries.push_back(std::move(*entry));
  }
  if (Result<void> result = check_overlaps(entries); !result) return result.error();
  return entries;
}

Result<std::vector<uint8_t>> extract(Bytes file, const ZipEntry& entry) {
  const Bytes data = file.subspan(entry.data_offset, entry.compressed_size);
  std::optional<std::vector<uint8_t>> contents;
  if (entry.method == 0) {
    contents.emplace(data.begin(), data.end());
  } else {
    contents = inflate_all(data, entry.size);
  }
  if (!contents)
    return bad(entry.data_offset, fmt::format("member `{}` does not inflate to {} bytes", entry.name, entry.size));
  if (zip_crc(*contents) != entry.crc)
    return bad(entry.data_offset, fmt::format("member `{}` has a wrong CRC", entry.name));
  return std::move(*contents);
}

}  // namespace moe::replay
