// SPDX-License-Identifier: Apache-2.0
// Rows of hadamard4: codes to numbers, the rotation back, and signs. Butterflies of a stride are the same sums and
// differences in whatever lanes they are made.
#include "runtime/precision/decode.h"
#include "runtime/precision/hadamard.h"
#include "runtime/precision/lanes-inl.h"

#if defined(MOE_PRECISION_ROTATED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOE_PRECISION_ROTATED_INL_H_
#undef MOE_PRECISION_ROTATED_INL_H_
#else
#define MOE_PRECISION_ROTATED_INL_H_
#endif

#if HWY_TARGET != HWY_SCALAR  // which decodes the plain way
HWY_BEFORE_NAMESPACE();
namespace moe::precision {
namespace HWY_NAMESPACE {

/// Numbers of a block's codes, after the butterflies of stride 1: the two codes of a byte are its sides.
template <moe_dtype T>
HWY_INLINE void LoadRotated(const CodedRows& rows, const uint8_t* codes, uint64_t first_scale, uint32_t block,
                            float* values) {
  const DF df;
  const DU du;
  const hn::Rebind<uint8_t, DF> d8;
  const size_t n = hn::Lanes(df);
  for (uint32_t group = 0; group < block; group += kHadamardGroup) {
    const VF scale = hn::Set(df, load(T, rows.scales, first_scale + group / kHadamardGroup));
    for (uint32_t i = group; i < group + kHadamardGroup; i += static_cast<uint32_t>(2 * n)) {
      const VU pairs = hn::PromoteTo(du, hn::LoadU(d8, codes + i / 2));
      const auto number = [&](VU code) {
        const auto whole = hn::Sub(hn::BitCast(DI(), code), hn::Set(DI(), 8));
        return hn::Mul(scale, hn::ConvertTo(df, whole));
      };
      const VF a = number(hn::And(pairs, hn::Set(du, 15)));
      const VF b = number(hn::ShiftRight<4>(pairs));
      hn::StoreInterleaved2(hn::Add(a, b), hn::Sub(a, b), df, values + i);
    }
  }
}

/// Lanes whose number has this bit.
HWY_INLINE VU SignWhere(uint32_t bit) {
  const DU du;
  const VU lane = hn::Iota(du, 0);
  const auto set = hn::Ne(hn::And(lane, hn::Set(du, bit)), hn::Zero(du));
  return hn::IfThenElse(set, hn::Set(du, 0x80000000), hn::Zero(du));
}

/// a + b in the lower lanes of a stride, a - b in the upper ones, where `partner` has each lane's other side.
HWY_INLINE VF Butterfly(VF v, VF partner, VU sign) {
  return hn::Add(partner, hn::BitCast(DF(), hn::Xor(hn::BitCast(DU(), v), sign)));
}

/// The butterflies of stride 2 and more.
HWY_INLINE void TransformRest(float* values, uint32_t block) {
  const DF df;
  constexpr auto kLanes = static_cast<uint32_t>(hn::MaxLanes(DF()));
  const VU sign_2 = SignWhere(2);
  [[maybe_unused]] const VU sign_4 = SignWhere(4);
  [[maybe_unused]] const VU sign_8 = SignWhere(8);
  for (uint32_t i = 0; i < block; i += kLanes) {
    VF v = hn::Load(df, values + i);
    v = Butterfly(v, hn::Shuffle1032(v), sign_2);
    if constexpr (kLanes >= 8) v = Butterfly(v, hn::SwapAdjacentBlocks(v), sign_4);
    if constexpr (kLanes >= 16) v = Butterfly(v, hn::ConcatLowerUpper(df, v, v), sign_8);
    hn::Store(v, df, values + i);
  }
  for (uint32_t stride = kLanes; stride < block; stride *= 2) {
    for (uint32_t begin = 0; begin < block; begin += 2 * stride) {
      for (uint32_t i = begin; i < begin + stride; i += kLanes) {
        const VF a = hn::Load(df, values + i);
        const VF b = hn::Load(df, values + i + stride);
        hn::Store(hn::Add(a, b), df, values + i);
        hn::Store(hn::Sub(a, b), df, values + i + stride);
      }
    }
  }
}

/// The sign bits of the rotation, one in each lane.
struct Signs {
  Signs() {
    for (uint32_t i = 0; i < kHadamardBlock; ++i) bits[i] = hadamard_negative(i) ? 0x80000000 : 0;
  }
  HWY_ALIGN uint32_t bits[kHadamardBlock];
};

template <moe_dtype T, moe_dtype Out>
void DecodeRowRotated(const CodedRows& rows, const uint8_t* codes, uint64_t first_scale, void* out) {
  const DF df;
  const DU du;
  const Signs signs;
  const uint32_t block = hadamard_block(rows.cols);
  const VF norm = hn::Set(df, hadamard_norm(block));
  HWY_ALIGN float values[kHadamardBlock];
  auto* to = static_cast<uint8_t*>(out);
  for (uint64_t begin = 0; begin < rows.cols; begin += block) {
    LoadRotated<T>(rows, codes + begin / 2, first_scale + begin / kHadamardGroup, block, values);
    TransformRest(values, block);
    for (uint32_t i = 0; i < block; i += static_cast<uint32_t>(hn::Lanes(df))) {
      const VF scaled = hn::Mul(hn::Load(df, values + i), norm);
      const VU turned = hn::Xor(hn::BitCast(du, scaled), hn::Load(du, signs.bits + i));
      StoreRounded<T, Out>(hn::BitCast(df, turned), to);
      to += hn::Lanes(df) * size_of(Out);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moe::precision
HWY_AFTER_NAMESPACE();
#endif

#endif  // MOE_PRECISION_ROTATED_INL_H_
