// SPDX-License-Identifier: Apache-2.0
// Backend libraries: found or not, of the right version or not, on machines with a device and without.
#include "runtime/backend/library.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/runtime/cuda/conformance.h"
#include "tests/runtime/support.h"

namespace moe::test {
namespace {

const moe_backend_library& host_library() {
  const Result<const moe_backend_library*> library = backend::open_library("", MOE_HOST_LIBRARY);
  REQUIRE_MESSAGE(library.ok(), (library.ok() ? "" : library.error().message));
  return **library;
}

Subject library_subject() {
  Subject subject;
  subject.name = "library";
  subject.backend = backend::create(host_library(), {0, 100, 0});
  // Nothing of this backend is late, so a stream is a name.
  subject.make_stream = [] { return static_cast<void*>(new char); };
  subject.destroy_stream = [](void* stream) { delete static_cast<char*>(stream); };
  subject.synchronize = [](void*) {};
  subject.read = [](void* to, const void* tier, size_t size_bytes) { std::memcpy(to, tier, size_bytes); };
  subject.queue_read = [](void* to, const void* tier, size_t size_bytes, void*) { std::memcpy(to, tier, size_bytes); };
  const auto memory = std::make_shared<std::vector<std::vector<char>>>();
  subject.host_memory = [memory](size_t size_bytes) {
    memory->emplace_back(size_bytes);
    return static_cast<void*>(memory->back().data());
  };
  return subject;
}

/// moe_runtime_create with the CUDA backend: its status, and what it says.
std::pair<moe_status, std::string> create_with(const char* library, uint32_t device = 0) {
  moe_runtime_config config = config_for(lru_params(2, 4, 2, 4));
  config.backend = MOE_BACKEND_CUDA;
  config.backend_library = library;
  config.device = device;
  moe_runtime* runtime = nullptr;
  const moe_status status = moe_runtime_create(&config, &runtime);
  CHECK((runtime != nullptr) == (status == MOE_OK));
  CHECK(moe_runtime_destroy(runtime) == MOE_OK);
  return {status, moe_last_error()};
}

bool has(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

TEST_CASE("a backend in a library: conformance") { check_conformance(library_subject); }

TEST_CASE("errors cross the table") {
  CHECK(backend::probe(host_library(), 0).ok());
  const Result<void> none = backend::probe(host_library(), 3);
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().kind == Error::Kind::device);
  CHECK(none.error().message == "no such device: there is 1");
  const Result<void*> refused = backend::create(host_library(), {0, 0, 0})->allocate(1, 64);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == Error::Kind::invalid);
  // An exception on the other side is an error on this one.
  const Result<void*> large = backend::create(host_library(), {0, 1, 0})->allocate(UINT32_MAX, SIZE_MAX / 2);
  REQUIRE_FALSE(large.ok());
  CHECK(large.error().kind == Error::Kind::no_memory);
}

TEST_CASE("libraries that are none") {
  const auto missing = create_with("/no/such/libmoe_cuda.so");
  CHECK(missing.first == MOE_UNSUPPORTED);
  CHECK(has(missing.second, "/no/such/libmoe_cuda.so: cannot open shared object file"));
  const auto nowhere = create_with(nullptr);  // it does not lie beside this program
  CHECK(nowhere.first == MOE_UNSUPPORTED);
  CHECK(has(nowhere.second, "libmoe_cuda.so: cannot open shared object file"));
  const auto other = create_with(MOE_NO_LIBRARY);
  CHECK(other.first == MOE_UNSUPPORTED);
  CHECK(has(other.second, "is not a backend library: it has no `moe_backend_library_table`"));
  const auto version = create_with(MOE_OLD_LIBRARY);
  CHECK(version.first == MOE_UNSUPPORTED);
  CHECK(has(version.second,
            "has version 99 of the backend interface, not " + std::to_string(MOE_BACKEND_LIBRARY_VERSION)));
}

TEST_CASE("a runtime whose backend is in a library") {
  CHECK(create_with(MOE_HOST_LIBRARY).first == MOE_OK);
  const auto no_device = create_with(MOE_HOST_LIBRARY, 7);
  CHECK(no_device.first == MOE_DEVICE);
  CHECK(no_device.second == "no such device: there is 1");
}

TEST_CASE("functions of a backend") {
  const decision::Params p = lru_params(1, 8, 1, 2);
  Fixture f(p, 64);
  const void* table = nullptr;
  void* device = nullptr;
  CHECK(moe_backend_functions(nullptr, "x", &table, &device) == MOE_INVALID);
  CHECK(moe_backend_functions(f.get(), nullptr, &table, &device) == MOE_INVALID);
  CHECK(moe_backend_functions(f.get(), "x", &table, &device) == MOE_INVALID);
  CHECK(std::string(moe_last_error()) == "no policy is attached yet");
  REQUIRE(f.attach(p) == MOE_OK);
  CHECK(moe_backend_functions(f.get(), "x", &table, &device) == MOE_UNSUPPORTED);
  CHECK(std::string(moe_last_error()) == "this backend has no functions `x`");
  CHECK(table == nullptr);
}

#ifdef MOE_CUDA_LIBRARY
TEST_CASE("libmoe_cuda.so: a runtime, or why there is none") {
  const auto [status, text] = create_with(MOE_CUDA_LIBRARY);
  CAPTURE(text);
  if (status == MOE_OK) {
    const auto beyond = create_with(MOE_CUDA_LIBRARY, 1000);
    CHECK(beyond.first == MOE_DEVICE);
    CHECK(has(beyond.second, "there is no device 1000"));
  } else {
    CHECK(status == MOE_DEVICE);
    CHECK(text.find("no CUDA device: ") == 0);
  }
}
#endif

}  // namespace
}  // namespace moe::test
