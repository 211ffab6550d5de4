#!/bin/sh
# SPDX-License-Identifier: MIT
# Does every test that docs/limits.md names exist, and is every one named there?
#
#   check_docs.sh TOP
cd "$1" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
grep -o '`[a-z0-9_]*__[a-z0-9_]*`' docs/limits.md | tr -d '`' | sort -u >"$work/named"
{
	grep -oh '\(CASE\|cmocka_unit_test\)([a-z0-9_]*__[a-z0-9_]*)' tests/limits/*.c | sed 's/.*(//; s/)//'
	grep -o '^[a-z0-9_]*__[a-z0-9_]*()' tests/limits/programs.sh | tr -d '()'
} | sort -u >"$work/there"
missing=$(comm -23 "$work/named" "$work/there")
unnamed=$(comm -13 "$work/named" "$work/there" | grep -v -e '^run_' -e '^dynamic_program__')
[ -z "$missing" ] || printf 'named in docs/limits.md, but not there: %s\n' $missing
[ -z "$unnamed" ] || printf 'there, but not named in docs/limits.md: %s\n' $unnamed
[ -z "$missing$unnamed" ]
