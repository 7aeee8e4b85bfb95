// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

namespace engine {

/// PCG32 (O'Neill 2014, XSH RR 64/32): the same numbers from the same seed on every machine.
class Pcg32 {
 public:
  explicit Pcg32(uint64_t seed);
  uint32_t next();
  /// In [0, 1), a multiple of 2^-32.
  double uniform() { return next() * 0x1p-32; }

 private:
  uint64_t state_ = 0;
};

struct SamplerOptions {
  double temperature = 0;  ///< 0: the most probable token, always
  double top_p = 1;        ///< in (0, 1]: keep the most probable tokens that reach this share together
  uint64_t seed = 0;
};

/// Chooses the next token.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options), random_(options.seed) {}

  /// `logits` [vocab], not empty. Equal ones: the lower id first. Errors: data (a logit is not finite).
  int32_t choose(std::span<const float> logits);

 private:
  SamplerOptions options_;
  Pcg32 random_;
};

}  // namespace engine
