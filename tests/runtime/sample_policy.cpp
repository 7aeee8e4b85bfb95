// SPDX-License-Identifier: Apache-2.0
// A policy's shared library as `moec compile -o p.so` makes one, but from C++: the static kernels with constant params.
#include "runtime/decision/state.h"

#include <elf.h>

namespace {

using namespace moe::decision;

constexpr char kManifest[] =
    R"({"abi":5,"symbol":"moe_policy_sample","name":"sample","cpu":"x86-64","features":[],"num_layers":2,)"
    R"("num_experts":4,"top_k":1,"expert_bytes":0,"eviction":"lru","capacity":3,"metrics":["hit_rate"]})";

constexpr Params make_params() {
  Params p{};
  p.num_layers = 2;
  p.num_experts = 4;
  p.top_k = 1;
  p.capacity = 3;
  p.admit = 1;
  p.protect_selected = 1;
  p.bandwidth = 1;
  p.budget = 1;
  p.cancel_stale = 1;
  p.overlap = 1;
  p.monitor_window = 100;
  p.log_interval = 50;
  return p;
}
constexpr Params kParams = make_params();

uint32_t dispatch(void* state, const Input* input, Output* output) {
  return static_dispatch(kParams, state, input, output);
}

struct Note {
  Elf64_Nhdr header;
  char owner[(sizeof kNoteOwner + 3) & ~3u];
  char text[sizeof kManifest];
};

constexpr Note make_note() {
  Note note{};
  note.header = {sizeof kNoteOwner, sizeof kManifest, kNoteType};
  for (size_t i = 0; i < sizeof kNoteOwner; ++i) note.owner[i] = kNoteOwner[i];
  for (size_t i = 0; i < sizeof kManifest; ++i) note.text[i] = kManifest[i];
  return note;
}

[[gnu::used, gnu::section(".note.moe.policy"), gnu::aligned(4)]] const Note kNote = make_note();

}  // namespace

extern "C" [[gnu::visibility("default")]] const Descriptor moe_policy_sample{sizeof(Descriptor), kAbiVersion, kManifest,
                                                                             &kParams, dispatch};
