#!/usr/bin/env bash
# docs/language.md says how the language is: every name of the front end's tables is in it, and every example and range is true.
#   reference_test.sh ROOT PROGRAMS [PAGE]
#   reference_test.sh --self-test ROOT PROGRAMS    a fault of each kind is found
#
# Fenced blocks: ```moe is a file, ```moe std one that imports, ```moe members what stands in a policy, ```moe replay needs the future. None has a
# finding, but for MOE2131 in the last.
# Tables are known by their header. Rows of a key have six cells, none of them empty: `key` | type and range | default | what | when | `example`.
# A range in the second cell (`at least 1`, `1 to 4096`, `above 0`, `at most 1`) is tried at its ends and beyond. Examples are tried where they belong.
set -uo pipefail

tables() {  # PAGE: "header TAB first cell TAB second TAB ... " of each row of each table
  awk '
    function trim(s) { gsub(/^ +| +$/, "", s); return s }
    /^\|/ {
      line = $0
      gsub(/\\\|/, "\001", line)
      num = split(line, cell, "|") - 2
      for (i = 1; i <= num; ++i) cell[i] = trim(cell[i + 1])
      if (header == "") { header = cell[1]; columns = num; next }
      if (line ~ /^\|[-|]*\|$/) next
      row = header "\t" columns
      for (i = 1; i <= num; ++i) row = row "\t" (cell[i] == "" ? "-" : cell[i])
      gsub(/\001/, "|", row)
      print row
      next
    }
    { header = "" }' "$1"
}

keys_of_tables() {  # ROOT: "block key default words" from frontend/keys.cpp, parted by TABs; - for none
  tr -d '\n' < "$1/frontend/keys.cpp" | sed 's/constexpr /\n/g' |
    awk '
      match($0, /^std::string_view k[A-Za-z]+ *= *"[^"]*"/) {
        split($0, part, /string_view | *= *"|"/)
        words[part[2]] = part[3]
      }
      match($0, /^std::array k[A-Za-z]+Keys = /) {
        block = substr($0, 13, RLENGTH - 19)
        gsub(/[A-Z]/, "_&", block)
        block = tolower(substr(block, 2))
        rest = $0
        while (match(rest, /KeySpec\{[^{}]*(\{[^}]*\})?[^{}]*\}/)) {
          spec = substr(rest, RSTART + 8, RLENGTH - 9)
          rest = substr(rest, RSTART + RLENGTH)
          sub(/\{[^}]*\}/, "RANGE", spec)
          split(spec, field, /, */)
          for (i in field) gsub(/^ +| +$/, "", field[i])
          key = field[1]; taken = field[4]; normal = field[5]
          gsub(/"/, "", key); gsub(/"/, "", normal)
          taken = (taken in words) ? words[taken] : taken
          gsub(/"/, "", taken)
          print block "\t" key "\t" (normal == "" ? "-" : normal) "\t" (taken == "" ? "-" : taken)
        }
      }'
}

fail() {
  printf '%s\n' "$*" >&2
  bad=1
}

code() { sed -n 's/^`\(.*\)`$/\1/p' <<< "$1"; }  # the text of a cell that is one piece of code

# MEMBERS: a whole file of them, with what they need.
wrap() {
  local members=$1
  [[ $members =~ (^|[^a-z_.])cache\ *\{|(^|[^a-z_])tiers\ *\{ ]] || members="cache { capacity = 64  scope = layer }"$'\n'$members
  [[ $members =~ (^|[^a-z_.])adapt\ *\{ && $members =~ prefetch ]] && members+=$'\n'"prefetch { strategy = gate }"
  [[ $members =~ rebalance && ! $members =~ per_layer ]] && members+=$'\n'"per_layer { min_capacity = 4 }"
  [[ $members =~ \(value|learned && ! $members =~ learn\ *\{ ]] && members+=$'\n'"learn { window = 24 }"
  printf 'policy p {\n%s\n}\n' "$members"
  printf 'policy %s { cache { capacity = 64  scope = layer } }\n' a b
}

in_block() {  # BLOCK TEXT: members with the text in its block
  case $1 in
    cache)
      [[ $2 =~ capacity\ = ]] && wrap "cache { $2 }" || wrap "cache { capacity = 64  scope = layer  $(sed 's/scope = layer//' <<< "$2") }" ;;
    tier)
      local high=host
      [[ $2 =~ location ]] && high=
      wrap "tiers { tier fast { location = gpu  capacity = 10% } tier x { ${high:+location = host  }$2 } tier last { location = disk }
        demote fast -> x on evict }" ;;
    tiers) wrap "tiers { tier fast { location = gpu  capacity = 25% } tier slow { location = host } $2 }" ;;
    move)
      local near="demote fast -> x on evict"
      [[ $2 == "$near" ]] && near=
      wrap "tiers { tier fast { location = gpu  capacity = 10% } tier x { location = host  capacity = 50% } tier last { location = disk }
        $near $2 }" ;;
    per_layer) wrap "cache { capacity = 64 } per_layer { $2 }" ;;
    learn) wrap "cache { capacity = 64  eviction = least(value) } learn { $2 }" ;;
    memory) wrap "cache { capacity = auto } memory { $2 }" ;;
    *) wrap "$1 { $2 }" ;;
  esac
}

