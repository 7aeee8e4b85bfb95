// SPDX-License-Identifier: Apache-2.0
#include "runtime/backend/library.h"

#include <dlfcn.h>
#include <unistd.h>

namespace moe::backend {
namespace {

Error error_of(moe_status status, const moe_backend_text& why) {
  switch (status) {
    case MOE_NO_MEMORY:
      return {Error::Kind::no_memory, why.text};
    case MOE_IO:
      return {Error::Kind::io, why.text};
    case MOE_INVALID:
      return {Error::Kind::invalid, why.text};
    case MOE_UNSUPPORTED:
      return {Error::Kind::unsupported, why.text};
    case MOE_INTERNAL:
      return {Error::Kind::internal, why.text};
    default:
      return {Error::Kind::device, why.text};
  }
}

Error unsupported(std::string text) { return {Error::Kind::unsupported, std::move(text)}; }

/// The path of the file that this code was loaded from, up to its last slash.
std::string own_folder() {
  Dl_info info;
  if (::dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || !info.dli_fname) return "";
  const std::string file = info.dli_fname;
  const size_t slash = file.rfind('/');
  return slash == file.npos ? "" : file.substr(0, slash + 1);
}

std::string find(const std::string& file_name) {
  const std::string beside = own_folder() + file_name;
  return ::access(beside.c_str(), R_OK) == 0 ? beside : file_name;
}

/// Calls one of the library's functions, whose last argument is the text.
template <class F, class... Args>
Result<void> call(F function, Args... args) {
  moe_backend_text why{};
  const moe_status status = function(args..., &why);
  if (status == MOE_OK) return {};
  return error_of(status, why);
}

class LibraryBackend final : public Backend {
 public:
  LibraryBackend(const moe_backend_library& library, const moe_backend_settings& settings)
      : library_(library), settings_(settings) {}
  ~LibraryBackend() override {
    if (backend_) library_.destroy(backend_);
  }

  bool has_streams() const override { return true; }
  Result<void*> allocate(uint32_t num_slots, size_t slot_bytes) override {
    if (Result<void> made = call(library_.create, &settings_, &backend_); !made) return made.error();
    void* tier = nullptr;
    if (Result<void> made = call(library_.allocate, backend_, num_slots, uint64_t{slot_bytes}, &tier); !made) {
      return made.error();
    }
    return tier;
  }
  Result<void*> allocate_host(size_t size_bytes) override {
    void* memory = nullptr;
    Result<void> made = call(library_.allocate_host, backend_, uint64_t{size_bytes}, &memory);
    if (!made) return made.error();
    return memory;
  }
  void expect_copy(uint32_t slot, uint32_t key, bool urgent) override {
    library_.expect_copy(backend_, slot, key, urgent ? 1U : 0U);
  }
  Result<void> start_copy(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override {
    return call(library_.start_copy, backend_, slot, uint64_t{offset}, source, uint64_t{size}, last ? 1U : 0U);
  }
  Result<void> finish_copy(uint32_t slot) override { return call(library_.finish_copy, backend_, slot); }
  Result<void*> allocate_coded(size_t size_bytes, size_t most_bytes) override {
    void* memory = nullptr;
    Result<void> made = call(library_.allocate_coded, backend_, uint64_t{size_bytes}, uint64_t{most_bytes}, &memory);
    if (!made) return made.error();
    return memory;
  }
  Result<void> fill_coded(void* to, const void* source, size_t size) override {
    return call(library_.fill_coded, backend_, to, source, uint64_t{size});
  }
  Result<void> start_decode(uint32_t slot, size_t offset, const precision::CodedRows& rows, moe_dtype dtype,
                            bool on_device, bool last) override {
    const moe_backend_coded_rows coded{static_cast<uint32_t>(rows.format),
                                       static_cast<uint32_t>(rows.dtype),
                                       rows.rows,
                                       rows.cols,
                                       rows.group,
                                       rows.row_bytes,
                                       rows.scales,
                                       rows.shifts,
                                       rows.codes};
    return call(library_.start_decode, backend_, slot, uint64_t{offset}, &coded, static_cast<uint32_t>(dtype),
                on_device ? 1U : 0U, last ? 1U : 0U);
  }
  Result<void> start_copy_on_device(uint32_t slot, size_t offset, const void* source, size_t size, bool last) override {
    return call(library_.start_copy_on_device, backend_, slot, uint64_t{offset}, source, uint64_t{size},
                last ? 1U : 0U);
  }
  Result<void> stream_wait(uint32_t slot, void* stream) override {
    return call(library_.stream_wait, backend_, slot, stream);
  }
  Result<void> last_use(uint32_t slot, void* stream) override {
    return call(library_.last_use, backend_, slot, stream);
  }
  Functions functions(const char* name) override {
    if (!backend_) return {};
    Functions found;
    found.table = library_.functions(backend_, name, &found.device);
    return found;
  }

 private:
  const moe_backend_library& library_;
  const moe_backend_settings settings_;
  void* backend_ = nullptr;  ///< from allocate on
};

}  // namespace

Result<const moe_backend_library*> open_library(const std::string& file_name, const std::string& path) {
  const std::string file = path.empty() ? find(file_name) : path;
  // Its code may be on stacks and in the device's driver until the end, so it is never closed.
  void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library) {
    const char* reason = ::dlerror();
    return unsupported("the backend library cannot be loaded: " + (reason ? std::string(reason) : file));
  }
  const auto table_of = reinterpret_cast<moe_backend_library_fn>(::dlsym(library, MOE_BACKEND_LIBRARY_SYMBOL));
  const moe_backend_library* const table = table_of ? table_of() : nullptr;
  if (!table) return unsupported(file + " is not a backend library: it has no `" MOE_BACKEND_LIBRARY_SYMBOL "`");
  if (table->version != MOE_BACKEND_LIBRARY_VERSION) {
    return unsupported(file + " has version " + std::to_string(table->version) + " of the backend interface, not " +
                       std::to_string(MOE_BACKEND_LIBRARY_VERSION) + ": take the one that was built with this libmoe");
  }
  return table;
}

Result<void> probe(const moe_backend_library& library, uint32_t device) { return call(library.probe, device); }

std::unique_ptr<Backend> create(const moe_backend_library& library, const moe_backend_settings& settings) {
  return std::make_unique<LibraryBackend>(library, settings);
}

}  // namespace moe::backend
