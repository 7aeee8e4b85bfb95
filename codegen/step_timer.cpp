// SPDX-License-Identifier: Apache-2.0
#include <time.h>

#include "codegen/module.h"

namespace moe::codegen {
namespace {

double thread_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

}  // namespace

StepTimer::StepTimer(const Options& options, std::string_view step)
    : options_(options), step_(step), begin_ms_(options.times != nullptr ? thread_ms() : 0) {}

StepTimer::~StepTimer() {
  if (options_.times != nullptr) options_.times->push_back({step_, thread_ms() - begin_ms_});
}

}  // namespace moe::codegen
