//go:build ignore

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Compiled only for its BTF, from which internal/genlayout writes the Go twins
 * of recorder.h. The members say what goes out, and in which order. */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;

#include "recorder.h"

struct layout_types {
	enum layout_consts a;
	enum ring_consts b;
	enum startup_consts ba;
	enum lane_kind c;
	enum lane_role ca;
	enum small_lane_consts cb;
	enum head_consts d;
	enum head_limit_consts e;
	enum ring_flag f;
	enum stdio_flag fb;
	struct ring_head g;
	enum rec_consts h;
	struct rec i;
	enum rec_type j;
	enum rec_flag k;
	struct item l;
	enum item_flag m;
	enum item_kind n;
	enum plan_consts o;
	enum plan_flag p;
	enum op_kind q;
	enum op_when r;
	enum op_times s;
	enum op_at dd;
	enum op_over de;
	struct plan t;
	struct subplan_key u;
	enum entry_consts v;
	struct task_info x;
	struct task_dump y;
	struct claim z;
	enum claim_consts zb;
	enum event_type aa;
	struct event bb;
	enum stat_id cc;
	enum refusal ee;
} layout_types;
