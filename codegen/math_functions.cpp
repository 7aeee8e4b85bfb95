// SPDX-License-Identifier: Apache-2.0
// The functions that expressions call, as an object of their own (shared_object.cpp): what policies share need not be
// compiled with each.
#include "runtime/base/math.h"

#define MOE_MATH __attribute__((visibility("hidden")))
extern "C" {
MOE_MATH double moe_math_exp(double x) { return moe::math::exp(x); }
MOE_MATH double moe_math_log(double x) { return moe::math::log(x); }
MOE_MATH double moe_math_log2(double x) { return moe::math::log2(x); }
MOE_MATH double moe_math_sqrt(double x) { return moe::math::sqrt(x); }
MOE_MATH double moe_math_floor(double x) { return moe::math::floor(x); }
MOE_MATH double moe_math_sigmoid(double x) { return moe::math::sigmoid(x); }
MOE_MATH double moe_math_fmod(double x, double y) { return moe::math::fmod(x, y); }
MOE_MATH double moe_math_min(double x, double y) { return moe::math::min(x, y); }
MOE_MATH double moe_math_max(double x, double y) { return moe::math::max(x, y); }
MOE_MATH double moe_math_pow(double x, double y) { return moe::math::pow(x, y); }
}
