// SPDX-License-Identifier: Apache-2.0
// Numbers in vector lanes: conversions of runtime/precision/numbers.h, for one instruction set after the other.
// Included by decode.cpp through Highway's foreach_target.
#include <hwy/highway.h>

#include "runtime/precision/numbers.h"

#if defined(MOE_PRECISION_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOE_PRECISION_LANES_INL_H_
#undef MOE_PRECISION_LANES_INL_H_
#else
#define MOE_PRECISION_LANES_INL_H_
#endif

#if HWY_TARGET != HWY_SCALAR  // which decodes the plain way
HWY_BEFORE_NAMESPACE();
namespace moe::precision {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sums and products must not be fused: nothing here calls MulAdd, and the compiler is told not to contract.
using DF = hn::CappedTag<float, 16>;
using DU = hn::RebindToUnsigned<DF>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;

// x86 has an instruction for binary16 from AVX2 on; Highway's emulation of it below does not round to even.
#undef MOE_HAS_F16C
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
#define MOE_HAS_F16C 1
#else
#define MOE_HAS_F16C 0
#endif

/// bf16 in the upper half of each lane; the lower one is not cleared. Not for a NaN whose payload is all ones.
HWY_INLINE VU BfloatBits(VF v) {
  const DU du;
  const VU bits = hn::BitCast(du, v);
  const VU odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  return hn::Add(hn::Add(bits, hn::Set(du, 0x7FFF)), odd);
}

/// f16 in the lower half of each lane.
HWY_INLINE VU HalfBits(VF v) {
  const DF df;
  const DU du;
  const VU bits = hn::BitCast(du, v);
  const VU sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000));
  const VU magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFF));
  const VU odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1));
  const VU normal = hn::ShiftRight<13>(hn::Add(hn::Sub(magnitude, hn::Set(du, 0x38000000 - 0xFFF)), odd));
  const VF small = hn::Add(hn::BitCast(df, magnitude), hn::Set(df, 0.5F));
  const VU subnormal = hn::Sub(hn::BitCast(du, small), hn::Set(du, 0x3F000000));
  const VU payload = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 0x3FF));
  VU half = hn::IfThenElse(hn::Lt(magnitude, hn::Set(du, 0x38800000)), subnormal, normal);
  half = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x477FFFFF)), hn::Set(du, 0x7C00), half);
  half = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x7F800000)), hn::Or(payload, hn::Set(du, 0x7E00)), half);
  return hn::Or(half, sign);
}

/// The number of an f16 in the lower half of each lane.
HWY_INLINE VF FromHalfBits(VU half) {
  const DF df;
  const DU du;
  const VU sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(du, 0x8000)));
  const VU magnitude = hn::And(half, hn::Set(du, 0x7FFF));
  const VU normal = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(du, 0x38000000));
  const VF small = hn::Mul(hn::ConvertTo(df, hn::BitCast(DI(), magnitude)), hn::Set(df, 0x1p-24F));
  VU bits = hn::IfThenElse(hn::Lt(magnitude, hn::Set(du, 0x400)), hn::BitCast(du, small), normal);
  const VU quiet = hn::Or(hn::ShiftLeft<13>(magnitude), hn::Set(du, 0x7FC00000));
  bits = hn::IfThenElse(hn::Eq(magnitude, hn::Set(du, 0x7C00)), hn::Set(du, 0x7F800000), bits);
  bits = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x7C00)), quiet, bits);
  return hn::BitCast(df, hn::Or(bits, sign));
}

/// `v` rounded to a number of `dtype`.
template <moe_dtype dtype>
HWY_INLINE VF Rounded(VF v) {
  if constexpr (dtype == MOE_BF16) {
    return hn::BitCast(DF(), hn::And(BfloatBits(v), hn::Set(DU(), 0xFFFF0000)));
  } else if constexpr (dtype == MOE_F16) {
#if MOE_HAS_F16C
    const hn::Rebind<hwy::float16_t, DF> dh;
    return hn::PromoteTo(DF(), hn::DemoteTo(dh, v));
#else
    return FromHalfBits(HalfBits(v));
#endif
  } else {
    return v;
  }
}

/// Stores `v`, rounded, as `dtype`.
template <moe_dtype dtype>
HWY_INLINE void StoreAs(VF v, void* to) {
  const hn::Rebind<uint16_t, DF> d16;
  if constexpr (dtype == MOE_F32) {
    hn::StoreU(v, DF(), static_cast<float*>(to));
  } else if constexpr (dtype == MOE_BF16) {
    const VU bits = hn::ShiftRight<16>(BfloatBits(v));
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(DI(), bits)), d16, static_cast<uint16_t*>(to));
  } else {
#if MOE_HAS_F16C
    const hn::Rebind<hwy::float16_t, DF> dh;
    hn::StoreU(hn::BitCast(d16, hn::DemoteTo(dh, v)), d16, static_cast<uint16_t*>(to));
#else
    hn::StoreU(hn::DemoteTo(d16, hn::BitCast(DI(), HalfBits(v))), d16, static_cast<uint16_t*>(to));
#endif
  }
}

/// Rounds to T, then stores as Out; once where the two are the same.
template <moe_dtype T, moe_dtype Out>
HWY_INLINE void StoreRounded(VF v, void* to) {
  if constexpr (T == Out) {
    StoreAs<Out>(v, to);
  } else {
    StoreAs<Out>(Rounded<T>(v), to);
  }
}

/// Numbers of the codes in the low bytes of `code`, as from_float8 says.
HWY_INLINE VF FromFloat8(const Float8& format, VU code) {
  const DF df;
  const DU du;
  const VU magnitude = hn::And(code, hn::Set(du, 0x7F));
  const VU sign = hn::ShiftLeft<24>(hn::And(code, hn::Set(du, 0x80)));
  const int shift = 23 - format.mantissa_bits;
  const VU normal = hn::Add(hn::ShiftLeftSame(magnitude, shift), hn::Set(du, uint32_t(127 - format.bias) << 23));
  const float unit = std::bit_cast<float>(uint32_t(127 + 1 - format.bias - format.mantissa_bits) << 23);
  const VF small = hn::Mul(hn::ConvertTo(df, hn::BitCast(DI(), magnitude)), hn::Set(df, unit));
  const VU first_normal = hn::Set(du, 1U << format.mantissa_bits);
  VU bits = hn::IfThenElse(hn::Lt(magnitude, first_normal), hn::BitCast(du, small), normal);
  if (format.unsigned_zero) {
    bits = hn::IfThenElse(hn::Eq(code, hn::Set(du, 0x80)), hn::Set(du, 0x7FC00000), bits);
  } else if (format.infinities) {
    bits = hn::IfThenElse(hn::Eq(magnitude, hn::Set(du, 0x7C)), hn::Set(du, 0x7F800000), bits);
    bits = hn::IfThenElse(hn::Gt(magnitude, hn::Set(du, 0x7C)), hn::Set(du, 0x7FC00000), bits);
  } else {
    bits = hn::IfThenElse(hn::Eq(magnitude, hn::Set(du, 0x7F)), hn::Set(du, 0x7FF00000), bits);
  }
  return hn::BitCast(df, hn::Or(bits, sign));
}

}  // namespace HWY_NAMESPACE
}  // namespace moe::precision
HWY_AFTER_NAMESPACE();
#endif

#endif  // MOE_PRECISION_LANES_INL_H_
