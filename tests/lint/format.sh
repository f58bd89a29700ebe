#!/bin/sh
# Fails when clang-format would change a C file of ours; names the files.
cd "$(dirname "$0")/../.." || exit 1
command -v clang-format >/dev/null 2>&1 || {
    echo "skipped: clang-format is not installed"
    exit 77
}
# Another version breaks lines elsewhere: the rule is Debian 12's.
clang-format --version | grep -q "version 14\." || {
    echo "skipped: clang-format 14 is wanted, this is $(clang-format --version)"
    exit 77
}
git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror 2>&1 | grep -E '^[^ ]+:[0-9]+' | cut -d: -f1 | sort | uniq -c >/tmp/syncline-format.$$
bad=$(cat /tmp/syncline-format.$$)
rm -f /tmp/syncline-format.$$
[ -z "$bad" ] && exit 0
echo "clang-format -i would change (places, file):"
echo "$bad"
exit 1
