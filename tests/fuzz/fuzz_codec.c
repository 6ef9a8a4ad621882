/* SPDX-License-Identifier: BSD-2-Clause */
/* Fuzz target: the small encodings, each against a plain decoder or a property: timeouts, percent,
 * base64, UTF-8, varints, statuses, page tokens and names. */
#include "fuzz.h"

#include "codec.h"
#include "handlers.h"
#include "names.h"
#include "status.h"

#include "ptd/v1/machine.pb-c.h"

static void timeout(const uint8_t *data, size_t length)
{
	static const char units[] = "HMSmun";
	static const uint64_t ns[] = {3600000000000, 60000000000, 1000000000, 1000000, 1000, 1};
	uint64_t value = 0, got = 0;
	bool good = length >= 2 && length <= 9;
	const char *unit = length ? memchr(units, data[length - 1], 6) : NULL;

	for (size_t i = 0; good && i + 1 < length; i++) {
		good = data[i] >= '0' && data[i] <= '9';
		value = value * 10 + data[i] - '0';
	}
	good = good && unit;
	CHECK(timeout_parse(data, length, &got) == good);
	if (good)
		CHECK(got == (value > UINT64_MAX / ns[unit - units] ? UINT64_MAX
								    : value * ns[unit - units]));
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void percent(const uint8_t *data, size_t length, size_t room)
{
	char text[257], out[900], back[300];
	size_t n, m = 0;

	length = length < 256 ? length : 256;
	memcpy(text, data, length);
	text[length] = 0;
	n = percent_encode(out, room, text);
	CHECK(n <= room);
	for (size_t i = 0; i < n; i++) {
		CHECK(out[i] >= 0x20 && out[i] <= 0x7e);
		if (out[i] != '%') {
			back[m++] = out[i];
			continue;
		}
		CHECK(i + 2 < n && hex(out[i + 1]) >= 0 && hex(out[i + 2]) >= 0);
		back[m++] = (char)(hex(out[i + 1]) * 16 + hex(out[i + 2]));
		i += 2;
	}
	CHECK(m <= strlen(text) && !memcmp(back, text, m));
	CHECK(m == strlen(text) || n + 3 > room); /* it stopped because it had to */
}

static void base64(const uint8_t *data, size_t length)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char out[400];
	uint32_t bits = 0, have = 0;
	size_t n, m = 0;

	length = length < 256 ? length : 256;
	n = base64_encode(out, data, length);
	CHECK(n == base64_length(length));
	for (size_t i = 0; i < n; i++) {
		const char *at = memchr(digits, out[i], 64);

		CHECK(at);
		bits = bits << 6 | (uint32_t)(at - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			CHECK((uint8_t)(bits >> have) == data[m]);
			m++;
		}
	}
	CHECK(m == length && !(bits & ((1u << have) - 1)));
}

/* By the definition of scalar values. */
static void utf8(const uint8_t *data, size_t length)
{
	bool good = true;

	for (size_t i = 0; good && i < length;) {
		static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
		uint32_t c = data[i], n = c < 0x80   ? 1
					  : c < 0xc0 ? 9
					  : c < 0xe0 ? 2
					  : c < 0xf0 ? 3
					  : c < 0xf8 ? 4
						     : 9;

		good = n < 9 && i + n <= length;
		if (!good)
			break;
		c &= n == 1 ? 0x7fu : 0x7fu >> n;
		for (uint32_t k = 1; k < n; k++) {
			good = good && (data[i + k] & 0xc0) == 0x80;
			c = c << 6 | (data[i + k] & 0x3f);
		}
		good = good && c >= least[n] && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
		i += n;
	}
	CHECK(utf8_valid(data, length) == good);
}

static void varint(struct source *in)
{
	uint8_t bytes[64];
	struct writer to = {.data = bytes, .capacity = take(in) % 64};
	uint64_t value = take_number(in, 8), got;
	size_t n = varint_read(in->at, (size_t)(in->end - in->at), &got);

	CHECK(n <= 10 && n <= (size_t)(in->end - in->at));
	put_varint(&to, value);
	if (!to.overflow)
		CHECK(varint_read(bytes, to.length, &got) == to.length && got == value);
	put_bytes(&to, 1 + (unsigned)(value & 0xff), in->at,
		  (size_t)(in->end - in->at) < 40 ? (size_t)(in->end - in->at) : 40);
	put_uint(&to, 3, value);
	CHECK(to.length <= to.capacity);
}

static void status(struct source *in)
{
	struct call_status s = {.code = (enum pt_outcome)(take(in) % 128),
				.grpc = take(in) % 17,
				.index = (uint32_t)take_number(in, 4),
				.level = (int8_t)take(in),
				.ipa = take_number(in, 8),
				.nearest_below = take_number(in, 2)};
	struct status_wire wire;
	size_t n;
	const uint8_t *text = take_bytes(in, sizeof(s.text) - 1, &n);

	if (!pt_outcome_info(s.code))
		return;
	memcpy(s.text, text, n);
	status_encode(&wire, &s);
	CHECK(wire.fields >= 1 && wire.fields <= STATUS_FIELDS);
	for (size_t i = 0; i < wire.fields; i++)
		for (size_t k = 0; k < wire.field[i].valuelen; k++)
			CHECK(wire.field[i].value[k] >= 0x20 && wire.field[i].value[k] < 0x7f);
}

static void name(const uint8_t *data, size_t length)
{
	char text[80];
	bool good = length && length <= NAME_BYTES;

	length = length < 79 ? length : 79;
	memcpy(text, data, length);
	text[length] = 0;
	for (size_t i = 0; i < length; i++) {
		char c = (char)(data[i] | 0x20);

		good = good && ((c >= 'a' && c <= 'z' && data[i] & 0x40) ||
				(data[i] >= '0' && data[i] <= '9') || data[i] == '.' ||
				data[i] == '_' || data[i] == '-');
	}
	if (strlen(text) == length)
		CHECK(name_is_legal(text) == good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct source in = source_of(data, length);
	uint8_t how = take(&in);
	size_t left = (size_t)(in.end - in.at);

	switch (how & 7) {
	case 0: timeout(in.at, left); break;
	case 1: percent(in.at, left, (how >> 3) * 29u); break;
	case 2: base64(in.at, left); break;
	case 3: utf8(in.at, left); break;
	case 4: varint(&in); break;
	case 5: status(&in); break;
	default: name(in.at, left); break;
	}
	return 0;
}
