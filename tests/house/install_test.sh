#!/usr/bin/env bash
# What `cmake --install` leaves behind is enough to build an engine, in C, by pkg-config and by find_package.
#   install_test.sh BUILD-DIR
set -euo pipefail
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" > /dev/null

mkdir "$work/app"
cat > "$work/app/main.c" << 'C'
#include <moe/moe.h>
#include <stdio.h>

int main(void) {
  moe_runtime_config config = {.struct_size = sizeof config};
  moe_runtime* runtime = NULL;
  config.shape = (moe_model_shape){sizeof(moe_model_shape), 2, 4, 2, 0};
  if (moe_runtime_create(&config, &runtime) != MOE_OK) {
    fprintf(stderr, "%s\n", moe_last_error());
    return 1;
  }
  printf("moe %u\n", moe_version());
  return moe_runtime_destroy(runtime) == MOE_OK ? 0 : 1;
}
C
cat > "$work/app/CMakeLists.txt" << 'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(moe REQUIRED)
add_executable(app main.c)
target_link_libraries(app PRIVATE moe::moe)
CMAKE
cmake -S "$work/app" -B "$work/app/build" -DCMAKE_PREFIX_PATH="$work/prefix" > /dev/null
cmake --build "$work/app/build" > /dev/null
"$work/app/build/app"

pc=$(find "$work/prefix" -name moe.pc)
export PKG_CONFIG_PATH=${pc%/*}
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -pedantic -Werror "$work/app/main.c" -o "$work/app/by-pkg-config" $(pkg-config --cflags --libs moe)
LD_LIBRARY_PATH=$(pkg-config --variable=libdir moe) "$work/app/by-pkg-config"

for program in moec moec-run; do "$work/prefix/bin/$program" --help > /dev/null; done
"$work/prefix/bin/moec" validate "$work/prefix/share/moe/std/lru.moe"
echo 'import "std/lru.moe" policy mine extends lru_per_layer { cache { ttl = 1000 } }' > "$work/mine.moe"
env -u MOE_STD "$work/prefix/bin/moec" validate "$work/mine.moe"
cmp "$work/prefix/share/doc/moe/diagnostics/MOE2103.md" <("$work/prefix/bin/moec" explain MOE2103)
for file in vim/syntax/moe.vim vscode/syntaxes/moe.tmLanguage.json; do test -f "$work/prefix/share/moe/editors/$file"; done
