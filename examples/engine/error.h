// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace engine {

/// What the program exits with.
enum class Exit : int {
  fine = 0,
  data = 1,     ///< the policy or the model has errors
  usage = 2,    ///< an option cannot be meant
  machine = 3,  ///< a file, memory or a device failed
};

/// The engine's one exception, caught once, in main. The text is one line, lower case, no final period; it says where
/// and what to do.
class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& text) : std::runtime_error(text), code_(code) {}
  Exit code() const { return code_; }

 private:
  Exit code_;
};

inline Error data_error(const std::string& text) { return {Exit::data, text}; }
inline Error usage_error(const std::string& text) { return {Exit::usage, text}; }
inline Error machine_error(const std::string& text) { return {Exit::machine, text}; }

}  // namespace engine
