#!/usr/bin/env bash
# The README's C snippet compiles against moe.h.
#   readme_test.sh ROOT
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
  cat << 'C'
#include <moe/moe.h>
void fail(const char* text);
void run_expert(const void* weights, const uint32_t* selections, uint32_t count);
void moe_layer(moe_runtime* runtime, uint32_t layer, uint32_t n, uint32_t k, const int32_t* expert_ids,
               const float* router_weights) {
C
  awk '/^```c$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$1/README.md"
  echo '}'
} > "$work/snippet.c"
grep -q moe_dispatch "$work/snippet.c"
cc -std=c11 -Wall -Wextra -pedantic -Werror -I"$1/runtime/include" -c "$work/snippet.c" -o "$work/snippet.o"
