#!/usr/bin/env bash
# The layers of docs/architecture.md: a folder includes only what its row allows. Prints every line that does not.
#   layers.sh ROOT      exit 1 when a rule is broken
#   layers.sh --self-test: the check itself finds what it should
set -uo pipefail

# folder: project folders it may include, besides itself
allowed() {
  case $1 in
    runtime) echo "" ;;
    runtime/disk) echo "runtime/base" ;;
    runtime/cuda) echo "runtime/base runtime/backend runtime/precision" ;;
    runtime/device) echo "runtime/base runtime/backend runtime/disk runtime/store/json.h" ;;
    ir) echo "runtime/base" ;;
    frontend) echo "ir runtime/base" ;;
    codegen) echo "ir runtime/base runtime/decision" ;;
    compiler) echo "ir frontend codegen runtime/base runtime/policy_owner.h" ;;
    replay) echo "ir runtime/base runtime/decision runtime/metrics" ;;
    tools) echo "ir frontend codegen compiler replay runtime/base runtime/pack runtime/store runtime/precision runtime/checkpoint runtime/device" ;;
    examples/engine) echo "" ;;
  esac
}
folders="runtime runtime/disk runtime/cuda runtime/device ir frontend codegen compiler replay tools examples/engine"

sources_of() { find "$1" -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.c'; }

check_project_includes() {  # ROOT
  local root=$1 folder file include ok allow bad=0
  for folder in $folders; do
    [[ -d $root/$folder ]] || continue
    while IFS=: read -r file include; do
      ok=no
      for allow in $folder $(allowed "$folder"); do
        [[ $include == "$allow" || $include == "$allow"/* ]] && ok=yes
      done
      if [[ $ok == no ]]; then
        echo "$file: $folder may not include \"$include\""
        bad=1
      fi
    done < <(cd "$root" && sources_of "$folder" | xargs grep -HoE '^ *# *include *"(runtime|ir|frontend|codegen|compiler|replay|tools|examples)/[^"]+"' |
      sed -E 's/^([^:]+):[^"]*"([^"]+)"$/\1:\2/')
  done
  return $bad
}

check_private() {  # ROOT PATTERN WHERE-ALLOWED WHAT
  local hits
  hits=$(cd "$1" && for folder in $folders; do [[ -d $folder ]] && sources_of "$folder"; done |
    xargs grep -HnE "^ *# *include *[<\"]($2)" | grep -vE "^($3)")
  [[ -z $hits ]] && return 0
  echo "$hits"
  echo "only $3 may include $4"
  return 1
}

check_all() {
  local bad=0
  check_project_includes "$1" || bad=1
  check_private "$1" 'llvm/|lld/' 'codegen/' LLVM || bad=1
  check_private "$1" 'antlr4|MoePolicy(Lexer|Parser|Base|Visitor)' 'frontend/(lexer|parser)_table\.cpp' "generated ANTLR headers" || bad=1
  check_private "$1" 'liburing' 'runtime/disk/' liburing || bad=1
  check_private "$1" 'cuda|cublas' 'runtime/cuda/' CUDA || bad=1
  check_private "$1" 'runtime/cuda/' 'runtime/cuda/' "the CUDA backend: it is a library of its own" || bad=1
  return $bad
}

self_test() {
  local root
  root=$(mktemp -d)
  trap "rm -rf '$root'" EXIT
  mkdir -p "$root/ir" "$root/runtime/disk"
  echo '#include "ir/a.h"' > "$root/ir/fine.cpp"
  check_all "$root" > /dev/null || { echo "a good tree was refused"; exit 1; }
  echo '#include "frontend/x.h"' > "$root/ir/up.cpp"
  check_all "$root" > /dev/null && { echo "an upward include was not found"; exit 1; }
  echo '#include <llvm/IR/Module.h>' > "$root/ir/up.cpp"
  check_all "$root" > /dev/null && { echo "LLVM outside codegen was not found"; exit 1; }
  rm "$root/ir/up.cpp"
  echo '#include "runtime/core/x.h"' > "$root/runtime/disk/side.cpp"
  check_all "$root" > /dev/null && { echo "the disk reader's use of the core was not found"; exit 1; }
  rm "$root/runtime/disk/side.cpp"
  mkdir -p "$root/runtime/cuda" "$root/runtime/core"
  printf '#include <cublasLt.h>\n#include "runtime/precision/a.h"\n' > "$root/runtime/cuda/fine.cpp"
  check_all "$root" > /dev/null || { echo "CUDA in its folder was refused"; exit 1; }
  for line in '#include <cuda_runtime_api.h>' '#include <cublasLt.h>' '#include "runtime/cuda/driver.h"'; do
    echo "$line" > "$root/runtime/core/side.cpp"
    check_all "$root" > /dev/null && { echo "outside of runtime/cuda this was not found: $line"; exit 1; }
  done
  rm "$root/runtime/core/side.cpp"
  echo '#include "runtime/core/x.h"' > "$root/runtime/cuda/side.cpp"
  check_all "$root" > /dev/null && { echo "the CUDA backend's use of the core was not found"; exit 1; }
  rm "$root/runtime/cuda/side.cpp"
  mkdir -p "$root/runtime/device"
  echo '#include "runtime/store/json.h"' > "$root/runtime/device/fine.cpp"
  check_all "$root" > /dev/null || { echo "the device profile's use of JSON was refused"; exit 1; }
  echo '#include "runtime/store/store.h"' > "$root/runtime/device/side.cpp"
  check_all "$root" > /dev/null && { echo "the device profile's use of stores was not found"; exit 1; }
  exit 0
}

[[ ${1:-} == --self-test ]] && self_test
check_all "$1"
