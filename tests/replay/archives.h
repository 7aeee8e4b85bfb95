// SPDX-License-Identifier: Apache-2.0
// Builds .npy arrays and zip archives, right ones and wrong ones.
#pragma once
#include <fmt/format.h>
#include <zlib.h>

#include <string>
#include <string_view>
#include <vector>

#include "replay/bytes.h"

namespace moe::replay::test {

/// A .npy file with this header dict, whatever it says.
inline std::string npy_with_header(const std::string& header, std::string_view elements, int version = 1) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  if (version == 1) {
    append_le(file, static_cast<uint16_t>(header.size()));
  } else {
    append_le(file, static_cast<uint32_t>(header.size()));
  }
  return file + header + std::string(elements);
}

/// `shape` as Python writes it: "(2, 3)", "()".
template <class T>
std::string npy(const std::string& descr, const std::string& shape, const std::vector<T>& elements, int version = 1) {
  const std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}\n", descr, shape);
  return npy_with_header(header, {reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T)},
                         version);
}

struct Member {
  std::string name;
  std::string contents;
  bool deflated = false;
  bool wide = false;  ///< sizes in the directory stand in the zip64 extra field
};

inline std::string raw_deflate(const std::string& contents) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, contents.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(contents.data()));
  stream.avail_in = static_cast<uInt>(contents.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// Local header, as NumPy writes it: with a zip64 extra field of its own.
inline void append_local_header(std::string& zip, const Member& member, uint32_t crc, uint64_t stored_size) {
  append_le(zip, uint32_t{0x04034B50});
  for (uint16_t field :
       {uint16_t{45}, uint16_t{0}, static_cast<uint16_t>(member.deflated ? 8 : 0), uint16_t{0}, uint16_t{0}}) {
    append_le(zip, field);
  }
  append_le(zip, crc);
  append_le(zip, UINT32_MAX);
  append_le(zip, UINT32_MAX);
  append_le(zip, static_cast<uint16_t>(member.name.size()));
  append_le(zip, uint16_t{20});
  zip += member.name;
  append_le(zip, uint16_t{1});
  append_le(zip, uint16_t{16});
  append_le(zip, uint64_t{member.contents.size()});
  append_le(zip, stored_size);
}

inline void append_directory_entry(std::string& directory, const Member& member, uint32_t crc, uint64_t stored_size,
                                   uint64_t offset) {
  append_le(directory, uint32_t{0x02014B50});
  for (uint16_t field : {uint16_t{45}, uint16_t{45}, uint16_t{0}, static_cast<uint16_t>(member.deflated ? 8 : 0),
                         uint16_t{0}, uint16_t{0}}) {
    append_le(directory, field);
  }
  append_le(directory, crc);
  append_le(directory, member.wide ? UINT32_MAX : static_cast<uint32_t>(stored_size));
  append_le(directory, member.wide ? UINT32_MAX : static_cast<uint32_t>(member.contents.size()));
  append_le(directory, static_cast<uint16_t>(member.name.size()));
  append_le(directory, static_cast<uint16_t>(member.wide ? 28 : 0));
  for (int i = 0; i < 3; ++i) append_le(directory, uint16_t{0});  // comment, disk, internal attributes
  append_le(directory, uint32_t{0});
  append_le(directory, member.wide ? UINT32_MAX : static_cast<uint32_t>(offset));
  directory += member.name;
  if (!member.wide) return;
  append_le(directory, uint16_t{1});
  append_le(directory, uint16_t{24});
  append_le(directory, uint64_t{member.contents.size()});
  append_le(directory, stored_size);
  append_le(directory, offset);
}

/// `wide_end`: with a zip64 end record and locator.
inline std::string zip(const std::vector<Member>& members, bool wide_end = false) {
  std::string out;
  std::string directory;
  for (const Member& member : members) {
    const uint64_t offset = out.size();
    const auto crc = static_cast<uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(member.contents.data()), member.contents.size()));
    const std::string stored = member.deflated ? raw_deflate(member.contents) : member.contents;
    append_local_header(out, member, crc, stored.size());
    out += stored;
    append_directory_entry(directory, member, crc, stored.size(), offset);
  }
  const uint64_t directory_offset = out.size();
  out += directory;
  if (wide_end) {
    const uint64_t end64 = out.size();
    append_le(out, uint32_t{0x06064B50});
    append_le(out, uint64_t{44});
    append_le(out, uint32_t{(45 << 16) | 45});
    append_le(out, uint64_t{0});  // disks
    append_le(out, uint64_t{members.size()});
    append_le(out, uint64_t{members.size()});
    append_le(out, uint64_t{directory.size()});
    append_le(out, directory_offset);
    append_le(out, uint32_t{0x07064B50});
    append_le(out, uint32_t{0});
    append_le(out, end64);
    append_le(out, uint32_t{1});
  }
  append_le(out, uint32_t{0x06054B50});
  append_le(out, uint32_t{0});
  const auto count = wide_end ? uint16_t{0xFFFF} : static_cast<uint16_t>(members.size());
  append_le(out, count);
  append_le(out, count);
  append_le(out, wide_end ? UINT32_MAX : static_cast<uint32_t>(directory.size()));
  append_le(out, wide_end ? UINT32_MAX : static_cast<uint32_t>(directory_offset));
  append_le(out, uint16_t{0});
  return out;
}

}  // namespace moe::replay::test
