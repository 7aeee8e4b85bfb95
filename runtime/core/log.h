// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "moe/moe.h"

namespace moe::core {

/// The engine's log callback. Never called with a lock held, never from moe_dispatch.
class Log {
 public:
  Log(moe_log_fn fn, void* user) : fn_(fn), user_(user) {}
  bool on() const { return fn_ != nullptr; }
  void operator()(moe_log_level level, const char* text) const {
    if (fn_) fn_(user_, level, text);
  }
  void operator()(moe_log_level level, const std::string& text) const { (*this)(level, text.c_str()); }

 private:
  moe_log_fn fn_;
  void* user_;
};

}  // namespace moe::core
