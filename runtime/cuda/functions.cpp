// SPDX-License-Identifier: Apache-2.0
// moe/cuda.h over CudaBackend, Peers and Ffn.
#include "runtime/cuda/functions.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "runtime/base/status_of.h"
#include "runtime/cuda/errors.h"
#include "runtime/cuda/ffn.h"
#include "runtime/precision/hadamard.h"

namespace moe::cuda {
namespace {

thread_local char last_error_text[512] = "";

moe_status failed(moe_status status, const char* text) noexcept {
  std::snprintf(last_error_text, sizeof last_error_text, "%s", text);
  return status;
}

/// Runs `body`, which returns a Result<void>; no exception gets past it.
template <class F>
moe_status guarded(F&& body) noexcept {
  try {
    const Result<void> result = body();
    return result ? MOE_OK : failed(status_of(result.error().kind), result.error().message.c_str());
  } catch (const std::bad_alloc&) {
    return failed(MOE_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return failed(MOE_INTERNAL, e.what());
  } catch (...) {
    return failed(MOE_INTERNAL, "an exception of unknown type");
  }
}

Error invalid(std::string why) { return {Error::Kind::invalid, std::move(why)}; }

CudaBackend& backend(moe_cuda_device* device) { return *reinterpret_cast<CudaBackend*>(device); }
Ffn& network(moe_cuda_ffn* ffn) { return *reinterpret_cast<Ffn*>(ffn); }

/// Runs `body` with the device's driver; the device is current. NULL for what `pointers` says is an error.
template <class F>
moe_status on_device(moe_cuda_device* device, std::initializer_list<const void*> pointers, F&& body) noexcept {
  return guarded([&]() -> Result<void> {
    if (!device || std::find(pointers.begin(), pointers.end(), nullptr) != pointers.end()) {
      return invalid("an argument is NULL");
    }
    const DeviceScope scope(backend(device).driver(), backend(device).device());
    if (!scope.entered()) return scope.entered();
    return body(backend(device).driver());
  });
}

/// Copies what the caller gave; fields that it does not know keep their zero. All of this version's fields are needed.
template <class T>
Result<T> read(const T* given, const char* name) {
  if (!given) return invalid(std::string("`") + name + "` is NULL");
  if (given->struct_size < sizeof(T)) return invalid(std::string("`") + name + "` has a struct_size that is too small");
  return *given;
}

bool is_number(uint32_t dtype) { return dtype == MOE_F32 || dtype == MOE_F16 || dtype == MOE_BF16; }

Result<precision::CodedRows> coded_rows(const moe_cuda_coded_rows* given) {
  using precision::Format;
  const Result<moe_cuda_coded_rows> rows = read(given, "rows");
  if (!rows) return rows.error();
  if (!is_number(rows->dtype)) return invalid("`dtype` is not MOE_F32, MOE_F16 or MOE_BF16");
  const auto format = precision::find_format(rows->format ? rows->format : "");
  if (!format) return invalid(std::string("there is no format `") + (rows->format ? rows->format : "") + "`");
  const bool native = *format == Format::native;
  const uint64_t bits = native ? 8 * precision::size_of(static_cast<moe_dtype>(rows->dtype)) : info(*format).bits;
  if (rows->rows == 0 || rows->cols == 0) return invalid("a matrix without elements");
  if (rows->cols > UINT64_MAX / 64 || rows->row_bytes < (rows->cols * bits + 7) / 8) {
    return invalid("`row_bytes` is too small for `cols` codes");
  }
  if (rows->group == 0 || rows->cols % rows->group != 0) return invalid("`group` does not divide `cols`");
  if (*format == Format::hadamard4 &&
      (precision::hadamard_block(rows->cols) == 0 || rows->group != precision::kHadamardGroup)) {
    return invalid("hadamard4 has rows of a multiple of 32 numbers, and a scale for 32");
  }
  if (!rows->codes || (!native && !rows->scales) || (info(*format).affine && !rows->shifts)) {
    return invalid("scales, shifts or codes are NULL");
  }
  return precision::CodedRows{*format,
                              static_cast<moe_dtype>(rows->dtype),
                              rows->rows,
                              rows->cols,
                              rows->group,
                              rows->row_bytes,
                              static_cast<const uint8_t*>(rows->scales),
                              static_cast<const uint8_t*>(rows->shifts),
                              static_cast<const uint8_t*>(rows->codes)};
}

moe_status stream_create(moe_cuda_device* device, void** out) {
  return on_device(device, {out}, [&](Driver& driver) -> Result<void> {
    Stream stream = nullptr;
    if (Result<void> made = check(driver, driver.create_stream(&stream, 0), "create a stream"); !made) return made;
    *out = stream;
    return {};
  });
}

moe_status stream_destroy(moe_cuda_device* device, void* stream) {
  return on_device(device, {stream},
                   [&](Driver& driver) { return check(driver, driver.destroy(stream), "destroy a stream"); });
}

moe_status stream_synchronize(moe_cuda_device* device, void* stream) {
  return on_device(device, {stream},
                   [&](Driver& driver) { return check(driver, driver.wait_for_stream(stream), "finish a stream"); });
}

moe_status slot_table(moe_cuda_device* device, const uint64_t** out) {
  return on_device(device, {out}, [&](Driver&) -> Result<void> {
    *out = backend(device).slot_table();
    return {};
  });
}

moe_status dequantize(moe_cuda_device* device, const moe_cuda_coded_rows* rows, uint32_t dtype, void* out,
                      void* stream) {
  return on_device(device, {out, stream}, [&](Driver& driver) -> Result<void> {
    const Result<precision::CodedRows> checked = coded_rows(rows);
    if (!checked) return checked.error();
    if (!is_number(dtype)) return invalid("`dtype` is not MOE_F32, MOE_F16 or MOE_BF16");
    return check(driver, driver.dequantize(*checked, static_cast<moe_dtype>(dtype), out, stream), "dequantize");
  });
}

moe_status copy_between(moe_cuda_device* to, void* target, moe_cuda_device* from, const void* source,
                        uint64_t size_bytes, void* stream) {
  return on_device(to, {from, target, source, stream}, [&](Driver&) {
    return backend(to).peers().copy({target, source, size_bytes}, backend(to).device(), backend(from).device(), stream);
  });
}

moe_status peer_path(moe_cuda_device* to, moe_cuda_device* from, uint32_t* out) {
  return on_device(to, {from, out}, [&](Driver&) -> Result<void> {
    const Result<Peers::Path> path = backend(to).peers().path(backend(to).device(), backend(from).device());
    if (!path) return path.error();
    *out = *path == Peers::Path::peer ? MOE_CUDA_PATH_PEER : MOE_CUDA_PATH_STAGED;
    return {};
  });
}

moe_status ffn_create(moe_cuda_device* device, const moe_cuda_ffn_config* config, moe_cuda_ffn** out) {
  return on_device(device, {out}, [&](Driver& driver) -> Result<void> {
    const Result<moe_cuda_ffn_config> checked = read(config, "config");
    if (!checked) return checked.error();
    Result<std::unique_ptr<Ffn>> ffn = Ffn::create(driver, backend(device).device(), *checked);
    if (!ffn) return ffn.error();
    *out = reinterpret_cast<moe_cuda_ffn*>(std::move(ffn).value().release());
    return {};
  });
}

void ffn_destroy(moe_cuda_ffn* ffn) { delete reinterpret_cast<Ffn*>(ffn); }

moe_status ffn_begin(moe_cuda_ffn* ffn, const float* x, uint32_t num_tokens, uint32_t num_rows, void* stream) {
  return guarded([&]() -> Result<void> {
    if (!ffn || !x || !stream) return invalid("an argument is NULL");
    return network(ffn).begin(x, num_tokens, num_rows, stream);
  });
}

moe_status ffn_expert(moe_cuda_ffn* ffn, const void* expert, const uint32_t* tokens, const uint32_t* rows,
                      uint32_t count, void* stream) {
  return guarded([&]() -> Result<void> {
    if (!ffn || !expert || !tokens || !rows || !stream) return invalid("an argument is NULL");
    return network(ffn).expert(expert, tokens, rows, count, stream);
  });
}

moe_status ffn_end(moe_cuda_ffn* ffn, float* out, void* stream) {
  return guarded([&]() -> Result<void> {
    if (!ffn || !out || !stream) return invalid("an argument is NULL");
    return network(ffn).end(out, stream);
  });
}

constexpr moe_cuda_functions kFunctions = {
    sizeof(moe_cuda_functions),
    0,
    [] { return static_cast<const char*>(last_error_text); },
    stream_create,
    stream_destroy,
    stream_synchronize,
    slot_table,
    dequantize,
    copy_between,
    peer_path,
    ffn_create,
    ffn_destroy,
    ffn_begin,
    ffn_expert,
    ffn_end,
};

}  // namespace

const moe_cuda_functions& functions() { return kFunctions; }

}  // namespace moe::cuda
