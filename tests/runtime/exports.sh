#!/usr/bin/env bash
# libmoe.so exports moe.h's functions under MOE_0.1, libmoec's hooks under MOE_PRIVATE, and nothing else; and it needs
# only the C and C++ runtimes, and Highway, which decodes experts.   exports.sh LIBRARY HEADER PRIVATE_HEADER
set -euo pipefail
library=$1
header=$2
private=$3
in_libmoec='moe_policy_compile|moe_diagnostics_[a-z]+'
wanted=$({
  grep -oE '^MOE_API [^(]*\(' "$header" | grep -oE 'moe_[a-z_]+\(' | tr -d '(' | grep -vE "^($in_libmoec)$" |
    sed 's/$/@@MOE_0.1/'
  grep -oE '^MOE_API [^(]*\(' "$private" | grep -oE 'moe_[a-z_]+\(' | tr -d '(' | sed 's/$/@@MOE_PRIVATE/'
} | sort)
found=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort)
diff <(echo "$wanted") <(echo "$found") || { echo "left: moe.h, right: $library"; exit 1; }
needed=$(readelf -d "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' |
  grep -vE '^(libstdc\+\+|libgcc_s|libc|libm|libpthread|libdl|ld-linux-x86-64|libhwy)\.so' || true)
[[ -z $needed ]] || { echo "needs $needed"; exit 1; }
