/* SPDX-License-Identifier: MIT */
/*
 * Where things are in PCI configuration space, and what their bits mean.
 *
 * Offsets are bytes from the start of configuration space, or, where the name carries a capability
 * (PM, MSI, MSIX, EXP, AF ...), from the start of that capability. All registers are little-endian.
 * Sources: PCI Local Bus 3.0 chapter 6 (the common header, MSI, MSI-X); PCI Bus Power Management
 * 1.2 chapter 3; PCI Express Base 5.0 chapter 7 (the express capability and the extended ones);
 * Conventional PCI Advanced Capabilities ECN (AF); PCI Code and ID Assignment (classes, ids).
 */
#ifndef ABI_PCI_H
#define ABI_PCI_H

#include <stdint.h>

#define PCI_CFG_SPACE_SIZE     256
#define PCI_CFG_SPACE_EXP_SIZE 4096

/* ---- the common header ----------------------------------------------------------------------- */

#define PCI_VENDOR_ID               0x00 /* 16 bits */
#define PCI_DEVICE_ID               0x02 /* 16 bits */
#define PCI_COMMAND                 0x04 /* 16 bits */
#define PCI_STATUS                  0x06 /* 16 bits */

#define PCI_COMMAND_IO              0x0001
#define PCI_COMMAND_MEMORY          0x0002
#define PCI_COMMAND_MASTER          0x0004
#define PCI_COMMAND_SPECIAL         0x0008
#define PCI_COMMAND_INVALIDATE      0x0010
#define PCI_COMMAND_VGA_PALETTE     0x0020
#define PCI_COMMAND_PARITY          0x0040
#define PCI_COMMAND_SERR            0x0100
#define PCI_COMMAND_FAST_BACK       0x0200
#define PCI_COMMAND_INTX_DISABLE    0x0400

#define PCI_STATUS_IMM_READY        0x0001
#define PCI_STATUS_INTERRUPT        0x0008
#define PCI_STATUS_CAP_LIST         0x0010
#define PCI_STATUS_66MHZ            0x0020
#define PCI_STATUS_FAST_BACK        0x0080
#define PCI_STATUS_PARITY           0x0100
#define PCI_STATUS_DEVSEL_MASK      0x0600
#define PCI_STATUS_SIG_TARGET_ABORT 0x0800
#define PCI_STATUS_REC_TARGET_ABORT 0x1000
#define PCI_STATUS_REC_MASTER_ABORT 0x2000
#define PCI_STATUS_SIG_SYSTEM_ERROR 0x4000
#define PCI_STATUS_DETECTED_PARITY  0x8000
#define PCI_STATUS_RW1C             0xf900 /* the error bits: written 1 clears */

#define PCI_CLASS_REVISION          0x08 /* 32 bits: class in the upper 24, revision in the lower 8 */
#define PCI_REVISION_ID             0x08
#define PCI_CLASS_PROG              0x09
#define PCI_CLASS_DEVICE            0x0a /* 16 bits: subclass, base class */

#define PCI_CACHE_LINE_SIZE         0x0c
#define PCI_LATENCY_TIMER           0x0d
#define PCI_HEADER_TYPE             0x0e
#define PCI_BIST                    0x0f

#define PCI_HEADER_TYPE_MASK        0x7f
#define PCI_HEADER_TYPE_NORMAL      0
#define PCI_HEADER_TYPE_BRIDGE      1
#define PCI_HEADER_TYPE_CARDBUS     2
#define PCI_HEADER_TYPE_MFD         0x80 /* the device has several functions */

/* ---- header type 0 --------------------------------------------------------------------------- */

#define PCI_BASE_ADDRESS_0             0x10
#define PCI_BASE_ADDRESS_1             0x14
#define PCI_BASE_ADDRESS_2             0x18
#define PCI_BASE_ADDRESS_3             0x1c
#define PCI_BASE_ADDRESS_4             0x20
#define PCI_BASE_ADDRESS_5             0x24
#define PCI_STD_NUM_BARS               6
#define PCI_BASE_ADDRESS(n)            (PCI_BASE_ADDRESS_0 + 4 * (n))

