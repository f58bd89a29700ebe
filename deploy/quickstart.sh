#!/bin/sh
# Installs what is needed, builds the release and runs the first job: digits on 2 ranks. Run it again at any time.
set -eu
cd "$(dirname "$0")/.."
. deploy/packages.sh

# shellcheck disable=SC2086
install_packages $SYNCLINE_BUILD_PACKAGES
tests=OFF # keep the tests of a build folder that has them
[ -f build/release/CMakeCache.txt ] && grep -q 'SYN_BUILD_TESTS:BOOL=ON' build/release/CMakeCache.txt && tests=ON
cmake --preset release -DSYN_BUILD_TESTS=$tests >build-configure.log 2>&1 || {
    cat build-configure.log
    exit 1
}
rm -f build-configure.log
cmake --build --preset release
exec build/release/bin/syncline run docs/examples/digits.yaml -n 2 "$@"
