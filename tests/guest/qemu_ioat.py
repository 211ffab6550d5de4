#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does an unmodified QEMU pass our I/OAT engine on to a guest whose kernel's driver can use it?

usage: qemu_ioat.py UIOMMUFD GUEST_DIR [QEMU]

A guest with Debian's kernel loads ioatdma, which copies by DMA and waits for the interrupt before it offers a
channel. Everything goes through QEMU's vfio-pci on /dev/iommu: config space, BAR, MSI-X, the map of guest memory.
Prints TAP; exit status 77 when QEMU or the guest cannot be had.
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def can_iommufd(qemu):
    try:
        out = subprocess.run([qemu, "-object", "help"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return "iommufd" in out.stdout


def boot(uiommufd, qemu, guest, device):
    cmd = [uiommufd, "run", "--explain", "--device", "ioat,bar0=trap", "--", qemu, "-machine", "q35", "-accel",
           "tcg", "-m", "512", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot", "-kernel",
           guest + "/vmlinuz", "-initrd", guest + "/initrd", "-append", "console=ttyS0 quiet",
           "-object", "iommufd,id=iommufd0", "-device", "pcie-root-port,id=rp,slot=1",
           "-device", "vfio-pci,bus=rp,iommufd=iommufd0," + device]
    run = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=180, check=False)
    text = run.stdout.decode(errors="replace").replace("\r", "")
    lines = [line[line.index("guest: ") + 7:] for line in text.split("\n") if "guest: " in line]
    return run.returncode, lines, text


def main():
    uiommufd, guest = sys.argv[1:3]
    qemu = sys.argv[3] if len(sys.argv) > 3 else "qemu-system-x86_64"
    if not can_iommufd(qemu):
        print("1..0 # SKIP %s has no -object iommufd (QEMU 9 and later have it)" % qemu)
        return 77
    os.makedirs(guest, exist_ok=True)
    made = subprocess.run([sys.executable, HERE + "/make_guest.py", guest], capture_output=True, text=True,
                          check=False)
    if made.returncode:
        print("1..0 # SKIP " + (made.stdout.strip() or made.stderr.strip().split("\n")[-1]))
        return 77
    n, failed = 0, 0
    for name, device in (("host", "host=0000:01:00.0"),
                         ("sysfsdev", "sysfsdev=/sys/bus/pci/devices/0000:01:00.0")):
        status, lines, text = boot(uiommufd, qemu, guest, device)
        checks = (("qemu__ends_well", status == 0 and "end" in lines),
                  ("guest__sees_the_function", any(line.startswith("pci ") and
                                                   line.endswith("0x8086 0x2021") for line in lines)),
                  ("ioatdma__self_test__offers_a_channel", any(line.startswith("channel dma") for line in lines)),
                  ("msix__self_test__interrupts_came", any(line.startswith("irq ") and int(line.split()[2]) > 0
                                                           for line in lines)),
                  ("ioatdma__no_complaint", not any(line.startswith("dmesg") for line in lines)),
                  ("no_dma_fault", "DMA fault" not in text))
        for what, good in checks:
            n += 1
            failed += not good
            print("%sok %d - %s__%s" % ("" if good else "not ", n, name, what))
        if failed:
            print("".join("# " + line + "\n" for line in text.split("\n")[-60:]))
    print("1..%d" % n)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
