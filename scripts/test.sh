#!/usr/bin/env bash
# Sets up, builds and runs the tests. The last line is "N passed, N failed"; the exit code is 1 when something failed.
#   scripts/test.sh         the quick suites, in build/release
#   scripts/test.sh --all   also the slow suites, and everything again under ASan+UBSan and TSan
set -uo pipefail
cd "$(dirname "$0")/.."

all=no
case "${1:-}" in
  "") ;;
  --all) all=yes ;;
  *) echo "usage: scripts/test.sh [--all]" >&2; exit 2 ;;
esac

presets=(release)
[[ $all == yes ]] && presets+=(asan tsan)
scripts/setup.sh "${presets[@]}" || exit $?

passed=0 failed=0 skipped=0
attribute() { grep -o "<testsuite[^>]*" "$1" | tr '\n' ' ' | grep -o "$2=\"[0-9]*\"" | head -1 | grep -o '[0-9]*'; }

run_suite() {  # PRESET [ctest arguments]
  local preset=$1 report
  shift
  report=$PWD/build/$preset/tests.xml
  rm -f "$report"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" --output-junit "$report" "$@"
  if [[ ! -s $report ]]; then
    echo "test: ctest left no report in build/$preset" >&2
    ((++failed))
    return
  fi
  local tests failures skips
  tests=$(attribute "$report" tests)
  failures=$(attribute "$report" failures)
  skips=$(($(attribute "$report" skipped) + $(attribute "$report" disabled)))
  ((passed += tests - failures - skips, failed += failures, skipped += skips))
}

if [[ $all == yes ]]; then
  for preset in "${presets[@]}"; do run_suite "$preset"; done
else
  run_suite release -LE slow
fi
((skipped == 0)) || echo "$skipped skipped: what they need is not on this machine"
echo "$passed passed, $failed failed"
((failed == 0))
