// SPDX-License-Identifier: MIT
/* Do I/OAT descriptors move exactly the bytes they say, along the chain they say? */
#include "tests/unit/devices/ioat_rig.h"

static void copy__every_size_and_alignment__exact(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 63, 64, 65, 4095, 4096, 4097 };
	struct rig *r = *state;

	for (size_t k = 0; k < 8; k++)
		for (unsigned so = 0; so < 64; so += k < 5 ? 1 : 7)
			for (unsigned to = 0; to < 64; to += k < 5 ? 1 : 9) {
				uint32_t n = sizes[k];

				memset(r->dst, 0xee, n + 128);
				rig_desc(r, 0, 0, DST + 64 + to, SRC + so, n);
				rig_arm(r, 0);
				kick(r, 1);
				assert_int_equal(sts(r), at(0) | ST_IDLE);
				assert_memory_equal(r->dst + 64 + to, r->src + so, n);
				assert_int_equal(r->dst[63 + to], 0xee);
				assert_int_equal(r->dst[64 + to + n], 0xee);
			}
}

static void copy__as_long_as_xfercap__exact(void **state)
{
	struct rig *r = *state;

	for (unsigned off = 0; off < 64; off += 21) {
		memset(r->dst, 0, BUF_LEN);
		rig_desc(r, 0, 0, DST + off, SRC + 5, 1u << 20);
		rig_arm(r, 0);
		kick(r, 1);
		assert_int_equal(sts(r), at(0) | ST_IDLE);
		assert_memory_equal(r->dst + off, r->src + 5, 1u << 20);
		assert_int_equal(r->dst[off + (1u << 20)], 0);
	}
}

static void copy__across_mappings__exact(void **state)
{
	struct rig *r = *state;
	static unsigned char a[4096], b[4096];

	/* Neighbours in IOVA space, elsewhere in memory, in the other order. */
	fake_map(r->dev, 0x5000000, b, sizeof(b), FAKE_RW);
	fake_map(r->dev, 0x5001000, a, sizeof(a), FAKE_RW);
	rig_desc(r, 0, 0, 0x5000800, SRC, 4096);
	rig_desc(r, 1, 0, DST + 3, 0x5000800, 4096);
	rig_arm(r, 0);
	kick(r, 2);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	assert_memory_equal(b + 0x800, r->src, 0x800);
	assert_memory_equal(a, r->src + 0x800, 0x800);
	assert_memory_equal(r->dst + 3, r->src, 4096);
}

static void fill__any_length__pattern_and_no_byte_more(void **state)
{
	static const uint32_t sizes[] = { 1, 7, 8, 50, 64, 89, 100, 1024, 65536 + 3, 1u << 20 };
	static const uint64_t pattern = 0x8877665544332211;
	struct rig *r = *state;

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++)
		for (unsigned off = 1; off < 10; off += 4) {
			memset(r->dst, 0xee, sizes[k] + 16);
			rig_desc(r, 0, CTL_FILL, DST + off, pattern, sizes[k]);
			rig_arm(r, 0);
			kick(r, 1);
			assert_int_equal(sts(r), at(0) | ST_IDLE);
			for (uint32_t i = 0; i < sizes[k]; i++)
				assert_int_equal(r->dst[off + i],
						 (unsigned char)(pattern >> (i % 8 * 8)));
			assert_int_equal(r->dst[off - 1], 0xee);
			assert_int_equal(r->dst[off + sizes[k]], 0xee);
		}
}

static void null__addresses_0__completes_without_touching_them(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 8, UINT32_MAX };
	struct rig *r = *state;

	for (size_t k = 0; k < 4; k++) {
		*r->comp = 0;
		atomic_store(&r->dev->irqs, 0);
		fake_log_clear(r->dev);
		rig_desc(r, 0, CTL_NULL | CTL_INT | CTL_COMP, 0, 0, sizes[k]);
		rig_arm(r, 1);
		kick(r, 1);
		assert_int_equal(sts(r), at(0) | ST_IDLE);
		assert_int_equal(*r->comp, at(0) | ST_IDLE);
		assert_int_equal(r->dev->irqs, 1);
		assert_int_equal(fake_count(r->dev, FAKE_EV_COPY), 0);
		assert_int_equal(r->dev->faults, 0);
	}
}

