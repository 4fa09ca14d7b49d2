//go:build ignore

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Compiled only for its BTF, from which internal/genlayout writes the Go twins
 * of recorder.h. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;

#define LAYOUT_TYPES
#include "recorder.h"

struct layout_types layout_types;