#define PCI_BASE_ADDRESS_SPACE         0x01u
#define PCI_BASE_ADDRESS_SPACE_IO      0x01u
#define PCI_BASE_ADDRESS_SPACE_MEMORY  0x00u
#define PCI_BASE_ADDRESS_MEM_TYPE_MASK 0x06u
#define PCI_BASE_ADDRESS_MEM_TYPE_32   0x00u
#define PCI_BASE_ADDRESS_MEM_TYPE_1M   0x02u
#define PCI_BASE_ADDRESS_MEM_TYPE_64   0x04u
#define PCI_BASE_ADDRESS_MEM_PREFETCH  0x08u
#define PCI_BASE_ADDRESS_MEM_MASK      (~0x0ful)
#define PCI_BASE_ADDRESS_IO_MASK       (~0x03ul)

#define PCI_CARDBUS_CIS                0x28
#define PCI_SUBSYSTEM_VENDOR_ID        0x2c
#define PCI_SUBSYSTEM_ID               0x2e
#define PCI_ROM_ADDRESS                0x30
#define PCI_ROM_ADDRESS_ENABLE         0x01u
#define PCI_ROM_ADDRESS_MASK           (~0x7fful)
#define PCI_CAPABILITY_LIST            0x34
#define PCI_INTERRUPT_LINE             0x3c
#define PCI_INTERRUPT_PIN              0x3d
#define PCI_MIN_GNT                    0x3e
#define PCI_MAX_LAT                    0x3f
#define PCI_STD_HEADER_SIZEOF          64

/* What an expansion ROM begins with. */
#define PCI_ROM_SIGNATURE 0xaa55

/* ---- capabilities ---------------------------------------------------------------------------- */

#define PCI_CAP_LIST_ID   0 /* 8 bits */
#define PCI_CAP_LIST_NEXT 1 /* 8 bits; the lower two are to be masked off, 0 ends the list */
#define PCI_CAP_FLAGS     2 /* 16 bits */
#define PCI_CAP_SIZEOF    4

#define PCI_CAP_ID_PM     0x01
#define PCI_CAP_ID_AGP    0x02
#define PCI_CAP_ID_VPD    0x03
#define PCI_CAP_ID_SLOTID 0x04
#define PCI_CAP_ID_MSI    0x05
#define PCI_CAP_ID_CHSWP  0x06 /* CompactPCI hot swap */
#define PCI_CAP_ID_PCIX   0x07
#define PCI_CAP_ID_HT     0x08
#define PCI_CAP_ID_VNDR   0x09
#define PCI_CAP_ID_DBG    0x0a
#define PCI_CAP_ID_CCRC   0x0b /* CompactPCI central resource control */
#define PCI_CAP_ID_SHPC   0x0c
#define PCI_CAP_ID_SSVID  0x0d
#define PCI_CAP_ID_AGP3   0x0e
#define PCI_CAP_ID_SECDEV 0x0f
#define PCI_CAP_ID_EXP    0x10
#define PCI_CAP_ID_MSIX   0x11
#define PCI_CAP_ID_SATA   0x12
#define PCI_CAP_ID_AF     0x13
#define PCI_CAP_ID_EA     0x14
#define PCI_CAP_ID_MAX    PCI_CAP_ID_EA

/* Power management. */
#define PCI_PM_PMC                2 /* 16 bits */
#define PCI_PM_CAP_VER_MASK       0x0007
#define PCI_PM_CAP_PME_CLOCK      0x0008
#define PCI_PM_CAP_DSI            0x0020
#define PCI_PM_CAP_AUX_POWER      0x01c0
#define PCI_PM_CAP_D1             0x0200
#define PCI_PM_CAP_D2             0x0400
#define PCI_PM_CAP_PME_MASK       0xf800
#define PCI_PM_CTRL               4      /* 16 bits */
#define PCI_PM_CTRL_STATE_MASK    0x0003 /* 0 is D0, 3 is D3hot */
#define PCI_PM_CTRL_NO_SOFT_RESET 0x0008
#define PCI_PM_CTRL_PME_ENABLE    0x0100
#define PCI_PM_CTRL_PME_STATUS    0x8000
#define PCI_PM_SIZEOF             8

/* Vital product data. */
#define PCI_VPD_ADDR       2 /* 16 bits */
#define PCI_VPD_ADDR_MASK  0x7fff
#define PCI_VPD_ADDR_F     0x8000
#define PCI_VPD_DATA       4 /* 32 bits */
#define PCI_CAP_VPD_SIZEOF 8

