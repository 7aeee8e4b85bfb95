// SPDX-License-Identifier: Apache-2.0
#include "runtime/store/safetensors_write.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "runtime/store/safetensors.h"
#include "runtime/store/write_error.h"

namespace moe::store {
namespace {

std::string quoted(const std::string& text) { return nlohmann::json(text).dump(); }

/// Names of dtypes that nobody knows come last, whatever their width.
int64_t rank(const TensorSpec& tensor) {
  const auto known = dtype_rank(tensor.dtype_word);
  return known ? int64_t{*known} : -1;
}

std::string entry(const TensorSpec& tensor, uint64_t offset) {
  std::string text = quoted(tensor.name) + ":{\"dtype\":" + quoted(tensor.dtype_word) + ",\"shape\":[";
  for (size_t i = 0; i < tensor.shape.size(); ++i) text += (i ? "," : "") + std::to_string(tensor.shape[i]);
  return text + "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(offset + tensor.size_bytes) +
         "]}";
}

std::string metadata_entry(const std::map<std::string, std::string>& metadata) {
  std::string text;
  for (const auto& [key, value] : metadata) text += (text.empty() ? "" : ",") + quoted(key) + ":" + quoted(value);
  return "\"__metadata__\":{" + text + "}";
}

}  // namespace

Result<SafetensorsWriter> SafetensorsWriter::create(const std::string& path, std::vector<TensorSpec> tensors,
                                                    const std::map<std::string, std::string>& metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a.name < b.name;
  });
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file < 0) return write_error(path, errno);
  SafetensorsWriter writer(path, file);
  std::string header = metadata.empty() ? "" : metadata_entry(metadata);
  uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    header += (header.empty() ? "" : ",") + entry(tensor, offset);
    writer.places_[tensor.name] = {offset, tensor.size_bytes, 0};
    offset += tensor.size_bytes;
  }
  header = "{" + header + "}";
  header.resize((header.size() + 7) & ~size_t{7}, ' ');
  const uint64_t length = header.size();
  header.insert(0, reinterpret_cast<const char*>(&length), sizeof length);
  for (auto& [name, place] : writer.places_) place.offset += header.size();
  writer.size_bytes_ = header.size() + offset;
  if (Result<void> written = writer.write_at(header.data(), header.size(), 0); !written) return written.error();
  return writer;
}

SafetensorsWriter::~SafetensorsWriter() {
  if (file_ >= 0) close(file_);
}

Result<void> SafetensorsWriter::write_at(const char* bytes, uint64_t size_bytes, uint64_t offset) const {
  while (size_bytes > 0) {
    const ssize_t written = pwrite(file_, bytes, size_bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return write_error(path_, written < 0 ? errno : ENOSPC);
    bytes += written;
    offset += static_cast<uint64_t>(written);
    size_bytes -= static_cast<uint64_t>(written);
  }
  return {};
}

Result<void> SafetensorsWriter::write(const std::string& name, const void* bytes, uint64_t size_bytes) {
  const auto found = places_.find(name);
  if (found != places_.end() && found->second.size_bytes != size_bytes) {
    return invalid(name, std::to_string(size_bytes) + " bytes, not " + std::to_string(found->second.size_bytes));
  }
  return append(name, bytes, size_bytes);
}

Result<void> SafetensorsWriter::append(const std::string& name, const void* bytes, uint64_t size_bytes) {
  const auto found = places_.find(name);
  if (found == places_.end()) return invalid(name, "is not one of the file's");
  Place& place = found->second;
  if (size_bytes > 0 && place.written == place.size_bytes) return invalid(name, "was written before");
  if (size_bytes > place.size_bytes - place.written) {
    return invalid(name, std::to_string(size_bytes) + " bytes at byte " + std::to_string(place.written) + " of " +
                             std::to_string(place.size_bytes));
  }
  const uint64_t offset = place.offset + place.written;
  place.written += size_bytes;
  return write_at(static_cast<const char*>(bytes), size_bytes, offset);
}

Error SafetensorsWriter::invalid(const std::string& name, const std::string& reason) const {
  return {Error::Kind::invalid, path_ + ": tensor `" + name + "`: " + reason};
}

Result<void> SafetensorsWriter::finish() {
  for (const auto& [name, place] : places_) {
    if (place.written < place.size_bytes) {
      return Error{Error::Kind::invalid, path_ + ": tensor `" + name + "` was not written"};
    }
  }
  if (fsync(file_) != 0) return write_error(path_, errno);
  if (close(std::exchange(file_, -1)) != 0) return write_error(path_, errno);
  return {};
}

}  // namespace moe::store
