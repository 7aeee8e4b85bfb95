// SPDX-License-Identifier: Apache-2.0
// The functions that a policy's expressions call: the one implementation, which every decision engine shares.
//
// Compilers rewrite calls of libm by name, each in its own way (a square for pow(x, 2), a constant for exp(1)), and
// libms differ. So nothing here calls one: these are sums and products of doubles in source order, and give the same
// bits from every compiler that keeps IEEE binary64 without contraction (-ffp-contract=off), in bitcode and out of it.
//
// Accuracy  exp, log, log2, pow and sigmoid err by less than 2 ulp, log2 of a power of two by nothing; sqrt is the
//           correctly rounded instruction; fmod is exact.
// Special   values as C99's Annex F says.
// Cost      no branches, no tables, so loops over experts vectorise. The exception is fmod, which divides in steps of
//           11 bits: at most 186 of them.
#pragma once
#include <bit>
#include <cstdint>

namespace moe::math {

inline constexpr double kInfinity = __builtin_inf();
inline constexpr double kNaN = __builtin_nan("");

/// A number as the unevaluated sum of two: about 106 bits.
struct Pair {
  double high = 0;
  double low = 0;
};

namespace detail {

inline constexpr double kLn2High = 0x1.62e42feep-1;  // 32 bits: its product with an exponent is exact
inline constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
inline constexpr double kInverseLn2High = 0x1.71547652b82fep+0;
inline constexpr double kInverseLn2Low = 0x1.777d0ffda0d24p-56;
inline constexpr double kThirdHigh = 0x1.5555555555555p-2;
inline constexpr double kThirdLow = 0x1.5555555555555p-56;
inline constexpr double kRound = 0x1.8p52;  // added to a small number, leaves its nearest whole number in the low bits

inline double magnitude(double x) { return std::bit_cast<double>(std::bit_cast<uint64_t>(x) & ~(uint64_t{1} << 63)); }

/// a + b, exactly.
inline Pair sum(double a, double b) {
  const double high = a + b;
  const double part = high - a;
  return {high, (a - (high - part)) + (b - part)};
}

/// a + b, exactly, of an `a` that is not smaller.
inline Pair ordered_sum(double a, double b) {
  const double high = a + b;
  return {high, b - (high - a)};
}

/// The upper 26 bits.
inline double upper_half(double x) {
  const double scaled = x * 134217729.0;  // 2^27 + 1
  return scaled - (scaled - x);
}

/// a * b, exactly, of numbers below 2^990 whose product is not subnormal.
inline Pair product(double a, double b) {
  const double high = a * b;
  const double a1 = upper_half(a), a2 = a - a1;
  const double b1 = upper_half(b), b2 = b - b1;
  return {high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2};
}

inline Pair product(Pair a, Pair b) {
  const Pair p = product(a.high, b.high);
  return ordered_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}

/// x * 2^k with one rounding; |k| <= 2000.
inline double scale(double x, int64_t k) {
  const auto power = [](int64_t n) { return std::bit_cast<double>((static_cast<uint64_t>(n) + 1023) << 52); };
  return x * power(k >> 1) * power(k - (k >> 1));
}

/// e^(x.high + x.low) = value * 2^k, with the value near 1. |x| <= 760; of a NaN all is NaN.
struct Exponential {
  Pair value;
  int64_t k = 0;
};
[[gnu::always_inline]] inline Exponential exponential(Pair x) {
  const double shifted = x.high * kInverseLn2High + kRound;
  const double k = shifted - kRound;
  const double r_high = x.high - k * kLn2High;  // exact
  const double r_low = x.low - k * kLn2Low;
  const double r = r_high + r_low;
  double series = 1.0 / 6227020800;  // 1 / 13!
  series = series * r + 1.0 / 479001600;
  series = series * r + 1.0 / 39916800;
  series = series * r + 1.0 / 3628800;
  series = series * r + 1.0 / 362880;
  series = series * r + 1.0 / 40320;
  series = series * r + 1.0 / 5040;
  series = series * r + 1.0 / 720;
  series = series * r + 1.0 / 120;
  series = series * r + 1.0 / 24;
  series = series * r + 1.0 / 6;
  series = series * r + 0.5;
  const Pair linear = ordered_sum(1, r_high);
  const Pair value = ordered_sum(linear.high, linear.low + (r_low + series * (r * r)));
  return {value, std::bit_cast<int64_t>(shifted) - std::bit_cast<int64_t>(kRound)};
}

inline double clamped(double x, double limit) {
  const double above = x > limit ? limit : x;
  return above < -limit ? -limit : above;
}

/// log x = log m + k log 2 of a positive finite x; the pair is log m, |log m| < 0.35.
struct Logarithm {
  Pair value;
  double k = 0;
};
[[gnu::always_inline]] inline Logarithm logarithm(double x) {
  const bool tiny = x < 0x1p-1022;
  const auto bits = std::bit_cast<uint64_t>(tiny ? x * 0x1p54 : x);
  constexpr uint64_t kOne = 0x3FF0000000000000, kRootOfHalf = 0x3FE6A09E667F3BCD;
  const uint64_t moved = bits + (kOne - kRootOfHalf);  // m from the root of 1/2 to the root of 2
  const double k = static_cast<double>(static_cast<int32_t>(moved >> 52) - 1023) - (tiny ? 54.0 : 0.0);
  const double m = std::bit_cast<double>((moved & 0x000FFFFFFFFFFFFF) + kRootOfHalf);

  // log m = 2 artanh s = 2 s (1 + z/3 + z^2/5 + ...), s = (m - 1) / (m + 1), z = s^2 < 0.03.
  const Pair divisor = sum(m, 1);
  const double s_high = (m - 1) / divisor.high;
  const Pair back = product(s_high, divisor.high);
  const Pair s = {s_high, (((m - 1) - back.high) - back.low - s_high * divisor.low) / divisor.high};
  const Pair z = product(s, s);
  double series = 1.0 / 27;
  series = series * z.high + 1.0 / 25;
  series = series * z.high + 1.0 / 23;
  series = series * z.high + 1.0 / 21;
  series = series * z.high + 1.0 / 19;
  series = series * z.high + 1.0 / 17;
  series = series * z.high + 1.0 / 15;
  series = series * z.high + 1.0 / 13;
  series = series * z.high + 1.0 / 11;
  series = series * z.high + 1.0 / 9;
  series = series * z.high + 1.0 / 7;
  series = series * z.high + 1.0 / 5;
  const Pair factor = ordered_sum(kThirdHigh, series * z.high + kThirdLow);
  const Pair rest = product(s, product(z, factor));
  const Pair half = ordered_sum(s.high, rest.high);
  const Pair value = ordered_sum(half.high, half.low + (s.low + rest.low));
  return {{2 * value.high, 2 * value.low}, k};
}

/// log x as a pair.
inline Pair natural(double x) {
  const Logarithm l = logarithm(x);
  const Pair whole = sum(l.k * kLn2High, l.value.high);
  return ordered_sum(whole.high, whole.low + (l.value.low + l.k * kLn2Low));
}

/// `value` is a logarithm of x unless x is none of the positive finite numbers.
inline double or_special(double x, double value) {
  value = x == 0 ? -kInfinity : value;
  value = x < 0 ? kNaN : value;
  value = x == kInfinity ? x : value;
  return x != x ? x : value;
}

inline bool is_whole(double magnitude) { return magnitude >= 0x1p52 || (magnitude + 0x1p52) - 0x1p52 == magnitude; }

}  // namespace detail

inline double sqrt(double x) {
#if defined(__clang__)
  return __builtin_elementwise_sqrt(x);  // __builtin_sqrt calls the C library, which sets errno
#else
  return __builtin_sqrt(x);
#endif
}

inline double exp(double x) {
  const detail::Exponential e = detail::exponential({detail::clamped(x, 760), 0});
  return detail::scale(e.value.high + e.value.low, e.k);
}

inline double log(double x) {
  const Pair value = detail::natural(x);
  return detail::or_special(x, value.high + value.low);
}

inline double log2(double x) {
  const detail::Logarithm l = detail::logarithm(x);
  const Pair part = detail::product(l.value, {detail::kInverseLn2High, detail::kInverseLn2Low});
  const Pair whole = detail::sum(l.k, part.high);
  return detail::or_special(x, whole.high + (whole.low + part.low));
}

inline double pow(double x, double y) {
  const double base = detail::magnitude(x);
  const Pair l = detail::natural(base);
  const double exponent = detail::clamped(y, 0x1p70);  // beyond it no power of a number but 1 is finite
  const Pair p = detail::product(exponent, l.high);
  const double high = detail::clamped(p.high, 760);
  const double low = high == p.high ? p.low + exponent * l.low : 0;
  const detail::Exponential e = detail::exponential(detail::ordered_sum(high, low));
  double value = detail::scale(e.value.high + e.value.low, e.k);
  value = base == 0 ? (y > 0 ? 0 : kInfinity) : value;
  value = base == kInfinity ? (y > 0 ? kInfinity : 0) : value;
  const double size = detail::magnitude(y);
  const bool whole = detail::is_whole(size);
  const bool odd = whole && size < 0x1p53 && !detail::is_whole(size * 0.5);
  const bool negative = std::bit_cast<int64_t>(x) < 0;
  value = negative && odd ? -value : value;
  value = negative && base < kInfinity && base > 0 && !whole ? kNaN : value;
  value = x != x || y != y ? kNaN : value;
  return x == 1 || y == 0 ? 1 : value;
}

/// 1 / (1 + exp(-x))
inline double sigmoid(double x) {
  const detail::Exponential e = detail::exponential({-detail::magnitude(detail::clamped(x, 760)), 0});
  const Pair small = {detail::scale(e.value.high, e.k), detail::scale(e.value.low, e.k)};  // exp(-|x|)
  const Pair one = {1, 0};
  const Pair divisor = detail::ordered_sum(1, small.high);
  const Pair dividend = x < 0 ? small : one;
  const double q = dividend.high / divisor.high;
  const Pair back = detail::product(q, divisor.high);
  const double rest = ((dividend.high - back.high) - back.low) + (dividend.low - q * (divisor.low + small.low));
  const double value = q + rest / divisor.high;
  return x != x ? x : value;
}

/// The remainder of x / y rounded towards zero, with x's sign.
inline double fmod(double x, double y) {
  const double a = detail::magnitude(x), b = detail::magnitude(y);
  if (!(a < kInfinity) || !(b > 0)) return kNaN;
  if (a < b) return x;
  struct Parts {
    uint64_t digits;
    int64_t exponent;
  };
  const auto parts = [](double value) {
    const auto bits = std::bit_cast<uint64_t>(value);
    const uint64_t digits = bits & 0x000FFFFFFFFFFFFF;
    const auto exponent = static_cast<int64_t>(bits >> 52);
    return exponent == 0 ? Parts{digits, 1} : Parts{digits | (uint64_t{1} << 52), exponent};
  };
  const Parts dividend = parts(a), divisor = parts(b);
  uint64_t rest = dividend.digits % divisor.digits;
  for (int64_t left = dividend.exponent - divisor.exponent; left > 0; left -= 11) {
    rest = (rest << (left < 11 ? left : 11)) % divisor.digits;
  }
  // `rest` counts units of the divisor's last digit: exact as a double, and so is its product with a power of two.
  const double value = detail::scale(static_cast<double>(rest), divisor.exponent - 1075);
  return std::bit_cast<int64_t>(x) < 0 ? -value : value;
}

/// The largest whole number not above x; exact, and -0 stays -0.
inline double floor(double x) {
  if (!(detail::magnitude(x) < 0x1p52)) return x;
  const auto towards_zero = static_cast<double>(static_cast<int64_t>(x));
  const double below = towards_zero > x ? towards_zero - 1 : towards_zero;
  return __builtin_copysign(below, x);
}

inline double min(double a, double b) { return a < b ? a : b; }
inline double max(double a, double b) { return a > b ? a : b; }

// Over `count` samples, at(0) the oldest; NaN when there are none.

template <class At>
double average(uint32_t count, At at) {
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += at(i);
  return sum / count;
}

template <class At>
double largest(uint32_t count, At at) {
  if (count == 0) return kNaN;
  double best = at(0);
  for (uint32_t i = 1; i < count; ++i) best = max(best, at(i));
  return best;
}

/// The least-squares slope per sample: the sum of (i - mean i) * sample over the sum of (i - mean i)^2, which is
/// n (n^2 - 1) / 12 exactly. NaN of one sample.
template <class At>
double slope(uint32_t count, At at) {
  const double n = count;
  const double middle = (n - 1) / 2;
  double sum = 0;
  for (uint32_t i = 0; i < count; ++i) sum += (i - middle) * at(i);
  return sum / (n * (n * n - 1) / 12);
}

}  // namespace moe::math
