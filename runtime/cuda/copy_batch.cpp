// SPDX-License-Identifier: Apache-2.0
#include "runtime/cuda/copy_batch.h"

#include "runtime/cuda/errors.h"

namespace moe::cuda {

void CopyBatch::add(const Move& move) {
  if (!moves_.empty()) {
    Move& last = moves_.back();
    const bool follows = static_cast<std::byte*>(last.to) + last.size_bytes == move.to &&
                         static_cast<const std::byte*>(last.from) + last.size_bytes == move.from;
    if (follows) {
      last.size_bytes += move.size_bytes;
      return;
    }
  }
  moves_.push_back(move);
}

Result<void> CopyBatch::submit(Stream stream) {
  Code code = kSuccess;
  if (batches_ && moves_.size() > 1) {
    code = driver_.copy_batch(moves_.data(), moves_.size(), stream);
  } else {
    for (size_t i = 0; i < moves_.size() && code == kSuccess; ++i) code = driver_.copy(moves_[i], stream);
  }
  moves_.clear();
  return check(driver_, code, "copy to the device");
}

}  // namespace moe::cuda