# An example where it belongs, by how it begins.
around() {
  case $1 in
    'least('*) in_block cache "eviction = $1" ;;
    'when = '*) in_block prefetch "strategy = gate  $1" ;;
    'eviction = '* | 'admit = '* | 'pin = '* | 'preload = '*) in_block cache "$1$([[ $1 == *hottest* ]] && echo "  admit = never")" ;;
    'order = '*) in_block schedule "$1" ;;
    'strategy = '*) in_block prefetch "$1" ;;
    'else ->'* ) in_block schedule "on miss { $1 }" ;;
    'when '*' -> degrade' | 'when '*' -> shared' | 'when '*' -> skip') in_block schedule "approximate = true  on miss { $1  else -> load }" ;;
    'when '*'} revert' | 'when '*'}' | 'choose '*) in_block adapt "$1" ;;
    'when '*'->'*) in_block schedule "on miss { $1  else -> load }" ;;
    'promote '* | 'demote '*) in_block move "$1" ;;
    'layers '* | 'phase '*) wrap "cache { capacity = 64  scope = layer } $1" ;;
    *) wrap "$1" ;;
  esac
}

put() {  # KIND WHERE TEXT: a file for the tool; KIND is good, future, in or out
  ((++files))
  printf '%s\n' "$3" > "$(printf '%04d' "$files").$1.moe"
  printf '%s\n' "$2" >> names
}

put_blocks() {  # PAGE
  local file
  awk '
    /^```moe/ { name = sprintf("%03d.%s.block", ++blocks, $2 == "" ? "file" : $2); inside = 1; printf "" > name; next }
    /^```/ { inside = 0 }
    inside { print > name }' "$1"
  for file in *.block; do
    case $file in
      *.file.block | *.std.block) put good "the fenced block ${file%%.*}" "$(cat "$file")" ;;
      *.members.block) put good "the fenced block ${file%%.*}" "$(wrap "$(cat "$file")")" ;;
      *.replay.block) put future "the fenced block ${file%%.*}" "$(cat "$file")" ;;
      *) fail "${file%.block}: ./moe members, std and replay are what there is" ;;
    esac
  done
}

put_range() {  # BLOCK KEY CELL: values at the ends of the range, and beyond them
  local block=$1 key=$2 cell=${3//,/} number='(-?[0-9]+)(%|B)?' low high unit
  local within=() beyond=()
  while [[ $cell =~ (at\ least|above|at\ most)\ $number ]]; do
    low=${BASH_REMATCH[2]} unit=${BASH_REMATCH[3]}
    case ${BASH_REMATCH[1]} in
      'at least') within+=("$low$unit") beyond+=("$((low - 1))$unit") ;;
      above) beyond+=("$low$unit") ;;
      'at most') within+=("$low$unit") beyond+=("$((low + 1))$unit") ;;
    esac
    cell=${cell/"${BASH_REMATCH[0]}"/}
  done
  while [[ $cell =~ $number\ to\ $number ]]; do
    low=${BASH_REMATCH[1]} high=${BASH_REMATCH[3]}
    within+=("$low" "$high") beyond+=("$((low - 1))" "$((high + 1))")
    cell=${cell/"${BASH_REMATCH[0]}"/}
  done
  ranged=${#beyond[@]}
  local value
  for value in "${within[@]}"; do put in "$block.$key = $value" "$(in_block "$block" "$key = $(listed "$key" "$value")")"; done
  for value in "${beyond[@]}"; do put out "$block.$key = $value" "$(in_block "$block" "$key = $(listed "$key" "$value")")"; done
}
listed() { [[ $1 == capacities ]] && echo "[$2]" || echo "$2"; }