/* Message signalled interrupts. */
#define PCI_MSI_FLAGS         2 /* 16 bits */
#define PCI_MSI_FLAGS_ENABLE  0x0001
#define PCI_MSI_FLAGS_QMASK   0x000e /* log2 of the vectors the function can use */
#define PCI_MSI_FLAGS_QSIZE   0x0070 /* log2 of the vectors it may use */
#define PCI_MSI_FLAGS_64BIT   0x0080
#define PCI_MSI_FLAGS_MASKBIT 0x0100
#define PCI_MSI_ADDRESS_LO    4
#define PCI_MSI_ADDRESS_HI    8 /* with 64BIT, and then all that follows is 4 further on */
#define PCI_MSI_DATA_32       8 /* 16 bits */
#define PCI_MSI_MASK_32       12
#define PCI_MSI_PENDING_32    16
#define PCI_MSI_DATA_64       12 /* 16 bits */
#define PCI_MSI_MASK_64       16
#define PCI_MSI_PENDING_64    20
/* By 64BIT and MASKBIT. */
#define PCI_MSI_SIZEOF_32      10
#define PCI_MSI_SIZEOF_64      14
#define PCI_MSI_SIZEOF_32_MASK 20
#define PCI_MSI_SIZEOF_64_MASK 24

/* MSI-X. */
#define PCI_MSIX_FLAGS         2      /* 16 bits */
#define PCI_MSIX_FLAGS_QSIZE   0x07ff /* vectors, less one */
#define PCI_MSIX_FLAGS_MASKALL 0x4000
#define PCI_MSIX_FLAGS_ENABLE  0x8000
#define PCI_MSIX_TABLE         4
#define PCI_MSIX_TABLE_BIR     0x00000007u
#define PCI_MSIX_TABLE_OFFSET  0xfffffff8u
#define PCI_MSIX_PBA           8
#define PCI_MSIX_PBA_BIR       0x00000007u
#define PCI_MSIX_PBA_OFFSET    0xfffffff8u
#define PCI_CAP_MSIX_SIZEOF    12

/* One entry of the MSI-X table, in the BAR. */
#define PCI_MSIX_ENTRY_SIZE         16
#define PCI_MSIX_ENTRY_LOWER_ADDR   0x0
#define PCI_MSIX_ENTRY_UPPER_ADDR   0x4
#define PCI_MSIX_ENTRY_DATA         0x8
#define PCI_MSIX_ENTRY_VECTOR_CTRL  0xc
#define PCI_MSIX_ENTRY_CTRL_MASKBIT 0x1

/* Advanced features. */
#define PCI_AF_LENGTH     2
#define PCI_AF_CAP        3
#define PCI_AF_CAP_TP     0x01
#define PCI_AF_CAP_FLR    0x02
#define PCI_AF_CTRL       4
#define PCI_AF_CTRL_FLR   0x01
#define PCI_AF_STATUS     5
#define PCI_AF_STATUS_TP  0x01
#define PCI_CAP_AF_SIZEOF 6

/* PCI Express. */
#define PCI_EXP_FLAGS                  0x02 /* 16 bits */
#define PCI_EXP_FLAGS_VERS             0x000f
#define PCI_EXP_FLAGS_TYPE             0x00f0
#define PCI_EXP_FLAGS_SLOT             0x0100
#define PCI_EXP_FLAGS_IRQ              0x3e00
#define PCI_EXP_TYPE_ENDPOINT          0x0
#define PCI_EXP_TYPE_LEG_END           0x1
#define PCI_EXP_TYPE_ROOT_PORT         0x4
#define PCI_EXP_TYPE_UPSTREAM          0x5
#define PCI_EXP_TYPE_DOWNSTREAM        0x6
#define PCI_EXP_TYPE_PCI_BRIDGE        0x7
#define PCI_EXP_TYPE_RC_END            0x9 /* integrated in the root complex: no link registers */
#define PCI_EXP_TYPE_RC_EC             0xa

#define PCI_EXP_DEVCAP                 0x04 /* 32 bits */
#define PCI_EXP_DEVCAP_PAYLOAD         0x00000007u
#define PCI_EXP_DEVCAP_PHANTOM         0x00000018u
#define PCI_EXP_DEVCAP_EXT_TAG         0x00000020u
#define PCI_EXP_DEVCAP_L0S             0x000001c0u
#define PCI_EXP_DEVCAP_L1              0x00000e00u
#define PCI_EXP_DEVCAP_RBER            0x00008000u
#define PCI_EXP_DEVCAP_FLR             0x10000000u

