/* SPDX-License-Identifier: BSD-2-Clause */
/* ptctl decode: descriptors and stage-2 registers field by field, without a daemon. */
#include "commands.h"
#include "decode_format.h"

int cmd_decode(struct ptctl *ctl)
{
	static const struct column columns[] = {
		{"field", CELL_TEXT},
		{"bits", CELL_TEXT},
		{"value", CELL_ADDRESS},
		{"meaning", CELL_TEXT},
	};
	const struct decode_options options = {
		.granule_shift = 12 + 2 * (ptctl_given(ctl, "granule")
						   ? (unsigned)ptctl_number(ctl, "granule") - 1
						   : 0),
		.level = ptctl_given(ctl, "level") ? (int)ptctl_number(ctl, "level") - 2 : 3,
		.pa_bits = (unsigned)ptctl_number(ctl, "pa-bits"),
		.ds = ptctl_given(ctl, "ds"),
		.fwb = ptctl_given(ctl, "fwb"),
		.xnx = ptctl_given(ctl, "xnx"),
	};
	struct pt_field field[PT_DECODE_MAX];
	unsigned count;
	struct rows *rows;
	char bits[DECODE_BITS_MAX];

	if (!decode_value((enum decode_what)(ptctl_number(ctl, "what") - 1), &options,
			  ptctl_number(ctl, "value"), field, &count))
		return ptctl_usage(ctl, "no geometry has this granule, --pa-bits and --ds");
	rows = rows_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (unsigned i = 0; i < count; i++) {
		rows_add(rows);
		rows_text(rows, 0, field[i].name);
		rows_text(rows, 1, decode_bits(&field[i], bits));
		rows_number(rows, 2, field[i].value);
		rows_text(rows, 3, field[i].text);
	}
	output_rows(&ctl->out, "fields", rows, false);
	rows_free(rows);
	return EXIT_DONE;
}
