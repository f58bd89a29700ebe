#!/bin/sh
# clang-tidy on the C files that differ from a base revision (default: the last commit's parent and the working tree).
# Usage: tidy.sh BUILD_DIR [BASE]
cd "$(dirname "$0")/../.." || exit 1
build=$1
base=${2:-HEAD~1}
command -v clang-tidy >/dev/null 2>&1 || {
    echo "skipped: clang-tidy is not installed"
    exit 77
}
git rev-parse -q --verify "$base" >/dev/null || base=HEAD
files=$(git diff --name-only --diff-filter=d "$base" -- 'common/*.c' 'server/*.c' 'worker/*.c')
[ -z "$files" ] && {
    echo "nothing changed since $base"
    exit 0
}
# shellcheck disable=SC2086
exec clang-tidy --quiet -p "$build" $files