check_key_row() {  # BLOCK CELLS...
  local block=$1 columns=$2 key type normal example
  key=$(code "$3") type=$4 normal=$5 example=$(code "$8")
  printf '%s.%s\t%s\t%s\n' "$block" "$key" "$normal" "$type" >> seen
  [[ $columns -eq 6 && $# -eq 8 ]] || return "$(fail "$block.$key: a row has six cells"; echo 0)"
  local cell
  for cell in "${@:3}"; do [[ $cell != - ]] || fail "$block.$key: a cell is empty"; done
  [[ $example == *"$key = "* ]] || fail "$block.$key: the example does not set it"
  put good "the example of $block.$key" "$(in_block "$block" "$example")"
  put_range "$block" "$key" "$type"
  # What a number can be is said.
  if [[ $type =~ ^(experts|slots|accesses|dispatches|layers|loads|values|requests|number|ratio|time|size|list\ of\ slots) ]] && ((ranged == 0)); then
    fail "$block.$key: no range in \"$type\""
  fi
}

check_rows() {  # PAGE
  local header columns cells example name names
  while IFS=$'\t' read -r header columns cells; do
    IFS=$'\t' read -ra cells <<< "$cells"
    case $header in
      'key of `'*) check_key_row "$(sed 's/key of `\(.*\)`/\1/' <<< "$header")" "$columns" "${cells[@]}" ;;
      variable | function | eviction | strategy | form | move | event | part | 'action of a rule' | 'action of a miss' | block)
        example=$(code "${cells[-1]}")
        [[ $header == block && $columns -eq 3 ]] && continue
        names=${cells[0]}
        printf '%s\t%s\n' "$header" "$names" >> rows
        for name in "${cells[@]}"; do
          [[ $name != - || $header == strategy ]] || fail "$header $names: a cell is empty"
        done
        [[ -n $example ]] || { fail "$header $names: no example"; continue; }
        name=good
        [[ $example == *belady* || $example == *next_use* ]] && name=future
        if [[ $header == event ]]; then
          put $name "the example of $names" "$(in_block memory "$example")"
        else
          put $name "the example of $names" "$(around "$example")"
        fi ;;
    esac
  done < <(tables "$1")
}

check_names() {  # ROOT PAGE: nothing of the front end's tables is missing
  local block key normal words word said
  local num_keys=0
  while IFS=$'\t' read -r block key normal words; do
    ((++num_keys))
    said=$(awk -F '\t' -v name="$block.$key" '$1 == name { print $2; exit }' seen)
    if [[ -z $said ]]; then
      fail "$block has a key \`$key\`, and the page has no row for it"
      continue
    fi
    if [[ $normal != - ]]; then
      word=$(sed 's/^`\([^`]*\)`.*/\1/' <<< "$said")
      [[ $word == "$normal"* ]] || fail "$block.$key: the default is $normal, not $said"
    fi
    [[ $words != - ]] || continue
    for word in $words; do
      grep -qE "[\`( ]${word}[\` ,(]" "$2" || fail "$block.$key takes \`$word\`, which the page does not have"
    done
  done < <(keys_of_tables "$1")
  ((num_keys > 70)) || fail "only $num_keys keys were read from frontend/keys.cpp"
  # Rows of keys that are none.
  while IFS=$'\t' read -r key _; do
    keys_of_tables "$1" | awk -F '\t' -v name="$key" '$1 "." $2 == name { found = 1 } END { exit !found }' || fail "there is no key $key"
  done < seen
  local variables functions
  variables=$(tr -d '\n' < "$1/frontend/expression_docs.cpp" | sed 's/kFunctions/\n/' | grep -oE 'NameDoc\{ *"[a-z0-9_]+"' | grep -oE '[a-z0-9_]+"' | tr -d '"')
  (($(wc -l <<< "$variables") > 50)) || fail "names of expressions were not read"
  for word in $variables; do
    awk -F '\t' -v name="$word" '
      ($1 == "variable" && $2 == "`" name "`") || ($1 == "function" && index($2, "`" name "(")) { found = 1 }
      END { exit !found }' rows || fail "the page has no row for \`$word\`"
  done
  for word in $(grep -oE ": *'[a-z]+' *;" "$1/grammar/MoePolicy.g4" | grep -oE '[a-z]+'); do
    grep -qw -- "$word" "$2" || fail "the page does not have the word \`$word\`"
  done
  for word in 'on warn' 'on shed' 'on miss'; do
    grep -qF -- "\`$word {" "$2" || fail "the page has no \`$word\`"
  done
  for word in $(grep -oE 'BlockSpec(\{| k[A-Za-z]+\{)"[a-z_]+"' "$1/frontend/keys.cpp" | grep -oE '"[a-z_]+"' | tr -d '"'); do
    grep -qE "^## .*\b$word\b|^\| key of \`$word\`" "$2" || fail "the page has no section for \`$word\`"
  done
}

