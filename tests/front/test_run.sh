#!/bin/sh
# SPDX-License-Identifier: MIT
# Does `uiommufd run` behave as a parent should: status, signals, folder, words?
# usage: test_run.sh BUILD-DIR          prints TAP
set -u
build=$1
u=$build/uiommufd
iocopy=$build/examples/iocopy
work=$(mktemp -d "${TMPDIR:-/tmp}/front-run-XXXXXX")
trap 'rm -rf "$work" "$XDG_RUNTIME_DIR"' EXIT
# In memory, as a user's runtime directory is.
XDG_RUNTIME_DIR=$(mktemp -d /dev/shm/front-run-XXXXXX 2>/dev/null || mktemp -d "$work/runtime-XXXXXX")
export XDG_RUNTIME_DIR
n=0 bad=0

# is NAME CONDITION...: one case.
is()
{
	name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		bad=$((bad + 1))
	fi
}

# status WANT COMMAND...: output in $work/out and $work/err
status()
{
	want=$1
	shift
	"$@" >"$work/out" 2>"$work/err"
	got=$?
	[ "$got" -eq "$want" ] || { echo "# exit status $got instead of $want"; sed 's/^/# /' "$work/err"; false; }
}
says() { grep -q -- "$1" "$work/err" || { echo "# not said: $1"; sed 's/^/# /' "$work/err"; false; }; }
prints() { grep -q -- "$1" "$work/out" || { echo "# not printed: $1"; sed 's/^/# /' "$work/out"; false; }; }
folders() { find "$XDG_RUNTIME_DIR" -mindepth 1 -maxdepth 1 | wc -l; }
no_folder()
{
	i=0
	while [ "$(folders)" -ne 0 ]; do
		i=$((i + 1))
		[ $i -lt 100 ] || { echo "# left: $(ls "$XDG_RUNTIME_DIR")"; return 1; }
		sleep 0.05
	done
}

# ---- exit status ----
is run__true__0 status 0 "$u" run -- true
is run__false__1 status 1 "$u" run false
is run__exit_3__3 status 3 "$u" run -- sh -c 'exit 3'
is run__no_program__127 status 127 "$u" run -- "$work/nothing"
is run__no_program_in_path__127 status 127 "$u" run -- no-such-program-anywhere
touch "$work/data"
is run__not_executable__126 status 126 "$u" run -- "$work/data"
is run__killed_by_term__143 status 143 "$u" run -- sh -c 'kill -TERM $$'
is run__killed_by_segv__139 status 139 "$u" run -- sh -c 'kill -SEGV $$'
is run__without_arguments__125 status 125 "$u" run
is run__without_arguments__usage says 'usage: uiommufd run'
is run__unknown_option__125 status 125 "$u" run --frobnicate -- true
is run__unknown_option__named says "'--frobnicate' is not an option"
is run__unknown_kind__125 status 125 "$u" run --iommu nope -- true
is run__unknown_kind__named says "no IOMMU kind 'nope'"
is run__unknown_model__125 status 125 "$u" run --device=frob -- true
is run__unknown_model__named says "no device model 'frob'"
is run__bad_key__125 status 125 "$u" run --device ioat,colour=red -- true
is run__bad_key__named says "has no option 'colour=red'\|has no option 'colour'"
is run__bad_mode__125 status 125 "$u" run --device ioat,bar0=poll -- true
is run__bad_mode__named says 'bar0 of ioat cannot work in that mode'
is run__two_at_one_address__125 status 125 "$u" run --device ioat,addr=0000:05:00.0 --device ioat,addr=0000:05:00.0 -- true
is run__two_at_one_address__named says 'two devices have the address 0000:05:00.0'
is run__value_missing__125 status 125 "$u" run --device
is run__bad_privilege__125 status 125 "$u" run --privilege god -- true
is run__help__0 status 0 "$u" run --help
is run__help__usage prints 'usage: uiommufd run'
is run__options_of_the_program__its_own status 0 "$u" run -- sh -c '[ "$1" = --explain ]' x --explain

# A caller that ignores SIGCHLD, as some daemons do, hands that on to us.
is run__sigchld_ignored__0 status 0 timeout 10 python3 -c '
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])' "$u" run -- true
mkdir "$work/a b"
cp "$u" "$build/libuiommufd-preload.so" "$work/a b"
is run__space_in_our_path__0 status 0 "$work/a b/uiommufd" run -- test -c /dev/iommu
is run__space_in_our_path__not_a_word [ ! -s "$work/err" ]

