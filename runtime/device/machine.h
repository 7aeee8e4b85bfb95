// SPDX-License-Identifier: Apache-2.0
// What the kernel says about the machine.
#pragma once
#include "runtime/device/profile.h"

namespace moe::device {

/// Errors: io (no /proc).
Result<Cpu> read_cpu();

/// What an exempt process (CAP_IPC_LOCK) may lock is found out by locking a page more than the limit, for a moment,
/// where the limit is at most 64 MiB; above that the limit counts. Errors: io (no /proc).
Result<Memory> read_memory();

/// Now, UTC: "2026-01-31T12:00:00Z".
std::string utc_date();

/// The host's name.
std::string host_name();

/// Without control characters: '?' stands for them.
std::string printable(std::string text);

}  // namespace moe::device
