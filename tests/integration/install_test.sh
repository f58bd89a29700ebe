#!/bin/sh
# Installs into a temporary folder and builds a ten-line program against it, by CMake package and by pkg-config.
# Usage: install_test.sh BUILD_DIR
set -eu
build=$1
where=$(mktemp -d)
trap 'rm -rf "$where"' EXIT

cmake --install "$build" --prefix "$where/prefix" >/dev/null
mkdir "$where/app"
cat >"$where/app/main.c" <<'C'
#include <syncline/syncline.h>

int main(void)
{
    syn_tensor *x = syn_requires_grad(syn_full(SYN_SHAPE(2, 3), 3, SYN_F32));
    syn_tensor *y = syn_sum(syn_mul(x, x));
    if (syn_backward(y) != SYN_OK || syn_item(y) != 54 || syn_item(syn_sum(syn_grad_of(x))) != 36)
        return 1;
    return syn_finish();
}
C
cat >"$where/app/CMakeLists.txt" <<'C'
cmake_minimum_required(VERSION 3.25)
project(app C)
find_package(Syncline 0.1 REQUIRED)
add_executable(app main.c)
target_link_libraries(app PRIVATE Syncline::syncline)
C
cmake -S "$where/app" -B "$where/app/build" -DCMAKE_PREFIX_PATH="$where/prefix" \
    -DCMAKE_C_FLAGS="${SYNCLINE_TEST_CFLAGS:-}" >/dev/null
cmake --build "$where/app/build" >/dev/null
"$where/app/build/app"
echo "CMake package: ok"

library=$(dirname "$(find "$where/prefix" -name libsyncline.so)")
flags=$(PKG_CONFIG_PATH="$library/pkgconfig" pkg-config --cflags --libs syncline)
# shellcheck disable=SC2086
cc ${SYNCLINE_TEST_CFLAGS:-} "$where/app/main.c" -o "$where/app/app2" $flags
LD_LIBRARY_PATH="$library" "$where/app/app2"
echo "pkg-config: ok"
for program in syncline syncline-worker; do
    "$where/prefix/bin/$program" --version
done
