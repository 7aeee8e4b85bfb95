// SPDX-License-Identifier: Apache-2.0
// The streaming layout's decoding in vectors. Compiled once for each instruction set.
#include "runtime/precision/decode.h"

#include <cstring>

#include "runtime/precision/hadamard.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/precision/decode.cpp"
#include <hwy/foreach_target.h>  // before what is compiled for each target

#include "runtime/precision/affine-inl.h"
#include "runtime/precision/lanes-inl.h"
#include "runtime/precision/rotated-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moe::precision {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void DecodeRows(const CodedRows& rows, moe_dtype dtype, void* out) { decode_rows_plainly(rows, dtype, out); }

#else

/// Where number `i` of an output lies.
template <moe_dtype Out>
uint8_t* At(void* out, uint64_t i) {
  return static_cast<uint8_t*>(out) + i * size_of(Out);
}

/// A row of int8 or float8.
template <moe_dtype T, moe_dtype Out>
void DecodeRow8(const CodedRows& rows, const Float8* float8, const uint8_t* codes, float scale, void* out) {
  const DF df;
  const hn::Rebind<uint8_t, DF> d8;
  const hn::Rebind<int8_t, DF> di8;
  const size_t n = hn::Lanes(df);
  const VF scales = hn::Set(df, scale);
  uint64_t c = 0;
  if (float8 == nullptr) {
    const auto* const whole = reinterpret_cast<const int8_t*>(codes);
    for (; c + n <= rows.cols; c += n) {
      const VF q = hn::ConvertTo(df, hn::PromoteTo(DI(), hn::LoadU(di8, whole + c)));
      StoreRounded<T, Out>(hn::Mul(scales, q), At<Out>(out, c));
    }
  } else {
    for (; c + n <= rows.cols; c += n) {
      const VF q = FromFloat8(*float8, hn::PromoteTo(DU(), hn::LoadU(d8, codes + c)));
      StoreRounded<T, Out>(hn::Mul(scales, q), At<Out>(out, c));
    }
  }
  for (; c < rows.cols; ++c) {
    const float q = float8 ? from_float8(*float8, codes[c]) : static_cast<float>(static_cast<int8_t>(codes[c]));
    store(Out, out, c, round_to(T, scale * q));
  }
}

/// Whether vectors give the bits of the plain way: they do not say which NaN comes of two.
template <moe_dtype T>
bool IsTame(const CodedRows& rows, uint64_t first_group, uint64_t num_groups) {
  constexpr float kMost = 0x1p100F;
  const bool affine = info(rows.format).affine;
  bool tame = true;
  for (uint64_t k = first_group; k < first_group + num_groups; ++k) {
    tame &= std::fabs(load(T, rows.scales, k)) < kMost;
    if (affine) tame &= std::fabs(load(T, rows.shifts, k)) < kMost;
  }
  return tame;
}

template <moe_dtype T, moe_dtype Out>
void DecodeRow(const CodedRows& rows, uint64_t r, void* out) {
  const FormatInfo& format = info(rows.format);
  const uint64_t groups = rows.cols / rows.group;
  const uint8_t* const codes = rows.codes + r * rows.row_bytes;
  if (!IsTame<T>(rows, r * groups, groups)) {
    CodedRows one = rows;
    one.rows = 1;
    one.codes = codes;
    one.scales = rows.scales + r * groups * size_of(T);
    one.shifts = rows.shifts + r * groups * size_of(T);
    decode_rows_plainly(one, Out, out);
  } else if (rows.format == Format::hadamard4) {
    DecodeRowRotated<T, Out>(rows, codes, r * groups, out);
  } else if (!format.affine) {
    DecodeRow8<T, Out>(rows, format.float8, codes, load(T, rows.scales, r), out);
  } else {
    for (uint64_t k = 0; k < groups; ++k) {
      const float scale = load(T, rows.scales, r * groups + k);
      const float shift = load(T, rows.shifts, r * groups + k);
      const uint64_t first = k * rows.group;
      void* const to = At<Out>(out, first);
      format.bits == 4 ? DecodeGroup<T, Out, 4>(codes + first / 2, rows.group, scale, shift, to)
                       : DecodeGroup<T, Out, 2>(codes + first / 4, rows.group, scale, shift, to);
    }
  }
}

template <moe_dtype T, moe_dtype Out>
void DecodeRowsAs(const CodedRows& rows, void* out) {
  for (uint64_t r = 0; r < rows.rows; ++r) DecodeRow<T, Out>(rows, r, At<Out>(out, r * rows.cols));
}

template <moe_dtype T>
void DecodeRowsOf(const CodedRows& rows, moe_dtype dtype, void* out) {
  if (dtype == MOE_F32) return DecodeRowsAs<T, MOE_F32>(rows, out);
  if (dtype == MOE_F16) return DecodeRowsAs<T, MOE_F16>(rows, out);
  DecodeRowsAs<T, MOE_BF16>(rows, out);
}

void DecodeRows(const CodedRows& rows, moe_dtype dtype, void* out) {
  if (rows.dtype == MOE_F32) return DecodeRowsOf<MOE_F32>(rows, dtype, out);
  if (rows.dtype == MOE_F16) return DecodeRowsOf<MOE_F16>(rows, dtype, out);
  DecodeRowsOf<MOE_BF16>(rows, dtype, out);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace moe::precision
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moe::precision {

HWY_EXPORT(DecodeRows);

void decode_rows(const CodedRows& rows, moe_dtype dtype, void* out) noexcept {
  if (rows.format == Format::native) {
    decode_rows_plainly(rows, dtype, out);
  } else {
    HWY_DYNAMIC_DISPATCH(DecodeRows)(rows, dtype, out);
  }
}

}  // namespace moe::precision
#endif  // HWY_ONCE
