#!/usr/bin/env bash
# Sets up, builds and runs the tests. The last line is "N passed, N failed"; the exit code is 1 when something failed.
#   scripts/test.sh         the quick suites in build/release, ten seconds of each fuzzer
#   scripts/test.sh --all   also the slow suites, everything again under ASan+UBSan and TSan, a minute of each fuzzer
set -uo pipefail
cd "$(dirname "$0")/.."

all=no
case "${1:-}" in
  "") ;;
  --all) all=yes ;;
  *) echo "usage: scripts/test.sh [--all]" >&2; exit 2 ;;
esac

presets=(release fuzz)
[[ $all == yes ]] && presets+=(asan tsan)
scripts/setup.sh "${presets[@]}" || exit $?

passed=0 failed=0 skipped=0
# A number of the report's <testsuite ...>, whose attributes stand on lines of their own.
attribute() { sed -n "s/^[[:space:]]*$2=\"\([0-9]*\)\".*/\1/p; /<testcase/q" "$1" | head -1; }

run_suite() {  # PRESET [ctest arguments]
  local preset=$1 report tests failures skips status=0
  shift
  report=$PWD/build/$preset/tests.xml
  rm -f "$report"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" --output-junit "$report" "$@" || status=$?
  tests=$(attribute "$report" tests) failures=$(attribute "$report" failures)
  skips=$(attribute "$report" skipped)
  if [[ -z $tests || -z $failures || -z $skips ]]; then
    echo "test: ctest left no report in build/$preset" >&2
    ((++failed))
    return
  fi
  # ctest also fails for what a report does not count, such as a program that is missing.
  ((status == 0 || failures > 0)) || failures=1
  ((passed += tests - failures - skips, failed += failures, skipped += skips))
}

if [[ $all == yes ]]; then
  run_suite release
  run_suite asan -LE slow
  run_suite tsan -LE slow
  run_suite fuzz -R "_minute\$"
else
  run_suite release -LE slow
  run_suite fuzz -LE slow
fi
((skipped == 0)) || echo "$skipped skipped: what they need is not on this machine"
echo "$passed passed, $failed failed"
((failed == 0))
