// SPDX-License-Identifier: Apache-2.0
// Seeded random policies and traces for the differential tests.
#pragma once
#include <random>
#include <string>
#include <vector>

#include "ir/bind.h"
#include "ir/decision.h"

namespace moe::test {

/// The same numbers on every machine: std:: distributions are not, so only the engine is used.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  bool chance(double p) { return unit() < p; }
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  template <class T>
  T pick(std::initializer_list<T> from) {
    return from.begin()[below(static_cast<uint32_t>(from.size()))];
  }

 private:
  std::mt19937_64 engine_;
};

/// A policy that holds (ir::verify finds nothing), over a small random shape.
ir::BoundPolicy random_policy(Dice& dice);
ir::BoundPolicy random_policy(Dice& dice, const ir::ModelShape& shape);
ir::ModelShape random_shape(Dice& dice);

/// Adds what is asked by expressions, and what goes with them: least(E), admit, order, arms of `on miss`, prefetch's
/// when and admit, most(E), max_loads, one_by_one, top, preload, a profile. All of it has native code.
void add_expressions(Dice& dice, ir::BoundPolicy& policy);

/// The same policy as text of the language, in slots. What add_expressions() adds is written only where it is there; a
/// profile is no text.
std::string to_source(const ir::BoundPolicy& policy);

/// One dispatch with everything that may come with it.
struct RandomDispatch {
  uint32_t layer = 0;
  uint32_t num_tokens = 1;
  std::vector<int32_t> ids;
  std::vector<float> weights;
  bool allow_padding = false;
  std::vector<uint32_t> dropped;
  struct Hint {
    uint32_t layer;
    std::vector<uint32_t> ids;
    std::vector<float> probabilities;
  };
  std::vector<Hint> hints;
  ir::Phase phase = ir::Phase::decode;
  std::vector<uint32_t> requests;
  std::vector<float> probabilities;
  ir::MeasuredInputs measured;
};

/// Dispatches layer after layer, with skewed reuse, batches, ties, and a few that are invalid.
std::vector<RandomDispatch> random_trace(Dice& dice, const ir::ModelShape& shape, size_t length);

}  // namespace moe::test
