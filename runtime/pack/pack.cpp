// SPDX-License-Identifier: Apache-2.0
#include "runtime/pack/pack.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>

#include "runtime/base/crc32c.h"
#include "runtime/base/memory.h"
#include "runtime/pack/folder.h"
#include "runtime/pack/journal.h"
#include "runtime/pack/plan.h"
#include "runtime/store/mapped_file.h"
#include "runtime/store/safetensors_write.h"

namespace moe::pack {
namespace {

using store::Extent;
using store::StoreIndex;

/// Counts bytes for the caller's progress.
class Meter {
 public:
  explicit Meter(const Progress& progress) : progress_(progress) {}
  void expect(uint64_t bytes) { total_ += bytes; }
  void add(uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(std::min(done_, total_), total_);
  }

 private:
  const Progress& progress_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

/// One run: the plan, the partial folder, the data files.
class Packer {
 public:
  Packer(const Source& source, const PackOptions& options, PartialFolder folder)
      : source_(source), options_(options), folder_(std::move(folder)), meter_(options.progress) {}

  Result<PackReport> run(const std::string& dir) {
    if (Result<void> planned = plan(); !planned) return planned.error();
    if (is_there(dir)) return finish_early(dir);
    using Step = Result<void> (Packer::*)();
    constexpr Step kSteps[] = {&Packer::begin,         &Packer::open_files, &Packer::go_on,
                               &Packer::write_experts, &Packer::write_rest, &Packer::write_index};
    for (const Step step : kSteps) {
      if (Result<void> done = (this->*step)(); !done) return done.error();
    }
    if (Result<void> published = folder_.publish(); !published) return published.error();
    remove_notes(dir);
    return report_;
  }

 private:
  Result<void> plan() {
    for (const std::string& name : source_.checkpoint.model.names) {
      std::error_code error;
      const uint64_t size_bytes = std::filesystem::file_size(source_.dir + "/" + name, error);
      if (!error) meter_.expect(size_bytes);
    }
    std::vector<store::FileMark> marks;
    for (const std::string& name : source_.checkpoint.model.names) {
      Result<store::FileMark> mark = mark_file(source_.dir, name, [&](uint64_t bytes) { meter_.add(bytes); });
      if (!mark) return mark.error();
      marks.push_back(std::move(*mark));
    }
    index_ = plan_of(source_, marks, options_);
    for (const Extent& extent : index_.extents) meter_.expect(extent.size_bytes);
    for (const store::Tensor& tensor : source_.others) meter_.expect(tensor.size_bytes);
    report_.num_extents = index_.extents.size();
    for (const store::DataFile& file : index_.files) report_.bytes += file.size_bytes;
    return {};
  }

  /// Whether `dir` is this store already, and every byte of it is good.
  bool is_there(const std::string& dir) const {
    if (!store::is_store(dir)) return false;
    const Result<store::ExtentStore> there = store::ExtentStore::open(dir);
    if (!there || write_store_index(without_results(there->index())) != write_store_index(index_)) return false;
    std::vector<std::byte> bytes;
    for (const Extent& extent : there->index().extents) {
      bytes.resize(std::max<uint64_t>(bytes.size(), extent.size_bytes));
      if (!there->read(extent, bytes)) return false;
      meter_.add(extent.size_bytes);
    }
    for (const auto* marks : {&there->index().tensors, &there->index().side_files}) {
      for (const store::FileMark& mark : *marks) {
        if (!store::map_marked(dir, mark)) return false;
      }
    }
    for (const store::FileMark& mark : there->index().side_files) {  // the source's may have changed since
      const Result<store::FileMark> now = mark_file(source_.dir, mark.name, [](uint64_t) {});
      if (!now || now->crc32c != mark.crc32c || now->size_bytes != mark.size_bytes) return false;
    }
    return true;
  }

  /// What a run left behind that was killed between its rename and its end.
  Result<PackReport> finish_early(const std::string& dir) {
    if (Result<void> cleared = folder_.clear(); !cleared) return cleared.error();
    ::rmdir(folder_.path().c_str());
    remove_notes(dir);
    report_.was_there = true;
    report_.kept = report_.num_extents;
    return report_;
  }

  static void remove_notes(const std::string& dir) {
    ::unlink((dir + "/" + kPlanName).c_str());
    ::unlink((dir + "/" + kJournalName).c_str());
  }

  /// Takes over a partial of the same plan, or begins a new one.
  Result<void> begin() {
    const std::string path = folder_.path() + "/" + kPlanName;
    const std::string text = write_store_index(index_);
    const Result<store::MappedFile> there = store::MappedFile::open(path, /*follow_link=*/false);
    if (there && there->text() == text) return {};
    if (Result<void> cleared = folder_.clear(); !cleared) return cleared;
    return write_whole(path, text);
  }

  Result<void> open_files() {
    for (const store::DataFile& file : index_.files) {
      Result<OutFile> opened = OutFile::open(folder_.path() + "/" + file.name);
      if (!opened) return opened.error();
      if (Result<void> reserved = opened->reserve(file.size_bytes); !reserved) return reserved;
      files_.push_back(std::move(*opened));
    }
    return {};
  }