#define PCI_EXP_DEVCTL                 0x08 /* 16 bits */
#define PCI_EXP_DEVCTL_CERE            0x0001
#define PCI_EXP_DEVCTL_NFERE           0x0002
#define PCI_EXP_DEVCTL_FERE            0x0004
#define PCI_EXP_DEVCTL_URRE            0x0008
#define PCI_EXP_DEVCTL_RELAX_EN        0x0010
#define PCI_EXP_DEVCTL_PAYLOAD         0x00e0
#define PCI_EXP_DEVCTL_EXT_TAG         0x0100
#define PCI_EXP_DEVCTL_PHANTOM         0x0200
#define PCI_EXP_DEVCTL_AUX_PME         0x0400
#define PCI_EXP_DEVCTL_NOSNOOP_EN      0x0800
#define PCI_EXP_DEVCTL_READRQ          0x7000
#define PCI_EXP_DEVCTL_BCR_FLR         0x8000 /* reads 0; written 1: reset this function */

#define PCI_EXP_DEVSTA                 0x0a /* 16 bits */
#define PCI_EXP_DEVSTA_CED             0x0001
#define PCI_EXP_DEVSTA_NFED            0x0002
#define PCI_EXP_DEVSTA_FED             0x0004
#define PCI_EXP_DEVSTA_URD             0x0008
#define PCI_EXP_DEVSTA_AUXPD           0x0010
#define PCI_EXP_DEVSTA_TRPND           0x0020

#define PCI_EXP_LNKCAP                 0x0c /* 32 bits */
#define PCI_EXP_LNKCAP_SLS             0x0000000fu
#define PCI_EXP_LNKCAP_MLW             0x000003f0u
#define PCI_EXP_LNKCAP_ASPMS           0x00000c00u
#define PCI_EXP_LNKCAP_PN              0xff000000u
#define PCI_EXP_LNKCTL                 0x10 /* 16 bits */
#define PCI_EXP_LNKSTA                 0x12 /* 16 bits */
#define PCI_EXP_LNKSTA_CLS             0x000f
#define PCI_EXP_LNKSTA_NLW             0x03f0
#define PCI_EXP_SLTCAP                 0x14
#define PCI_EXP_RTCTL                  0x1c

#define PCI_EXP_DEVCAP2                0x24 /* 32 bits */
#define PCI_EXP_DEVCAP2_COMP_TMOUT_DIS 0x00000010u
#define PCI_EXP_DEVCAP2_ARI            0x00000020u
#define PCI_EXP_DEVCAP2_ATOMIC_ROUTE   0x00000040u
#define PCI_EXP_DEVCAP2_ATOMIC_COMP32  0x00000080u
#define PCI_EXP_DEVCAP2_ATOMIC_COMP64  0x00000100u
#define PCI_EXP_DEVCAP2_ATOMIC_COMP128 0x00000200u
#define PCI_EXP_DEVCTL2                0x28 /* 16 bits */
#define PCI_EXP_DEVCTL2_COMP_TIMEOUT   0x000f
#define PCI_EXP_DEVCTL2_COMP_TMOUT_DIS 0x0010
#define PCI_EXP_DEVCTL2_ARI            0x0020
#define PCI_EXP_DEVCTL2_ATOMIC_REQ     0x0040
#define PCI_EXP_LNKCAP2                0x2c
#define PCI_EXP_LNKCTL2                0x30
#define PCI_EXP_LNKSTA2                0x32

/* Bytes of the capability an endpoint has, by version and by having a link. */
#define PCI_EXP_SIZEOF_ENDPOINT_V1 0x14
#define PCI_EXP_SIZEOF_RC_END_V1   0x0c
#define PCI_EXP_SIZEOF_ENDPOINT_V2 0x3c
#define PCI_EXP_SIZEOF_RC_END_V2   0x2c

/* ---- extended capabilities ------------------------------------------------------------------- */

#define PCI_EXT_CAP_START        0x100 /* the first one, if any: a zero word there means none */

#define PCI_EXT_CAP_ID(header)   ((header)&0x0000ffffu)
#define PCI_EXT_CAP_VER(header)  (((header) >> 16) & 0xfu)
#define PCI_EXT_CAP_NEXT(header) (((header) >> 20) & 0xffcu)
#define PCI_EXT_CAP_HEADER(id, ver, next) \
	((uint32_t)(id) | (uint32_t)(ver) << 16 | (uint32_t)(next) << 20)

