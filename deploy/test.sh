#!/bin/sh
# Installs what the tests need, builds the release preset and runs everything with CTest. Arguments go to ctest.
set -eu
cd "$(dirname "$0")/.."
. deploy/packages.sh

# shellcheck disable=SC2086
install_packages $SYNCLINE_BUILD_PACKAGES $SYNCLINE_TEST_PACKAGES
cmake --preset release -DSYN_BUILD_TESTS=ON
cmake --build --preset release
exec ctest --preset release "$@"