judge() {  # what the tool says of each file
  local file kind name found line=0
  moec validate [0-9]*.moe > said 2>&1
  for file in [0-9]*.moe; do
    ((++line))
    name=$(sed -n "${line}p" names)
    kind=${file#*.} kind=${kind%.moe}
    found=$(grep -F "$file:" said)
    case $kind in
      good) [[ $found == "$file: ok, "* && $(wc -l <<< "$found") -eq 1 ]] || fail "$name: $found"$'\n'"$(cat "$file")" ;;
      future) [[ $(grep -oE '(error|warning)\[MOE[0-9]+\]' <<< "$found" | sort -u) == 'error[MOE2131]' ]] || fail "$name: $found" ;;
      in) ! grep -qE 'MOE2005|MOE2004' <<< "$found" || fail "$name is refused: $found" ;;
      out) grep -q 'MOE2005' <<< "$found" || fail "$name is out of range, and accepted" ;;
    esac
  done
}

check_page() {  # ROOT PAGE
  bad=0 files=0
  local work
  work=$(mktemp -d) || exit 3
  pushd "$work" > /dev/null || exit 3
  put_blocks "$2"
  check_rows "$2"
  check_names "$1" "$2"
  judge
  echo "$files files tried"
  popd > /dev/null || exit 3
  rm -rf "$work"
  return $bad
}

# A page with a fault of each kind: every one is found.
self_test() {  # ROOT
  local broken said what wrong=0
  broken=$(mktemp)
  sed -E '
    /^\| `side_buffer` \|/d
    s/^\| `ttl` \|/| `tttl` |/
    s/^(\| `order` \|.*\| `auto` \|)[^|]*\|/\1 |/
    s/^(\| `frequency_decay` \|[^|]*\|) 0.95/\1 0.9/
    s/^(\| `store` \|.*)1 to 4096/\11 to 4097/
    s/^(\| `top` \| experts, )at least 1/\1at least 2/
    s/^(\| `rate` \| number), above 0, at most 1/\1/
    s/`strategy = gate  budget = 2`/`strategy = gait  budget = 2`/
    s/`arc`, //
    s/`least\(-idle\)`/`least(-idel)`/
    /^\| `foretold`/d
    s/^learn \{ window = 24  rate/learn { windo = 24  rate/
    /^\| `on shed \{/d' "$1/docs/language.md" > "$broken"
  said=$(check_page "$1" "$broken" 2>&1) && wrong=1
  while read -r what; do
    grep -qF -- "$what" <<< "$said" && continue
    echo "not found: $what"
    wrong=1
  done << 'FAULTS'
prefetch has a key `side_buffer`, and the page has no row for it
cache has a key `ttl`, and the page has no row for it
there is no key cache.tttl
schedule.order: a cell is empty
cache.frequency_decay: the default is 0.95
prefetch.store = 4097 is refused
prefetch.top = 1 is out of range, and accepted
learn.rate: no range in
the example of prefetch.budget:
cache.eviction takes `arc`, which the page does not have
the example of `idle`:
the page has no row for `foretold`
the fenced block
the page has no `on shed`
FAULTS
  rm "$broken"
  return $wrong
}

self=no
[[ ${1:-} == --self-test ]] && self=yes && shift
root=$(cd "$1" && pwd) || exit 3
programs=$(cd "$2" && pwd) || exit 3
export PATH=$programs:$PATH
export MOE_STD=$root/stdlib-policies
if [[ $self == yes ]]; then
  self_test "$root"
else
  check_page "$root" "${3:-$root/docs/language.md}"
fi
