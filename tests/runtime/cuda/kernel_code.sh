#!/usr/bin/env bash
# What the CUDA compiler makes of the decoding kernels keeps the arithmetic of the CPU's codecs: every product, sum and
# difference of binary32 is rounded by itself, to nearest; none is fused, approximated or flushed to zero.
#   kernel_code.sh NVCC ROOT
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" -std=c++20 -O2 -fmad=false --expt-relaxed-constexpr -arch=compute_80 -I"$2" -I"$2/runtime/include" \
  -ptx "$2/runtime/cuda/kernels.cu" -o "$work/kernels.ptx"
awk '
  /\.entry / { decoding = /decode_kernel|decode_rotated_kernel/; kernels += decoding }
  decoding && /(mul|add|sub)\.rn\.f32/ { rounded++ }
  decoding && (/(mul|add|sub)\.(f32|r[^n])/ || /fma\./ || /mad\.f/ || /\.ftz/ || /\.approx/ || /div\.(f|rn|full|approx)/) { print; bad = 1 }
  END {
    if (kernels != 2 || rounded < 20) { print kernels + 0, "kernels,", rounded + 0, "roundings: not what was looked for"; bad = 1 }
    exit bad
  }' "$work/kernels.ptx"