static void chain__self_linked_65535__that_many_copies(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, 0, DST, SRC, 64)->next = at(0);
	rig_arm(r, 9);
	kick(r, 65535);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	assert_int_equal(r->dev->dma_ops, 2 * 65535);
	assert_int_equal(fake_load(r->dev, R_DMACOUNT, 2), 65535);
	assert_memory_equal(r->dst, r->src, 64);
}

static void chain__same_chainaddr_and_count_1000_times__copies_each_time(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, 0, DST, SRC, 64)->next = at(0);
	for (unsigned i = 0; i < 1000; i++) {
		r->src[0] = (unsigned char)i;
		fake_store(r->dev, R_CHAINADDR, 8, at(0));
		fake_store(r->dev, R_CHANCTRL, 2, 9);
		kick(r, 1);
		assert_int_equal(sts(r), at(0) | ST_IDLE);
		assert_int_equal(r->dst[0], (unsigned char)i);
		cmd(r, CMD_SUSPEND);
		assert_int_equal(sts(r), at(0) | ST_SUSPENDED);
	}
	assert_int_equal(r->dev->kicks, 1000);
}

static void chain__ring_of_4096__wraps_for_300000_operations(void **state)
{
	struct rig *r = *state;
	uint16_t head = 0;

	for (unsigned i = 0; i < RING_LEN; i++)
		rig_desc(r, i, 0, DST + 8 * i, SRC + 8 * i, 8);
	rig_arm(r, 0);
	for (unsigned total = 0; total < 300000;) {
		unsigned batch = 1 + total * 7 % 4000, last = total + batch - 1;

		r->ring[last % RING_LEN].ctl = CTL_COMP; /* of a descriptor linked long ago */
		head = (uint16_t)(head + batch);
		kick(r, head);
		total += batch;
		assert_int_equal(*r->comp, at(last % RING_LEN) | ST_IDLE);
		assert_int_equal(sts(r), at(last % RING_LEN) | ST_IDLE);
		assert_int_equal(r->dev->dma_ops, 2 * total + r->dev->kicks);
		r->ring[last % RING_LEN].ctl = 0;
	}
	assert_memory_equal(r->dst, r->src, 8 * RING_LEN);
}

static void chain__kicked_again__continues_from_next(void **state)
{
	struct rig *r = *state;

	for (unsigned i = 0; i < 4; i++)
		rig_desc(r, i, 0, DST + 64 * i, SRC + 64 * i, 64);
	r->ring[1].next = at(3); /* read when 1 is executed */
	rig_arm(r, 0);
	kick(r, 2);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	kick(r, 3);
	assert_int_equal(sts(r), at(3) | ST_IDLE);
	assert_int_equal(fake_load(r->dev, R_CDAR, 8), at(3));
	assert_memory_equal(r->dst + 192, r->src + 192, 64);
	assert_int_equal(r->dst[128], 0);
}

static void chain__beyond_the_last__is_not_fetched(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, 0, DST, SRC, 64);
	rig_desc(r, 1, 0, DST, SRC, 64)->next = 0xdead000; /* unmapped */
	rig_arm(r, 0);
	kick(r, 2);
	assert_int_equal(sts(r), at(1) | ST_IDLE);
	assert_int_equal(r->dev->faults, 0);
	assert_int_equal(fake_count(r->dev, FAKE_EV_READ), 2);
	assert_int_equal(r->dev->log[2].iova, at(1));
}

static void chain__descriptors__are_not_modified(void **state)
{
	struct rig *r = *state;
	struct desc before[8];

	fake_unmap(r->dev, RING);
	fake_map(r->dev, RING, r->ring, RING_LEN * 64, FAKE_RW);
	for (unsigned i = 0; i < 8; i++)
		rig_desc(r, i, CTL_COMP | CTL_INT, DST, SRC, 64);
	r->ring[7].size = 0; /* an error */
	memcpy(before, r->ring, sizeof(before));
	rig_arm(r, 0x1d);
	kick(r, 8);
	assert_int_equal(sts(r), at(6) | ST_HALTED);
	assert_memory_equal(before, r->ring, sizeof(before));
}

