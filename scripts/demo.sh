#!/usr/bin/env bash
# Sets up, builds, and runs a small trained MoE model with its experts outside the fast tier, under three policies and
# fully resident. Every run is checked against the resident one: tokens and logits must be the same bits.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

model=examples/models/qwen-moe-tiny
prompt='It is a truth universally acknowledged, that'
run() {  # TITLE POLICY [arguments]
  local title=$1 policy=$2
  shift 2
  printf '\n== %s\n' "$title"
  build/release/bin/moec run "$model" --policy "$policy" --prompt "$prompt" --tokens 48 --link 1GB/s "$@"
}

echo "model: $model, prompt: $prompt"
run "fully resident: every expert in the fast tier" none
run "lru: half of each layer's experts, least recently used leaves" stdlib-policies/lru.moe --check
run "gate: the same, and the next layer's experts are fetched early" stdlib-policies/adapmoe_gate.moe --check
run "score: experts that the router weighs most stay" stdlib-policies/score.moe --check
