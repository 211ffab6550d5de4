/* SPDX-License-Identifier: MIT */
/*
 * Inside relocation: who may move frames, and which frames are being moved. Only for src/mem/.
 *
 * One mover at a time. It marks frames busy in every map (lookups answer nothing, pins wait, what
 * is unpinned is left to it), waits for the fence, does its work, and gives every frame that is
 * still pinned its new host address.
 */
#ifndef MEM_RELOC_H
#define MEM_RELOC_H

#include "mem/physmap_priv.h"

/* Consecutive pages that are moved together. */
struct run {
	struct run *next;
	uint64_t va;
	size_t npages;
	struct hidden *hidden;
};

struct runs {
	struct run *first, *tail;
};

/* registry.c */
/* While walking, maps stay. False at once when there is none. */
bool maps_walk_begin(void);
void maps_walk_end(void);
struct physmap *maps_first(void);      /* then physmap.next */
void reloc_begin(uint64_t *saved);     /* be the mover; signals are held off */
void reloc_end(const uint64_t *saved); /* wakes who waits for a frame */

/* reloc.c, the mover's: what is pinned in [va, last] goes to hidden memory. -ENOMEM. */
int reloc_away(uint64_t va, uint64_t last);
int refuse_inside(uint64_t va); /* why: -ENOMEM */

/* marks.c: the mover's. */
/* Some frame may have its bytes in [va, last]: quick, lock-free. Also for who is not the mover. */
bool marks_needed(uint64_t va, uint64_t last);
/* Some frame has: exact. Takes the maps' locks. */
bool marks_present(uint64_t va, uint64_t last);
/* Marks every frame with its bytes in [va, last]; @runs: where. -ENOMEM: marks_clear() then. */
int marks_set(uint64_t va, uint64_t last, struct runs *runs);
/* Everything marked there is as before. */
void marks_clear(uint64_t va, uint64_t last);
/*
 * Pins at [va, last], where frames are about to be moved, wait until marks_unhold(). Those before
 * are there to be seen: move them away afterwards. -ENOMEM: nothing is held.
 */
int marks_hold(uint64_t va, uint64_t last);
void marks_unhold(uint64_t va, uint64_t last);
void runs_free(struct runs *runs);
/*
 * The frame that has its bytes at page @p of @r: the page itself, or (@aliased) another. The map's
 * lock is held.
 */
struct region *frame_of(struct physmap *pm, struct region *r, uint32_t p, uint32_t *fp,
			bool *aliased);
/* It was marked there, not by way of another address. */
bool frame_marked(struct region *fr, uint32_t fp, bool aliased);
/* The frame of @va was marked and has no pin left: it goes. The map's lock is held. */
void frame_release(struct physmap *pm, struct region *fr, uint32_t fp, uint64_t va, bool aliased);
/* Whole pages of [va, va + len) below the identity window's end; false: there are none. */
bool page_range(uint64_t *va, uint64_t len, uint64_t *last);

#endif