# What a shell opens, another program reads: that must not be an endless file.
is run__inherited_iommufd__empty status 0 timeout 10 "$u" run -- sh -c 'head -c 10 </dev/iommu >"$0"; test ! -s "$0"' "$work/inherited"

# ---- the folder ----
is run__runtime_dir_unwritable__elsewhere status 0 env XDG_RUNTIME_DIR=/proc "$u" run -- test -c /dev/iommu
is run__afterwards__no_folder no_folder
is run__during__one_private_folder status 0 "$u" run -- sh -c '
	[ "$(ls "$XDG_RUNTIME_DIR" | wc -l)" -eq 1 ] && [ "$(stat -c %a "$XDG_RUNTIME_DIR"/*)" = 700 ]'
date +%s >"$work/before"
"$u" run -- sh -c 'exec 3>&-; sleep 2 >/dev/null 2>&1 </dev/null &' 3>&1 >/dev/null | cat
is run__child_left_behind__pipes_are_let_go [ $(($(date +%s) - $(cat "$work/before"))) -lt 2 ]
is run__child_left_behind__no_folder no_folder
is run__child_left_behind__folder_stays status 0 "$u" run -- sh -c '
	(sleep 1; ls /dev/vfio/devices >"$0/late") >/dev/null 2>&1 & exit 0' "$work"
