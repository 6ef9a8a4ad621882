/* SPDX-License-Identifier: BSD-2-Clause */
/* Of assert.h what is decided when it is compiled. */
#ifndef EL2_ASSERT_H
#define EL2_ASSERT_H

#define static_assert _Static_assert

#endif