#define PCI_EXT_CAP_ID_ERR     0x01
#define PCI_EXT_CAP_ID_VC      0x02
#define PCI_EXT_CAP_ID_DSN     0x03
#define PCI_EXT_CAP_ID_PWR     0x04
#define PCI_EXT_CAP_ID_RCLD    0x05
#define PCI_EXT_CAP_ID_RCILC   0x06
#define PCI_EXT_CAP_ID_RCEC    0x07
#define PCI_EXT_CAP_ID_MFVC    0x08
#define PCI_EXT_CAP_ID_VC9     0x09
#define PCI_EXT_CAP_ID_RCRB    0x0a
#define PCI_EXT_CAP_ID_VNDR    0x0b
#define PCI_EXT_CAP_ID_CAC     0x0c
#define PCI_EXT_CAP_ID_ACS     0x0d
#define PCI_EXT_CAP_ID_ARI     0x0e
#define PCI_EXT_CAP_ID_ATS     0x0f
#define PCI_EXT_CAP_ID_SRIOV   0x10
#define PCI_EXT_CAP_ID_MRIOV   0x11
#define PCI_EXT_CAP_ID_MCAST   0x12
#define PCI_EXT_CAP_ID_PRI     0x13
#define PCI_EXT_CAP_ID_AMD_XXX 0x14
#define PCI_EXT_CAP_ID_REBAR   0x15
#define PCI_EXT_CAP_ID_DPA     0x16
#define PCI_EXT_CAP_ID_TPH     0x17
#define PCI_EXT_CAP_ID_LTR     0x18
#define PCI_EXT_CAP_ID_SECPCI  0x19
#define PCI_EXT_CAP_ID_PMUX    0x1a
#define PCI_EXT_CAP_ID_PASID   0x1b
#define PCI_EXT_CAP_ID_DPC     0x1d
#define PCI_EXT_CAP_ID_L1SS    0x1e
#define PCI_EXT_CAP_ID_PTM     0x1f
#define PCI_EXT_CAP_ID_DVSEC   0x23

/* Address translation services. */
#define PCI_ATS_CAP            0x04 /* 16 bits */
#define PCI_ATS_CTRL           0x06 /* 16 bits */
#define PCI_ATS_CTRL_ENABLE    0x8000
#define PCI_EXT_CAP_ATS_SIZEOF 8

/* Page requests. */
#define PCI_PRI_CTRL           0x04 /* 16 bits */
#define PCI_PRI_CTRL_ENABLE    0x0001
#define PCI_PRI_CTRL_RESET     0x0002
#define PCI_PRI_STATUS         0x06 /* 16 bits */
#define PCI_PRI_STATUS_RF      0x0001
#define PCI_PRI_STATUS_UPRGI   0x0002
#define PCI_PRI_STATUS_STOPPED 0x0100
#define PCI_PRI_STATUS_PASID   0x8000
#define PCI_PRI_MAX_REQ        0x08
#define PCI_PRI_ALLOC_REQ      0x0c
#define PCI_EXT_CAP_PRI_SIZEOF 16

/* Process address spaces. */
#define PCI_PASID_CAP            0x04 /* 16 bits */
#define PCI_PASID_CAP_EXEC       0x0002
#define PCI_PASID_CAP_PRIV       0x0004
#define PCI_PASID_CAP_WIDTH      0x1f00
#define PCI_PASID_CTRL           0x06 /* 16 bits */
#define PCI_PASID_CTRL_ENABLE    0x0001
#define PCI_PASID_CTRL_EXEC      0x0002
#define PCI_PASID_CTRL_PRIV      0x0004
#define PCI_EXT_CAP_PASID_SIZEOF 8

/* Device serial number. */
#define PCI_DSN_LOWER          0x04
#define PCI_DSN_UPPER          0x08
#define PCI_EXT_CAP_DSN_SIZEOF 12

/* ---- ids ------------------------------------------------------------------------------------- */

#define PCI_BASE_CLASS_STORAGE    0x01
#define PCI_CLASS_STORAGE_NVME    0x0108   /* base class and subclass */
#define PCI_CLASS_STORAGE_EXPRESS 0x010802 /* with the programming interface */
#define PCI_CLASS_SYSTEM_OTHER    0x0880
#define PCI_CLASS_BRIDGE_HOST     0x0600
#define PCI_CLASS_BRIDGE_PCI      0x0604
#define PCI_VENDOR_ID_INTEL       0x8086

/* Device and function within a bus. */
#define PCI_DEVFN(slot, func) ((((slot)&0x1f) << 3) | ((func)&0x07))
#define PCI_SLOT(devfn)       (((devfn) >> 3) & 0x1f)
#define PCI_FUNC(devfn)       ((devfn)&0x07)

#endif
