// SPDX-License-Identifier: Apache-2.0
#include "tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace moe::tools {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kPeriod = std::chrono::milliseconds(100);
constexpr uint64_t kWidth = 40;

}  // namespace

ProgressBar::ProgressBar(std::string what) : what_(std::move(what)), terminal_(isatty(STDERR_FILENO) != 0) {}

ProgressBar::~ProgressBar() {
  if (shown_) std::fputs("\n", stderr);
}

void ProgressBar::show(uint64_t done, uint64_t total) {
  if (!terminal_ || total == 0) return;
  const Clock::time_point now = Clock::now();
  if (now - begin_ < kPatience || (now - last_ < kPeriod && done < total)) return;
  last_ = now;
  shown_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const auto full = static_cast<uint64_t>(share * kWidth);
  const double seconds = std::chrono::duration<double>(now - begin_).count();
  fmt::print(stderr, "\r{} [{:=<{}}{:{}}] {:3.0f} %  {:.1f} of {:.1f} GB  {:.0f} MB/s ", what_, "", full, "",
             kWidth - full, 100 * share, static_cast<double>(done) / 1e9, static_cast<double>(total) / 1e9,
             static_cast<double>(done) / 1e6 / seconds);
  std::fflush(stderr);
}

}  // namespace moe::tools
