#!/usr/bin/env bash
# Formatting is clang-format-19's. Skipped where that is not installed.
#   format_test.sh ROOT
set -uo pipefail
formatter=$(command -v clang-format-19) || { echo "[SKIP] skipped: clang-format-19 is not installed"; exit 77; }
cd "$1" || exit 3
git ls-files '*.h' '*.cpp' | xargs "$formatter" --dry-run -Werror