  /// Keeps what the journal says is written and what is as it says.
  Result<void> go_on() {
    Result<Journal> journal = Journal::open(folder_.path() + "/" + kJournalName, index_.extents.size());
    if (!journal) return journal.error();
    written_.assign(index_.extents.size(), false);
    std::vector<Journal::Record> good;
    std::vector<std::byte> bytes;
    for (const Journal::Record& record : journal->records()) {
      Extent& extent = index_.extents[record.place];
      bytes.resize(extent.size_bytes);
      const OutFile& file = files_[extent.file];
      const bool read = store::read_fully(file.fd(), extent.offset_bytes, bytes, file.path()).ok();
      if (!read || crc32c(bytes.data(), bytes.size()) != record.crc32c || written_[record.place]) continue;
      extent.crc32c = record.crc32c;
      written_[record.place] = true;
      good.push_back(record);
      meter_.add(extent.size_bytes);
    }
    report_.kept = good.size();
    if (good.size() != journal->records().size()) {
      if (Result<void> kept = journal->keep(good); !kept) return kept;
    }
    journal_.emplace(std::move(*journal));
    return {};
  }

  Result<void> write_experts() {
    const Block slot(Allocator(), index_.layout.slot_bytes);
    std::vector<std::byte> padded;
    for (uint32_t precision = 0; precision < index_.precisions.size(); ++precision) {
      for (const uint32_t place : by_offset(precision)) {
        if (written_[place]) continue;
        Extent& extent = index_.extents[place];
        store::copy_expert(source_.experts(), place % index_.num_keys(), slot.bytes());
        padded.assign(store::padded(extent.size_bytes), std::byte{0});
        const std::span<std::byte> bytes(padded.data(), extent.size_bytes);
        if (precision == 0) {
          std::memcpy(bytes.data(), slot.bytes(), bytes.size());
        } else {
          const std::span<const std::byte> expert(slot.bytes(), index_.expert_bytes());
          const Result<void> encoded = options_.encoders[precision - 1]->encode(index_.layout, expert, bytes);
          if (!encoded) return Error{encoded.error().kind, name_of(extent) + encoded.error().message};
        }
        extent.crc32c = crc32c(bytes.data(), bytes.size());
        if (Result<void> done = files_[extent.file].write_at(extent.offset_bytes, padded); !done) return done;
        if (Result<void> noted = journal_->append({place, extent.crc32c}); !noted) return noted;
        meter_.add(extent.size_bytes);
      }
    }
    for (OutFile& file : files_) {
      if (Result<void> synced = file.sync(); !synced) return synced;
    }
    return {};
  }

  std::string name_of(const Extent& extent) const {
    return source_.dir + ": MoE layer " + std::to_string(extent.layer) + ", expert " + std::to_string(extent.expert) +
           ", as " + index_.precisions[extent.precision].name + ": ";
  }

  std::vector<uint32_t> by_offset(uint32_t precision) const {
    std::vector<uint32_t> places;
    for (size_t i = 0; i < index_.num_keys(); ++i)
      places.push_back(static_cast<uint32_t>(precision * index_.num_keys() + i));
    std::sort(places.begin(), places.end(), [&](uint32_t a, uint32_t b) {
      const Extent& x = index_.extents[a];
      const Extent& y = index_.extents[b];
      return x.file != y.file ? x.file < y.file : x.offset_bytes < y.offset_bytes;
    });
    return places;
  }

  Result<void> write_rest() {
    for (store::FileMark& mark : index_.tensors) {
      if (Result<void> written = write_others(folder_.path() + "/" + mark.name); !written) return written;
      Result<store::FileMark> holds = mark_file(folder_.path(), mark.name, [](uint64_t) {});
      if (!holds) return holds.error();
      mark = std::move(*holds);
    }
    for (store::FileMark& mark : index_.side_files) {
      Result<store::FileMark> copied = copy_file(source_.dir, folder_.path(), mark.name);
      if (!copied) return copied.error();
      mark = std::move(*copied);
    }
    return {};
  }

  Result<void> write_others(const std::string& path) {
    std::vector<store::TensorSpec> specs;
    for (const store::Tensor& tensor : source_.others) {
      specs.push_back({tensor.name, tensor.dtype_word, tensor.shape, tensor.size_bytes});
    }
    ::unlink(path.c_str());  // an earlier run's, of which nobody knows how far it came
    auto writer = store::SafetensorsWriter::create(path, std::move(specs), {{"format", "pt"}});
    if (!writer) return writer.error();
    for (const store::Tensor& tensor : source_.others) {
      if (Result<void> done = writer->write(tensor.name, tensor.data, tensor.size_bytes); !done) return done;
      meter_.add(tensor.size_bytes);
    }
    return writer->finish();
  }

  Result<void> write_index() {
    const std::string path = folder_.path() + "/" + std::string(store::kIndexName);
    const std::string text = write_store_index(index_);
    // Read as a reader will: nothing is published that could not be opened.
    if (const Result<StoreIndex> again = store::read_store_index(text, path); !again) return again.error();
    if (Result<void> written = write_whole(path, text); !written) return written;
    return sync_folder(folder_.path());
  }

  const Source& source_;
  const PackOptions& options_;
  PartialFolder folder_;
  mutable Meter meter_;
  PackReport report_;
  StoreIndex index_;
  std::vector<OutFile> files_;
  std::vector<bool> written_;
  std::optional<Journal> journal_;
};

}  // namespace

Result<PackReport> pack(const Source& source, const std::string& dir, const PackOptions& options) {
  const std::string place = plain_path(dir);
  if (look_at(place) == Place::taken) {
    return Error{Error::Kind::invalid, "`" + place + "` is there and is no store; choose another name"};
  }
  Result<PartialFolder> folder = PartialFolder::open(place);
  if (!folder) return folder.error();
  return Packer(source, options, std::move(*folder)).run(place);
}

}  // namespace moe::pack
