// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/disk/io.h"

namespace moe::disk::test {

/// What goes wrong with one read.
struct Fault {
  enum class Kind : uint8_t { none, error, shortened, corrupt } kind = Kind::none;
  int error_number = 0;     ///< error: nothing is read
  uint64_t number = 0;      ///< shortened: bytes that come; corrupt: which byte is wrong (modulo the read's length)
  Clock::duration delay{};  ///< the result comes so much later, and the bytes reach memory only then
};

/// A disk with faults over one that works. What a shortened read did not bring, and what a delayed one has not yet, is
/// overwritten with rubbish: nobody may use it. Delays make results come in another order.
class FaultyIo final : public Io {
 public:
  using Plan = std::function<Fault(const Read&)>;  ///< called for every read, in the owner's thread
  FaultyIo(std::unique_ptr<Io> inner, Plan plan) : inner_(std::move(inner)), plan_(std::move(plan)) {}

  const char* name() const override { return inner_->name(); }
  void start(const Read& read) override;
  void flush() override { inner_->flush(); }
  size_t wait(std::span<ReadResult> results, Clock::time_point until) override;
  void wake() override { inner_->wake(); }

 private:
  struct Op {
    bool busy = false;
    bool back = false;  ///< the inner disk has answered
    Read read;
    Fault fault;
    int32_t result = 0;
    Clock::time_point due{};
    std::vector<uint8_t> bytes;  ///< that arrive late
  };
  void answer(Op& op, int32_t result);
  size_t release(std::span<ReadResult> results);

  std::unique_ptr<Io> inner_;
  Plan plan_;
  std::array<Op, 64> ops_;
};

}  // namespace moe::disk::test
