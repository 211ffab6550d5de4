#!/bin/bash
# SPDX-License-Identifier: MIT
# Which kinds of programs can `uiommufd run` not serve, or only with help, and what does one see then?
#
#   programs.sh UIOMMUFD PLAIN PLAIN_STATIC IOCOPY IOCOPY_OWN_MALLOC IOCOPY_ASAN IOCOPY_TSAN
#
# The programs come from the build: PLAIN opens /dev/iommu and says "yes" or "no"; IOCOPY copies a file by DMA. An
# argument "none" means that the compiler at hand cannot make that one.
set -u
uiommufd=$1 plain=$2 plain_static=$3 iocopy=$4 iocopy_own=$5 iocopy_asan=$6 iocopy_tsan=$7
preload=$(dirname "$uiommufd")/libuiommufd-preload.so
work=$(mktemp -d "${TMPDIR:-/tmp}/uiommufd-limits-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
n=0 failed=0

# ok NAME COMMAND...: one case, good when the command ends with 0.
ok()
{
	local name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		sed 's/^/# /' "$work/out" "$work/err" 2>/dev/null | head -30
		echo "not ok $n - $name"
		failed=1
	fi
}
skip()
{
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# run COMMAND...: its output in $work/out and $work/err, its status in $status.
run()
{
	"$@" >"$work/out" 2>"$work/err" </dev/null
	status=$?
}
out_has() { grep -q -- "$1" "$work/out"; }
err_has() { grep -q -- "$1" "$work/err"; }
# The host's own answer, without us.
host_answer() { "$plain" | cut -c1-3; }
as_host() { [ "$(cut -c1-3 "$work/out")" = "$(host_answer)" ]; }

head -c 300000 /dev/urandom >"$work/in"
copied() { [ "$status" -eq 0 ] && cmp -s "$work/in" "$work/copy"; }

dynamic_program__served()
{
	run "$uiommufd" run -- "$plain"
	[ "$status" -eq 0 ] && out_has '^yes' && [ ! -s "$work/err" ]
}
ok dynamic_program__served dynamic_program__served

static_program__warned_and_sees_the_host()
{
	run "$uiommufd" run -- "$plain_static"
	err_has 'warning: .* is statically linked' && as_host
}
if [ "$plain_static" = none ]; then
	skip static_program__warned_and_sees_the_host 'no static libc to link with'
else
	ok static_program__warned_and_sees_the_host static_program__warned_and_sees_the_host
fi

static_program_under_a_shell__sees_the_host_without_warning()
{
	run "$uiommufd" run -- sh -c "$plain_static"
	! err_has warning && as_host
}
if [ "$plain_static" = none ]; then
	skip static_program_under_a_shell__sees_the_host_without_warning 'no static libc to link with'
else
	ok static_program_under_a_shell__sees_the_host_without_warning \
		static_program_under_a_shell__sees_the_host_without_warning
fi

# The dynamic linker ignores LD_PRELOAD for a program that gains privileges.
setuid_program__sees_the_host()
{
	run setpriv --reuid=65534 --regid=65534 --clear-groups "$uiommufd" run -- "$work/setuid"
	as_host
}
if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
	skip setuid_program__sees_the_host 'only root can make a setuid program, and setpriv(1) is needed'
elif ! cp "$plain" "$work/setuid" || ! chmod 4755 "$work/setuid" ||
	! setpriv --reuid=65534 --regid=65534 --clear-groups \
		test -x "$(readlink -f "$uiommufd")" -a -r "$(readlink -f "$preload")"; then
	skip setuid_program__sees_the_host 'the build folder cannot be read by others'
elif grep -q ' nosuid' <(findmnt -no OPTIONS -T "$work" 2>/dev/null | tr , ' ' | sed 's/^/ /'); then
	skip setuid_program__sees_the_host "$work is mounted nosuid"
else
	ok setuid_program__sees_the_host setuid_program__sees_the_host
fi

environment_cleared__sees_the_host()
{
	run "$uiommufd" run -- env -i "$plain"
	as_host
}
ok environment_cleared__sees_the_host environment_cleared__sees_the_host

own_malloc__works()
{
	rm -f "$work/copy"
	run "$uiommufd" run -- "$iocopy_own" "$work/in" "$work/copy"
	copied
}
ok own_malloc__works own_malloc__works

# ---- sanitizers and tools ----

asan_program__as_it_is__asan_refuses_to_start()
{
	run "$uiommufd" run -- "$iocopy_asan" "$work/in" "$work/copy"
	[ "$status" -ne 0 ] && err_has 'ASan runtime does not come first'
}
asan_program__link_order_not_verified__works()
{
	rm -f "$work/copy"
	run env ASAN_OPTIONS=verify_asan_link_order=0 "$uiommufd" run -- "$iocopy_asan" "$work/in" "$work/copy"
	copied
}
asan_program__its_runtime_preloaded_first__works()
{
	rm -f "$work/copy"
	run "$uiommufd" run -- env LD_PRELOAD="$runtime:$preload" "$iocopy_asan" "$work/in" "$work/copy"
	copied
}
runtime=
[ "$iocopy_asan" = none ] || runtime=$(ldd "$iocopy_asan" | sed -n 's/.*=> \(.*libasan[^ ]*\).*/\1/p')
asan_program__static_runtime__works()
{
	run "$uiommufd" run -- "$iocopy_asan" "$work/in" "$work/copy"
	copied
}
if [ "$iocopy_asan" = none ]; then
	skip asan_program__works 'the compiler has no AddressSanitizer'
elif [ -z "$runtime" ]; then # clang links it into the program
	ok asan_program__static_runtime__works asan_program__static_runtime__works
else
	ok asan_program__as_it_is__asan_refuses_to_start asan_program__as_it_is__asan_refuses_to_start
	ok asan_program__link_order_not_verified__works asan_program__link_order_not_verified__works
	ok asan_program__its_runtime_preloaded_first__works asan_program__its_runtime_preloaded_first__works
fi

# ThreadSanitizer of these compilers wants a less random address layout than new kernels give.
tsan_program__works()
{
	rm -f "$work/copy"
	run setarch -R "$uiommufd" run -- "$iocopy_tsan" "$work/in" "$work/copy"
	copied
}
if [ "$iocopy_tsan" = none ] || ! setarch -R true 2>/dev/null; then
	skip tsan_program__works 'no ThreadSanitizer, or no way to turn address randomness off'
else
	ok tsan_program__works tsan_program__works
fi

# Without exact registers at each access, valgrind gives the emulation of a BAR access old ones.
valgrind__exact_registers__works_with_complaints()
{
	rm -f "$work/copy"
	run "$uiommufd" run -- valgrind --vex-iropt-register-updates=allregs-at-mem-access \
		"$iocopy" "$work/in" "$work/copy"
	copied && err_has 'memfd:vfio0'
}
if ! command -v valgrind >/dev/null; then
	skip valgrind__exact_registers__works_with_complaints 'valgrind is not installed'
elif valgrind -q "$iocopy" --help 2>&1 | grep -q 'debuginfo reader\|debug info' ||
	LD_PRELOAD=$preload valgrind -q true 2>&1 | grep -q 'debuginfo reader\|debug info'; then
	skip valgrind__exact_registers__works_with_complaints 'this valgrind cannot read what the compiler writes'
else
	ok valgrind__exact_registers__works_with_complaints valgrind__exact_registers__works_with_complaints
fi

gdb__segv_passed_on__works()
{
	rm -f "$work/copy"
	run "$uiommufd" run -- gdb -nx -batch -ex 'handle SIGSEGV nostop noprint pass' -ex run \
		--args "$iocopy" "$work/in" "$work/copy"
	copied
}
if ! command -v gdb >/dev/null; then
	skip gdb__segv_passed_on__works 'gdb is not installed'
else
	ok gdb__segv_passed_on__works gdb__segv_passed_on__works
fi

strace__works()
{
	rm -f "$work/copy"
	run "$uiommufd" run -- strace -f -o /dev/null "$iocopy" "$work/in" "$work/copy"
	copied
}
if ! command -v strace >/dev/null; then
	skip strace__works 'strace is not installed'
else
	ok strace__works strace__works
fi

# ---- options that are not there ----

option_refused()
{
	run "$uiommufd" run "$@" -- "$plain"
	[ "$status" -eq 125 ] && [ -s "$work/err" ] && ! out_has .
}
run_other_iommu__refused() { option_refused --iommu amdv1 && err_has "there is no IOMMU kind 'amdv1'"; }
run_other_device__refused() { option_refused --device nvme && err_has "there is no device model 'nvme'"; }
run_plugin__refused() { option_refused --device ./model.so && err_has "there is no device model"; }
run_test_abi__refused() { option_refused --test-abi && err_has 'is not an option'; }
run_host_pci__refused() { option_refused --host-pci && err_has 'is not an option'; }
run_poll_mode_of_ioat__refused() { option_refused --device ioat,bar0=poll && err_has 'cannot work in that mode'; }
for case in run_other_iommu__refused run_other_device__refused run_plugin__refused run_test_abi__refused \
	run_host_pci__refused run_poll_mode_of_ioat__refused; do
	ok $case $case
done

echo "1..$n"
exit $failed
