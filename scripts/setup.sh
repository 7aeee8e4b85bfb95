#!/usr/bin/env bash
# Installs what is missing (Debian 12, as root or with sudo) and builds build/release; programs are in build/release/bin.
#   scripts/setup.sh [PRESET...]   presets to configure and build; default: release
set -euo pipefail
cd "$(dirname "$0")/.."

missing_packages() {
  local package
  while read -r package; do
    [[ -z $package || $package == \#* ]] && continue
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
  done < scripts/packages.txt
}

install_missing() {
  local -a missing as_root=()
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    if ! command -v sudo > /dev/null; then
      echo "setup: missing packages: ${missing[*]}; run this as root, or install sudo" >&2
      exit 3
    fi
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

if command -v dpkg-query > /dev/null; then
  install_missing
else
  echo "setup: this is not Debian; install by hand what scripts/packages.txt lists" >&2
fi

presets=("$@")
((${#presets[@]})) || presets=(release)
for preset in "${presets[@]}"; do
  [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" > /dev/null
  echo "setup: building build/$preset" >&2
  cmake --build "build/$preset" -- --quiet
done
