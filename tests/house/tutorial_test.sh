#!/usr/bin/env bash
# The tutorial and the cookbook say what happens: their policies validate, and their commands print what stands there.
#   tutorial_test.sh ROOT PROGRAMS
# A page's ```moe block is the file of its first policy's name; one that begins with ```moe replay needs the future and is refused outside of it.
# A ```console block holds commands after `$ ` and all that they print; a line `...` stands for any lines (times differ).
# Every hit rate of four decimals in the text must be one that a command printed.
set -uo pipefail
root=$(cd "$1" && pwd) || exit 3
export PATH=$2:$PATH
export MOE_STD=$root/stdlib-policies
work=$(mktemp -d) || exit 3
trap 'rm -rf "$work"' EXIT
bad=0
fail() {
  printf '%s\n' "$*" >&2
  bad=1
}

# PAGE: files NAME.moe, `policies` (NAME KIND a line), and NNN.console, one for each command.
extract() {
  awk '
    /^```moe/       { kind = $2; name = ""; text = ""; inside = "moe"; next }
    /^```console$/  { inside = "console"; next }
    /^```/ {
      if (inside == "moe") { printf "%s", text > (name ".moe"); print name, kind > "policies" }
      inside = ""
      next
    }
    inside == "moe" { if (name == "" && $1 == "policy") name = $2; text = text $0 "\n" }
    inside == "console" {
      if (/^\$ /) file = sprintf("%03d.console", ++commands)
      print > file
    }' "$1"
}

# EXPECTED ACTUAL: the same lines, but for those that `...` stands for.
same() {
  awk '
    NR == FNR { actual[++lines] = $0; next }
    $0 == "..." { any = 1; next }
    {
      do ++at; while (any && at <= lines && actual[at] != $0)
      if (at > lines || actual[at] != $0) { print "expected: " $0; wrong = 1; exit }
      any = 0
    }
    END { if (!wrong && !any && at < lines) { print "not on the page: " actual[at + 1]; wrong = 1 } exit wrong }' "$2" "$1"
}

check_policies() {
  local name kind found
  while read -r name kind; do
    found=$(moec validate "$name.moe" 2>&1)
    if [[ $kind == replay ]]; then
      [[ $(grep -oE '(error|warning)\[MOE[0-9]+\]' <<< "$found" | sort -u) == 'error[MOE2131]' ]] || fail "$name: $found"
    else
      [[ $found == "$name.moe: ok, "* && $(wc -l <<< "$found") -eq 1 ]] || fail "$name: $found"
    fi
  done < policies
}

check_commands() {
  local file command difference
  for file in *.console; do
    command=$(sed -n '1s/^\$ //p' "$file")
    bash -c "$command" > actual 2>&1 < /dev/null
    cat actual >> printed
    sed 1d "$file" > expected
    difference=$(same expected actual) || fail "$command" $'\n' "$difference"
  done
}

check_rates() {  # PAGE
  local rate
  while read -r rate; do
    grep -qF -- "$rate %" printed || fail "$1: $rate % is printed by no command"
  done < <(grep -oE '[0-9]+\.[0-9]{4} %' "$1" | sed 's/ %//' | sort -u)
}

check_page() {  # PAGE, at least so many POLICIES and COMMANDS
  local page=$root/docs/$1
  mkdir "$work/$1" && cd "$work/$1" || exit 3
  ln -s "$root/tests" "$root/examples" "$root/stdlib-policies" .
  extract "$page"
  [[ $(wc -l < policies) -ge $2 ]] || fail "$1: fewer than $2 policies"
  [[ $(find . -name '*.console' | wc -l) -ge $3 ]] || fail "$1: fewer than $3 commands"
  check_policies
  check_commands
  check_rates "$page"
}

check_page tutorial.md 12 18
check_page cookbook.md 8 8
exit $bad