static void chain__fence__later_sees_earlier(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_FENCE, DST, SRC, 4096);
	rig_desc(r, 1, CTL_FENCE, DST + 8192, DST, 4096);
	rig_desc(r, 2, 0, DST + 16384, DST + 8192, 4096);
	rig_arm(r, 0);
	kick(r, 3);
	assert_memory_equal(r->dst + 16384, r->src, 4096);
}

static void hints__set__ignored(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, 0x2 | 0x4 | 0x100 | 0x200 | 0x400 | 0x00fff800, DST, SRC, 100);
	rig_arm(r, 0);
	kick(r, 1);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	assert_memory_equal(r->dst, r->src, 100);
}

static void page_break__copy__goes_on_at_the_second_page(void **state)
{
	struct rig *r = *state;
	struct desc *d;

	/* Source: 0x180 bytes to its page end, then 0x40; destination: 0x80, then 0x140. */
	d = rig_desc(r, 0, CTL_SRC_BREAK | CTL_DST_BREAK, DST + 0xf80, SRC + 0xe80, 0x1c0);
	d->src2 = SRC + 0x5000;
	d->dst2 = DST + 0x8000;
	rig_arm(r, 0);
	kick(r, 1);
	assert_int_equal(sts(r), at(0) | ST_IDLE);
	assert_memory_equal(r->dst + 0xf80, r->src + 0xe80, 0x80);
	assert_memory_equal(r->dst + 0x8000, r->src + 0xf00, 0x100);
	assert_memory_equal(r->dst + 0x8100, r->src + 0x5000, 0x40);
	assert_int_equal(r->dst[0x1000], 0);
	assert_int_equal(r->dst[0x8140], 0);
}

static void page_break__fill__keeps_the_phase(void **state)
{
	struct rig *r = *state;

	rig_desc(r, 0, CTL_FILL | CTL_DST_BREAK, DST + 0xffd, 0x8877665544332211, 10)->dst2 =
		DST + 0x3000;
	rig_arm(r, 0);
	kick(r, 1);
	assert_memory_equal(r->dst + 0xffd, "\x11\x22\x33\x00", 4);
	assert_memory_equal(r->dst + 0x3000, "\x44\x55\x66\x77\x88\x11\x22\x00", 8);
}

static void page_break__more_than_two_pages__length_error(void **state)
{
	static const uint32_t bits[] = { CTL_SRC_BREAK, CTL_DST_BREAK, CTL_FILL | CTL_DST_BREAK };
	struct rig *r = *state;

	for (size_t i = 0; i < 3; i++)
		for (unsigned more = 0; more < 2; more++) {
			struct desc *d =
				rig_desc(r, 0, bits[i], DST + 0xf00, SRC + 0xf00, 0x1100 + more);

			d->src2 = SRC + 0x4000;
			d->dst2 = DST + 0x4000;
			rig_arm(r, 0);
			kick(r, 1);
			assert_int_equal(err(r), more ? 0x800 : 0);
			assert_int_equal(sts(r) & 7, more ? ST_HALTED : ST_IDLE);
			recover(r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_rig(copy__every_size_and_alignment__exact),
		in_rig(copy__as_long_as_xfercap__exact),
		in_rig(copy__across_mappings__exact),
		in_rig(fill__any_length__pattern_and_no_byte_more),
		in_rig(null__addresses_0__completes_without_touching_them),
		in_rig(chain__self_linked_65535__that_many_copies),
		in_rig(chain__same_chainaddr_and_count_1000_times__copies_each_time),
		in_rig(chain__ring_of_4096__wraps_for_300000_operations),
		in_rig(chain__kicked_again__continues_from_next),
		in_rig(chain__beyond_the_last__is_not_fetched),
		in_rig(chain__descriptors__are_not_modified),
		in_rig(chain__fence__later_sees_earlier),
		in_rig(hints__set__ignored),
		in_rig(page_break__copy__goes_on_at_the_second_page),
		in_rig(page_break__fill__keeps_the_phase),
		in_rig(page_break__more_than_two_pages__length_error),
	};

	return cmocka_run_group_tests_name("ioat_data", tests, NULL, NULL);
}
