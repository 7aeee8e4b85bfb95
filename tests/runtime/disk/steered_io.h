// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "runtime/disk/io.h"

namespace moe::disk::test {

/// A disk that answers when the test says so, in the order of the reads. All in one thread: the reader is polled with a
/// time in the past.
class SteeredIo final : public Io {
 public:
  struct Started {
    uint64_t offset;
    uint64_t length;
  };
  struct Control {
    std::vector<Started> started;  ///< every read so far
    uint64_t permits = 0;          ///< reads that may still end
    size_t num_under_way = 0;
  };
  SteeredIo(std::unique_ptr<Io> inner, Control& control) : inner_(std::move(inner)), control_(control) {}

  const char* name() const override { return inner_->name(); }
  void start(const Read& read) override {
    Started started{read.offset, 0};
    for (uint32_t i = 0; i < read.num_iov; ++i) started.length += read.iov[i].iov_len;
    control_.started.push_back(started);
    ++control_.num_under_way;
    under_way_.push_back({read.tag, 0});
    inner_->start(read);
    ++asked_;
  }
  void flush() override { inner_->flush(); }
  size_t wait(std::span<ReadResult> results, Clock::time_point until) override {
    while (asked_ != 0 && control_.permits != 0) {
      ReadResult one[8];
      const size_t got = inner_->wait(one, Clock::now() + std::chrono::seconds(1));
      for (size_t i = 0; i < got; ++i) answer(one[i]);
    }
    size_t count = 0;
    while (count < results.size() && control_.permits != 0 && !under_way_.empty()) {
      results[count++] = under_way_.front();
      under_way_.pop_front();
      --control_.permits;
      --control_.num_under_way;
    }
    return count != 0 ? count : asked_ == 0 ? inner_->wait({}, until) : 0;
  }
  void wake() override { inner_->wake(); }

 private:
  void answer(const ReadResult& result) {
    --asked_;
    for (ReadResult& read : under_way_) {
      if (read.tag == result.tag) read.result = result.result;
    }
  }

  std::unique_ptr<Io> inner_;
  Control& control_;
  std::deque<ReadResult> under_way_;
  size_t asked_ = 0;
};

}  // namespace moe::disk::test
