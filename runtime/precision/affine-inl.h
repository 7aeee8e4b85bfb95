// SPDX-License-Identifier: Apache-2.0
// Groups of 4- and 2-bit codes. A group has at most 16 different numbers: they are worked out once, with each rounding
// that the format asks for, and codes look theirs up.
#include "runtime/precision/lanes-inl.h"

#if defined(MOE_PRECISION_AFFINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MOE_PRECISION_AFFINE_INL_H_
#undef MOE_PRECISION_AFFINE_INL_H_
#else
#define MOE_PRECISION_AFFINE_INL_H_
#endif

#if HWY_TARGET != HWY_SCALAR  // which decodes the plain way
HWY_BEFORE_NAMESPACE();
namespace moe::precision {
namespace HWY_NAMESPACE {

/// T(T(scale * code) - shift), code 0 to 15, as Out.
template <moe_dtype T, moe_dtype Out>
HWY_INLINE void TabulateGroup(float scale, float shift, void* table) {
  const DF df;
  for (size_t i = 0; i < 16; i += hn::Lanes(df)) {
    const VF product = Rounded<T>(hn::Mul(hn::Set(df, scale), hn::Iota(df, static_cast<float>(i))));
    StoreRounded<T, Out>(hn::Sub(product, hn::Set(df, shift)), static_cast<uint8_t*>(table) + i * size_of(Out));
  }
}

/// Two codes of 4 bits in the low byte of each lane: 2 N codes from N bytes, or from N / 2 bytes of four codes each.
template <int bits>
HWY_INLINE VU LoadCodePairs(const uint8_t* codes) {
  const hn::Rebind<uint8_t, DF> d8;
  if constexpr (bits == 4) {
    return hn::PromoteTo(DU(), hn::LoadU(d8, codes));
  } else {
    const hn::Repartition<uint16_t, decltype(d8)> d16;
    const hn::Rebind<uint8_t, decltype(d16)> d8_half;
    const auto four = hn::PromoteTo(d16, hn::LoadU(d8_half, codes));
    const auto spread = [&](auto moved, int position) {
      return hn::And(moved, hn::Set(d16, static_cast<uint16_t>(3U << (4 * position))));
    };
    const auto pairs = hn::Or(hn::Or(spread(four, 0), spread(hn::ShiftLeft<2>(four), 1)),
                              hn::Or(spread(hn::ShiftLeft<4>(four), 2), spread(hn::ShiftLeft<6>(four), 3)));
    return hn::PromoteTo(DU(), hn::BitCast(d8, pairs));
  }
}

/// Looks 16-bit numbers up; lane k of the result holds those of the pair in lane k, the first one in its lower half.
class Lookup16 {
 public:
  explicit Lookup16(const uint16_t* table) {
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
    low_ = hn::PromoteTo(DU(), hn::LoadU(hn::Rebind<uint16_t, DF>(), table));
    high_ = hn::ShiftLeft<16>(low_);
#else
    const hn::FixedTag<uint16_t, 8> d16;
    const auto first = hn::LoadU(d16, table);
    const auto second = hn::LoadU(d16, table + 8);
    const auto byte = hn::Set(d16, 0xFF);
    low_ = Bytes(hn::And(first, byte), hn::And(second, byte));
    high_ = Bytes(hn::ShiftRight<8>(first), hn::ShiftRight<8>(second));
#endif
  }

  HWY_INLINE VU operator()(VU pairs) const {
    const DU du;
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
    const auto first = hn::IndicesFromVec(du, hn::And(pairs, hn::Set(du, 15)));
    const auto second = hn::IndicesFromVec(du, hn::ShiftRight<4>(pairs));
    return hn::Or(hn::TableLookupLanes(low_, first), hn::TableLookupLanes(high_, second));
#else
    // Bytes of an index: a code, or 0x80 for a zero.
    const VU second = hn::ShiftLeft<12>(hn::And(pairs, hn::Set(du, 0xF0)));
    const VU codes = hn::Or(hn::And(pairs, hn::Set(du, 15)), second);
    const VU low_index = hn::Or(codes, hn::Set(du, 0x80008000));
    const VU high_index = hn::Or(hn::ShiftLeft<8>(codes), hn::Set(du, 0x00800080));
    return hn::Or(LookupBytes(low_, low_index), LookupBytes(high_, high_index));
#endif
  }

 private:
  using DB = hn::Repartition<uint8_t, DU>;
#if !(HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86)
  /// 16 numbers below 256 as bytes, in every 16 bytes of a vector. Through memory: whole stores are forwarded.
  template <class V>
  static HWY_INLINE VU Bytes(V first, V second) {
    const hn::FixedTag<uint8_t, 8> d8;
    const hn::FixedTag<uint8_t, 16> d8x16;
    const hn::FixedTag<int16_t, 8> d16;
    HWY_ALIGN uint8_t bytes[16];
    const auto narrow = [&](V v) { return hn::DemoteTo(d8, hn::BitCast(d16, v)); };
    hn::Store(hn::Combine(d8x16, narrow(second), narrow(first)), d8x16, bytes);
    return hn::BitCast(DU(), hn::LoadDup128(DB(), bytes));
  }

  static HWY_INLINE VU LookupBytes(VU table, VU index) {
    return hn::BitCast(DU(), hn::TableLookupBytesOr0(hn::BitCast(DB(), table), hn::BitCast(DB(), index)));
  }
#endif
  VU low_;
  VU high_;
};

template <moe_dtype T, moe_dtype Out, int bits>
HWY_INLINE void DecodeGroup(const uint8_t* codes, uint64_t length, float scale, float shift, void* out) {
  using Element = std::conditional_t<Out == MOE_F32, uint32_t, uint16_t>;
  HWY_ALIGN Element table[16];
  TabulateGroup<T, Out>(scale, shift, table);
  auto* const to = static_cast<uint8_t*>(out);
  uint64_t i = 0;
  if constexpr (Out != MOE_F32) {
    const Lookup16 lookup(table);
    const size_t step = 2 * hn::Lanes(DU());
    for (; i + step <= length; i += step) {
      const VU pairs = LoadCodePairs<bits>(codes + i * bits / 8);
      hn::StoreU(hn::BitCast(hn::Repartition<uint8_t, DU>(), lookup(pairs)), hn::Repartition<uint8_t, DU>(),
                 to + i * sizeof(Element));
    }
  }
  for (; i < length; ++i) {
    const uint32_t code = codes[i * bits / 8] >> (i * bits % 8) & ((1U << bits) - 1);
    std::memcpy(to + i * sizeof(Element), &table[code], sizeof(Element));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moe::precision
HWY_AFTER_NAMESPACE();
#endif

#endif  // MOE_PRECISION_AFFINE_INL_H_