is run__child_left_behind__still_there [ "$(folders)" -eq 1 ]
sleep 1.5
is run__child_left_behind__saw_its_devices grep -q vfio0 "$work/late"
is run__child_left_behind__folder_goes_at_last no_folder
is run__program_killed__no_folder status 137 "$u" run -- sh -c 'kill -KILL $$'
is run__program_killed__folder_gone no_folder
"$u" run -- sleep 60 &
pid=$!
while [ "$(folders)" -eq 0 ]; do sleep 0.02; done
sleep 0.1
stale=$(ls -d "$XDG_RUNTIME_DIR"/*)
child=$(ps -o pid= --ppid $pid)
kill -KILL $pid $child
wait $pid 2>/dev/null
is run__killed_itself__folder_left [ -d "$stale" ]
is run__next_one__leaves_the_young_one status 0 "$u" run -- test -d "$stale"
touch -d '2 hours ago' "$stale/lock" # only ctime counts: it stays
is run__next_one__by_time_of_change status 0 "$u" run -- test -d "$stale"
rm -rf "$stale"

# ---- signals ----
cat >"$work/on-signal" <<'END'
trap 'echo got-$1; exit 9' $1
echo ready
i=0; while [ $i -lt 200 ]; do sleep 0.05; i=$((i + 1)); done
END
for s in TERM HUP INT USR1 USR2; do
	rm -f "$work/sig"
	"$u" run -- sh "$work/on-signal" $s >"$work/sig" 2>/dev/null &
	pid=$!
	i=0
	until grep -q ready "$work/sig" 2>/dev/null || [ $i -gt 500 ]; do sleep 0.02; i=$((i + 1)); done
	kill -$s $pid
	wait $pid
	got=$?
	# A shell without job control starts background programs with SIGINT ignored.
	[ $s = INT ] && ! grep -q got-INT "$work/sig" && { kill $pid 2>/dev/null; continue; }
	is "run__${s}__passed_on" grep -q "got-$s" "$work/sig"
	is "run__${s}__status_of_the_program" [ $got -eq 9 ]
done
is run__signals__no_folder no_folder

# ---- the main job ----
head -c 3000001 /dev/urandom >"$work/in"
is iocopy__default_machine__0 status 0 "$u" run -- "$iocopy" "$work/in" "$work/copy"
is iocopy__default_machine__same_bytes cmp "$work/in" "$work/copy"
rm -f "$work/copy"
is iocopy__bug__3 status 3 "$u" run --explain -- "$iocopy" --bug "$work/in" "$work/copy"
is iocopy__bug__explained says 'DMA fault 1: 0000:01:00.0: DMA write of .* at IOVA 0x.*: no mapping'
is iocopy__by_hand__0 status 0 env UIOMMUFD='iommu=vtd;device=ioat' \
	LD_PRELOAD="$build/libuiommufd-preload.so" "$iocopy" "$work/in" "$work/copy"
is iocopy__by_hand__same_bytes cmp "$work/in" "$work/copy"
is iocopy__by_hand__no_folder no_folder
is by_hand__bad_config__tells status 0 env UIOMMUFD='iommu=nope' \
	LD_PRELOAD="$build/libuiommufd-preload.so" sh -c 'test ! -e /dev/iommu'
is by_hand__bad_config__in_words says "UIOMMUFD.*no IOMMU kind 'nope'"
is iocopy__picture__0 status 0 "$u" run --picture -- "$iocopy" "$work/in" "$work/copy"
is iocopy__picture__drawn says '^IOVA space of ioas'
is iocopy__second_device__0 status 0 "$u" run --device ioat,addr=0000:81:00.0,group=7 --device ioat \
	-- sh -c "ls -l /sys/bus/pci/devices && $iocopy $work/in $work/copy"
is iocopy__second_device__both_there prints '0000:81:00.0'
is iocopy__second_device__named_by_place prints '0000:02:00.0'
is iocopy__group__as_told status 0 "$u" run --device ioat,group=7 -- \
	sh -c '[ "$(basename "$(readlink -f /sys/bus/pci/devices/0000:01:00.0/iommu_group)")" = 7 ]'
is iocopy__trap__no_mmap status 1 "$u" run --explain --device ioat,bar0=trap -- "$iocopy" "$work/in" "$work/copy"
is iocopy__trap__told says 'mmap on descriptor .*: EINVAL: '
is iocopy__privilege_user__limit_applies status 1 sh -c "ulimit -l 64; $u run --explain --privilege user -- \
	setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock $iocopy $work/in $work/copy"
is iocopy__privilege_user__told says 'ENOMEM: '
is iocopy__privilege_root__no_limit status 0 sh -c "ulimit -l 64; $u run -- $iocopy $work/in $work/copy"

# ---- other programs ----
is shell__looks_around__0 status 0 "$u" run -- sh -c '
	set -e
	cat /sys/bus/pci/devices/*/vendor /sys/class/vfio-dev/vfio0/dev
	test -c /dev/iommu; test -c /dev/vfio/devices/vfio0; test ! -e /dev/vfio/devices/vfio1
	cd /sys/bus/pci/devices; ls -l; find /dev/vfio -type c
	ls -lR /dev/vfio'
is shell__looks_around__nothing_said [ ! -s "$work/err" ]
is static_program__warned status 0 "$u" run -- sh -c 'true'
is preload__beside_another__both status 0 env LD_PRELOAD=libcmocka.so.0 "$u" run -- sh -c '
	case $LD_PRELOAD in *libuiommufd-preload.so:libcmocka.so.0) ;; *) exit 1 ;; esac'

# ---- list ----
is list__text__0 status 0 "$u" list
is list__text__models prints 'ioat'
is list__json__0 status 0 "$u" list --json
is list__json__valid python3 -c '
import json, sys
d = json.load(open(sys.argv[1]))
assert any(m["name"] == "ioat" and m["bars"] for m in d["devices"]) and any(k["name"] == "vtd" for k in d["iommus"])
' "$work/out"
is list__wrong_argument__125 status 125 "$u" list --frob
is list__help__0 status 0 "$u" list --help
is command__alone__125 status 125 "$u"
is command__help__0 status 0 "$u" --help
is command__version__0 status 0 "$u" --version
is command__unknown_verb__125 status 125 "$u" frob
is command__unknown_verb__named says "no verb 'frob'"

# ---- speed ----
# Processor time, because other tests run beside this one.
best=$(python3 -c '
import os, subprocess, sys, time
wall = cpu = 9
for i in range(15):
    w, c = time.perf_counter(), os.times()
    subprocess.run([sys.argv[1], "run", "--", "true"])
    d = os.times()
    wall = min(wall, time.perf_counter() - w)
    cpu = min(cpu, d.children_user + d.children_system - c.children_user - c.children_system)
print(int(wall * 1e6), int(cpu * 1e6))' "$u")
echo "# run -- true: $best us at best, of the clock and of the processor"
is run__true__under_30_ms [ "${best#* }" -lt 30000 ]

echo "1..$n"
[ $bad -eq 0 ]
