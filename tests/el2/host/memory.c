/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's own stage 2: filled by its aborts, closed where EL2 is. */
#include "host.h"

#define EC_FETCH_SAME UINT64_C(0x21)
#define EC_DATA_SAME  UINT64_C(0x25)
#define IL	      (UINT64_C(1) << 25)
#define WNR	      (UINT64_C(1) << 6)
#define EXTERNAL      UINT64_C(0x10)

struct range {
	uint64_t from, to;
};
static struct range own[3];

static void ask_what_is_own(void)
{
	for (unsigned i = 0; i < 3; i++) {
		struct answer a = IMAGE(CALL_OWN, i);

		own[i] = (struct range){(uint64_t)a.code, (uint64_t)a.code + a.x[0]};
		assert_true(a.x[0] > 0);
	}
}

/* Where what [at, ...) is, EL2's or not, ends; *mine says which. */
static uint64_t end_of(uint64_t at, bool *mine)
{
	uint64_t end = RAM_END;

	*mine = false;
	for (unsigned i = 0; i < 3; i++) {
		if (at >= own[i].from && at < own[i].to) {
			*mine = true;
			return own[i].to;
		}
		if (own[i].from > at && own[i].from < end)
			end = own[i].from;
	}
	return end;
}

uint64_t host_pieces(void (*look)(uint64_t at, uint64_t size))
{
	uint64_t n = 0, end;
	bool mine;

	ask_what_is_own();
	for (uint64_t at = RAM; at < RAM_END; at = end) {
		end = end_of(at, &mine);
		for (uint64_t size; !mine && at < end; at += size, n++) {
			size = at % BLOCK == 0 && end - at >= BLOCK ? BLOCK : PAGE;
			look(at, size);
		}
	}
	return n;
}

static uint64_t wrong;

/* At its ends and in the middle: a smaller piece, or one of another size beside it, would take an
 * abort more. Four CPUs load all of it (races.c). */
static void load_piece(uint64_t at, uint64_t size)
{
	wrong += !host_load(at) + !host_load(at + size / 2) + !host_load(at + size - 8);
}

static void memory_comes_in_the_largest_blocks(void **state)
{
	uint64_t pieces = host_pieces(load_piece);

	(void)state;
	assert_int_equal(wrong, 0);
	/* And the devices: the console is one GiB block. */
	assert_int_equal(IMAGE(CALL_ABORTS, 0).code, pieces + 1);
	print_message("%lu aborts for %lu MiB\n", pieces + 1, (RAM_END - RAM) >> 20);
}

static void el2s_memory_is_out_of_reach(void **state)
{
	struct host_cpu *self = host_self();

	(void)state;
	ask_what_is_own();
	for (unsigned i = 0; i < 3; i++)
		for (uint64_t at = own[i].from; at < own[i].to;
		     at += (own[i].to - at > BLOCK ? BLOCK : PAGE)) {
			int64_t before = IMAGE(CALL_WORD, at).code;

			assert_false(host_load(at));
			assert_int_equal(self->esr, EC_DATA_SAME << 26 | IL | EXTERNAL);
			assert_int_equal(self->far, at);
			assert_false(host_store(at, 0x5a5a));
			assert_int_equal(self->esr, EC_DATA_SAME << 26 | IL | WNR | EXTERNAL);
			assert_int_equal(IMAGE(CALL_WORD, at).code, before);
		}
	assert_false(host_exec(own[0].from));
	assert_int_equal(self->esr, EC_FETCH_SAME << 26 | IL | EXTERNAL);
	assert_int_equal(self->far, own[0].from);
}

static void a_device_is_not_executed(void **state)
{
	struct host_cpu *self = host_self();

	(void)state;
	assert_true(host_load(UART + 0xfe0));
	assert_false(host_exec(UART));
	assert_int_equal(self->esr, EC_FETCH_SAME << 26 | IL | EXTERNAL);
	assert_int_equal(self->far, UART);
	assert_true(host_load(UART + 0xfe0));
}

static void what_the_host_has_not_is_undefined(void **state)
{
	(void)state;
	assert_false(host_undefined()); /* a register of EL2 */
	assert_int_equal(host_smc(PT_EL2_PSCI_VERSION, 0, 0, 0), 0x10001);
	assert_int_equal(host_smc(UINT64_C(0x84000008), 0, 0, 0), (uint64_t)-1);
	assert_int_equal(host_smc(PT_EL2_PSCI_CPU_ON, HOST_CPUS, 0, 0), (uint64_t)-2);
	assert_int_equal(host_smc(PT_EL2_PSCI_CPU_ON, UINT64_MAX, 0, 0), (uint64_t)-2);
	assert_int_equal(host_smc(PT_EL2_PSCI_CPU_ON, 0, 0, 0), (uint64_t)-4);
	EXPECT(PT_HVC_NO_FUNCTION, host_call(PT_HVC(PT_HVC_EXIT), (const uint64_t[5]){0}));
	EXPECT(PT_HVC_NO_FUNCTION, host_call(0, (const uint64_t[5]){0}));
}

const struct CMUnitTest host_memory_tests[] = {
	cmocka_unit_test(memory_comes_in_the_largest_blocks),
	cmocka_unit_test(el2s_memory_is_out_of_reach),
	cmocka_unit_test(a_device_is_not_executed),
	cmocka_unit_test(what_the_host_has_not_is_undefined),
};
const size_t host_memory_count = sizeof(host_memory_tests) / sizeof(host_memory_tests[0]);
