#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a small Linux guest out of Debian packages: Debian's kernel, busybox, and the I/OAT driver.

usage: make_guest.py DIR

Downloads with apt-get (no root needed), unpacks into DIR, and writes DIR/vmlinuz and DIR/initrd. Does
nothing when they are there. Exit status: 0; 77 when the packages cannot be had.
"""
import glob
import gzip
import lzma
import os
import shutil
import subprocess
import sys

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
say() { echo "guest: $*"; }
for m in dca ioatdma; do
	[ -e /lib/$m.ko ] && { $b insmod /lib/$m.ko || say "insmod $m failed"; }
done
$b sleep 1
for d in /sys/bus/pci/devices/*; do say pci $($b basename $d) $($b cat $d/vendor) $($b cat $d/device); done
for c in /sys/class/dma/*; do [ -e $c ] && say channel $($b basename $c); done
$b grep ioat-msix /proc/interrupts | $b sed 's/^/guest: irq /'
$b dmesg | $b grep -iE 'ioat.*(error|fail|unreach|time|self)' | $b sed 's/^/guest: dmesg /'
say end
$b poweroff -f
"""


def package_of(pattern):
    """The versioned package behind linux-image-amd64."""
    out = subprocess.run(["apt-cache", "depends", pattern], capture_output=True, text=True, check=False).stdout
    for line in out.splitlines():
        if "Depends: linux-image-" in line and "unsigned" not in line:
            return line.split("Depends:")[1].strip()
    return None


def fetch(work, name):
    subprocess.run(["apt-get", "download", name], cwd=work, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    deb = glob.glob(os.path.join(work, name.split(":")[0] + "_*.deb"))[0]
    subprocess.run(["dpkg-deb", "-x", deb, work], check=True)
    os.unlink(deb)


def newc(entries):
    """A cpio archive of (name, mode, bytes)."""
    out = bytearray()
    for ino, (name, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        head = "070701" + "".join("%08x" % v for v in (ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                                                       len(name) + 1, 0))
        out += head.encode() + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def module(root, name):
    for path in glob.glob(root + "/**/" + name + ".ko*", recursive=True):
        with open(path, "rb") as f:
            data = f.read()
        return lzma.decompress(data) if path.endswith(".xz") else data
    return None


def main():
    out = sys.argv[1]
    if os.path.exists(out + "/vmlinuz") and os.path.exists(out + "/initrd"):
        return 0
    work = out + "/unpacked"
    os.makedirs(work, exist_ok=True)
    kernel = package_of("linux-image-amd64")
    try:
        if not kernel:
            raise OSError("apt knows no linux-image-amd64")
        fetch(work, kernel)
        fetch(work, "busybox-static")
    except (OSError, IndexError, subprocess.CalledProcessError) as e:
        print("the guest's packages cannot be downloaded: %s" % e)
        return 77
    busybox = next(p for p in (work + "/bin/busybox", work + "/usr/bin/busybox") if os.path.exists(p))
    entries = [(d, 0o40755, b"") for d in ("bin", "dev", "lib", "proc", "sys")]
    with open(busybox, "rb") as f:
        entries.append(("bin/busybox", 0o100755, f.read()))
    entries.append(("init", 0o100755, INIT.encode()))
    for name in ("dca", "ioatdma"):
        data = module(work, name)
        if data:
            entries.append(("lib/" + name + ".ko", 0o100644, data))
    with gzip.open(out + "/initrd.new", "wb") as f:
        f.write(newc(entries))
    shutil.copy(glob.glob(work + "/boot/vmlinuz-*")[0], out + "/vmlinuz.new")
    os.rename(out + "/initrd.new", out + "/initrd")
    os.rename(out + "/vmlinuz.new", out + "/vmlinuz")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
