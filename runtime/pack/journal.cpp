// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/base/crc32c.h"

namespace moe::pack {
namespace {

/// On the disk: a record and the checksum of its bytes.
struct Entry {
  Journal::Record record;
  uint32_t check;
};
static_assert(sizeof(Entry) == 12);

uint32_t check_of(const Journal::Record& record) { return crc32c(&record, sizeof record, 0x6D6F65); }

}  // namespace

Result<Journal> Journal::open(const std::string& path, uint64_t num_extents) {
  Result<OutFile> file = OutFile::open(path);
  if (!file) return file.error();
  const Result<uint64_t> size = file->size_bytes();
  if (!size) return size.error();
  Journal journal(std::move(*file));
  std::vector<Entry> entries(std::min(*size / sizeof(Entry), num_extents));
  const auto bytes = std::as_writable_bytes(std::span(entries));
  if (Result<void> read = store::read_fully(journal.file_.fd(), 0, bytes, path); !read) return read.error();
  for (const Entry& entry : entries) {
    if (entry.record.place >= num_extents || entry.check != check_of(entry.record)) break;
    journal.records_.push_back(entry.record);
  }
  journal.end_bytes_ = journal.records_.size() * sizeof(Entry);
  return journal;
}

Result<void> Journal::keep(const std::vector<Record>& records) {
  if (::ftruncate(file_.fd(), 0) != 0) return write_error(file_.path(), errno);
  end_bytes_ = 0;
  records_.clear();
  for (const Record& record : records) {
    if (Result<void> done = append(record); !done) return done;
  }
  return {};
}

Result<void> Journal::append(const Record& record) {
  const Entry entry{record, check_of(record)};
  if (Result<void> done = file_.write_at(end_bytes_, std::as_bytes(std::span(&entry, 1))); !done) return done;
  end_bytes_ += sizeof entry;
  records_.push_back(record);
  return {};
}

}  // namespace moe::pack
