#!/usr/bin/env bash
# What must not stand in the repository: unfinished work instead of a feature, paths of one machine, data that users do not have.
#   words_test.sh ROOT
set -uo pipefail
cd "$1" || exit 3
bad=0
deny() {  # PATTERN WHY PATHSPEC...
  local hits
  hits=$(git grep -nIE "$1" -- "${@:3}")
  [[ -z $hits ]] && return
  printf '%s\n%s\n' "$2" "$hits"
  bad=1
}
deny 'TODO|FIXME|\bXXX\b|unimplemented' 'unfinished work:' '*.h' '*.cpp' '*.c' '*.sh' '*.cmake' '*.txt' '*.md' ':!tests/house'
deny '\.\./shared' 'only tests may look beside the checkout:' . ':!tests'
deny '(^|[^[:alnum:]_.])/(home|work)/' 'a path of one machine:' . ':!tests/house'
exit $bad
