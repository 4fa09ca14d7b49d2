//go:build ignore

/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * Records the system calls of containers, each container's into a ring of its own.
 *
 * Who is traced stands on the task: an entry in `tasks` names the ring's slot.
 * Everybody else pays one load at each end of a call. docs/architecture.md tells
 * the whole; recorder.h has the layouts.
 */
#include "kernel.h"
#include "recorder.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	MAX_SLOTS = 4096, MAX_CLAIMS = 16384, MAX_ROOTS = 256, MAX_SUBPLANS = 2048, SCRATCH = 16384,
	MAX_IOVS = 32, MAX_MMSGS = 8, PIECE_FAULT = 0xffff, READY_MAX = 256,
};
enum { X32_CALLS = 548 }; /* one more than the highest number of an x32 call */

/* Set by user space before loading; constants to the verifier. */
const volatile u64 main_at = RING_HEADER, main_size = RING_MIN; /* the main lane, in bytes; the small lanes are before it */
const volatile int hierarchy;      /* id of the tracked cgroup hierarchy, 0 is v2 */
const volatile u32 subsys;         /* cgroup v1: index of a controller in that hierarchy */
const volatile u32 only_roots;     /* 1: a container is what lies below a watched cgroup, whatever its name */
const volatile u32 preemptible;    /* 1: this kernel can preempt programs on tracepoints; see preempt.go */
const volatile u32 page_bits = 12; /* log2 of a page's bytes */
const volatile u64 enter_bits[2 * PLAN_CALLS / 64]; /* calls for which sys_enter does more than note the time */

/* Key: none. The mark of a traced task. Written by the membership programs and by
 * the task itself, freed with the task by the kernel. No memory: STAT_NO_STORAGE. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

/* Key: slot. The rings, put in and taken out by user space. The real value size
 * of the inner map is set at load from the sizes above. */
struct inner_ring {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__uint(value_size, RING_HEADER + RING_MIN + RING_TAIL);
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MAX_SLOTS);
	__type(key, u32);
	__array(values, struct inner_ring);
} rings SEC(".maps");

/* Read by no program. When user space puts a map into it, the kernel waits until
 * all programs that run have ended; see Grace in ring.go. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_ARRAY);
		__uint(max_entries, 1);
		__type(key, u32);
		__type(value, u32);
	});
} grace SEC(".maps");

/* Slots whose ring waits for a container. User space pushes, the program that
 * sees a new container pops. Empty: STAT_NO_RING and EVENT_NORING. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MAX_SLOTS);
	__type(value, u32);
} spare SEC(".maps");

/* Key: id of a container's cgroup. Written here at the first task below it,
 * deleted by user space when the recording goes. User space makes NO_SLOT of the
 * slot of a container that shall have no recording; that one goes with its cgroup.
 * Full: STAT_CLAIM_FULL. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_CLAIMS);
	__type(key, u64);
	__type(value, struct claim);
} claims SEC(".maps");

/* Key: id of a container's cgroup that got no ring, so that it is counted and told
 * once and not with each of its tasks; value: enum refusal. The oldest goes when it is
 * full. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u32);
} refused SEC(".maps");

/* Key: id of a cgroup that user space watches: each cgroup below it that gets a
 * task is a container. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ROOTS);
	__type(key, u64);
	__type(value, u32);
} roots SEC(".maps");

/* Key: path of a cgroup to watch as soon as it is made. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_ROOTS);
	__uint(key_size, 256);
	__type(value, u32);
} root_paths SEC(".maps");

/* Key: number of a call, plus PLAN_CALLS if it is a compat one. Read-only here. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * PLAN_CALLS);
	__type(key, u32);
	__type(value, struct plan);
} plans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SUBPLANS);
	__type(key, struct subplan_key);
	__type(value, struct plan);
} subplans SEC(".maps");

/* Key: 0. The slot whose tasks the next read of the iterator reports, plus 1; 0: all. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} iter_slot SEC(".maps");

/* Hints to user space; full: STAT_EVENTS_LOST, and nothing else is lost. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} events SEC(".maps");

/* Key: enum stat_id. Summed by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STATS);
	__type(key, u32);
	__type(value, u64);
} stats SEC(".maps");

/* Where records with items are put together. One per program that makes such,
 * because a program may be preempted by another's on the same CPU, but not by
 * its own (the kernel counts that as a recursion miss). */
enum scratch_user { BY_ENTER, BY_EXIT, BY_EXEC, BY_SIGNAL, BY_TASK, BY_RENAME, BY_ATTACH, BY_FORK, BY_ITER, BY_SENDER, SCRATCHES };

struct scratch {
	u8 buf[SCRATCH];
	u64 args[6];
	s64 ret;
	u32 off;
	u32 flags; /* enum rec_flag */
	u32 wide;  /* bytes of a pointer */
	u32 limit; /* bytes of contents to keep, 0: none */
	/* of an iovec array: bytes of the contents that are done, wanted, and each one's share of
	 * these; what the rest of them will need; those that are cut and unread */
	u32 at, room, share, shares;
	u32 split, pieces; /* the last one was cut; pieces have to tell where each begins */
	u64 left, all;
	u64 iovs[2 * MAX_IOVS]; /* also used for pollfds */
	u16 piece[MAX_IOVS];
	u64 skip; /* bytes of an iovec array in front of its end */
	/* Here and not on the stack: a chain of calls has 512 bytes of that, in which
	 * kernels before 6.13 round each function's up to 32. */
	u64 msg[7];
	u64 iov[2];
	u64 sp; /* at the call's start */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SCRATCHES);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline void count(u32 id)
{
	u64 *n = bpf_map_lookup_elem(&stats, &id);

	if (n)
		*n += 1;
}

static __always_inline struct scratch *scratch_of(u32 user)
{
	return bpf_map_lookup_elem(&scratches, &user);
}

static __always_inline struct ring_head *ring_of(u32 slot)
{
	u32 zero = 0;
	void *map = bpf_map_lookup_elem(&rings, &slot);

	return map ? bpf_map_lookup_elem(map, &zero) : NULL;
}

static __noinline int tell(u32 type, u32 slot, u64 cgroup)
{
	struct event e = { .type = type, .slot = slot, .cgroup = cgroup, .time = bpf_ktime_get_ns() };

	if (bpf_ringbuf_output(&events, &e, sizeof(e), 0))
		count(STAT_EVENTS_LOST);
	return 0;
}

/* A constant to the verifier. */
static __always_inline bool steady(void)
{
	return preemptible && ksym_exists(bpf_preempt_disable) && ksym_exists(bpf_local_irq_save);
}

/*
 * A program that shall not be preempted, on kernels that do so: what other tasks do
 * on this CPU meanwhile would be missed. It ends in a way that nothing waits for it:
 * a task that is to be preempted would be so at the very enabling, that is still
 * inside, if interrupts were not off then. The ends of the calls, which are most,
 * have a better way (perf_sys_exit): this one leaves some instructions at each side.
 */
#define STEADILY(section, function, run)                                            \
	SEC(section)                                                                \
	int function(u64 *ctx)                                                      \
	{                                                                           \
		unsigned long irqs;                                                 \
                                                                                    \
		if (steady())                                                       \
			bpf_preempt_disable();                                      \
		run;                                                                \
		if (steady()) {                                                     \
			bpf_local_irq_save(&irqs);                                  \
			bpf_preempt_enable();                                       \
			bpf_local_irq_restore(&irqs);                               \
		}                                                                   \
		return 0;                                                           \
	}

/*
 * Nothing must be missed of these events. In those instructions at each side a task
 * was preempted once in some thousand ends of tasks (7.3, emulated), and the next
 * one's end was missed. So each of these runs twice, the second time as another
 * program, that the kernel runs even while the first may not. The second does what
 * the first has not done: second() tells where neither marks nor maps do.
 */
#define TWICE(section, name)                                                        \
	static __always_inline int name##_steady(u64 *ctx, bool again);             \
	STEADILY(section, name, name##_steady(ctx, false))                          \
	STEADILY(section, name##_2, if (steady()) name##_steady(ctx, true))         \
	static __always_inline int name##_steady(u64 *ctx, bool again)

/* Whether this is the second look at an event of the current task, which the first has
 * seen. The next event is on its own: of what the second missed nothing stays. */
static __always_inline bool second(struct task_state *ts, u32 event, bool again)
{
	bool seen = ts->seen & event;

	if (!steady())
		return false;
	if (again)
		ts->seen &= ~event;
	else
		ts->seen |= event;
	return again && seen;
}

/* ---- writing a record ------------------------------------------------------ */

/*
 * Stores v in as many bytes as it needs and returns the offset behind it. Without
 * a branch: each would be paid by the branch predictor and by the verifier, which
 * would follow 3^8 ways through a record.
 */
static __always_inline u32 put(u8 *base, u32 off, u64 v, u32 *sizes, u32 shift)
{
	u64 neg = -v, hi = v + 0x80000000ull, neg_hi, cls;

	/* x | -x has its top bit set unless x is 0; clang knows that too */
	opaque(neg);
	opaque(hi);
	hi >>= 32;
	neg_hi = -hi;
	opaque(neg_hi);
	cls = ((v | neg) >> 63) + ((hi | neg_hi) >> 63);
	opaque(cls);
	cls &= 3;
	*(u64 *)(base + off) = v;
	*sizes |= cls << shift;
	return off + (cls << 2);
}

static __noinline int late(u32 slot, u64 pos, u32 len)
{
	struct ring_head *r = ring_of(slot);
	struct lane *l;
	u64 n;

	if (!r)
		return 0;
	l = &r->main;
	n = __sync_fetch_and_add(&l->lates, 1) & (LATES - 1);
	l->late[n].pos = pos;
	l->late[n].len = len;
	l->late[n].head = READ_ONCE(l->head) >> HEAD_SEQ_BITS;
	return 0;
}

/* Bytes up to which a record is copied by words; behind it a helper is cheaper. */
enum { BY_WORDS = 128 };

static __always_inline void put_stamp(u64 *to, u64 stamp)
{
#if defined(__TARGET_ARCH_x86)
	barrier(); /* x86 keeps stores in order */
	WRITE_ONCE(*to, stamp);
#else
	__sync_lock_test_and_set(to, stamp); /* a full barrier */
#endif
}

/*
 * Reserves len bytes of the main lane and copies the record there, its stamp last.
 * len: a multiple of 8, REC_HEAD to REC_MAX. src: at least BY_WORDS readable bytes.
 */
static __always_inline void to_main(struct ring_head *r, u32 slot, const u64 *src, u32 len, u32 type, u32 flags)
{
	struct lane *l = &r->main;
	u64 old, pos, now, stamp;
	u64 *dst;

	old = __sync_fetch_and_add(&l->head, ((u64)(len >> 3) << HEAD_SEQ_BITS) + 1);
	pos = old >> HEAD_SEQ_BITS;
	if (unlikely((old & ((1 << HEAD_SEQ_BITS) - 1)) == (1 << HEAD_SEQ_BITS) - 1))
		__sync_fetch_and_add(&l->epochs, 1);
	dst = (void *)r + main_at + ((pos << 3) & (main_size - 1));
	if (likely(len <= BY_WORDS)) {
#define WORD(i)                                  \
	if (len <= (i) * 8)                      \
		goto copied;                     \
	dst[i] = src[i];
		dst[1] = src[1];
		dst[2] = src[2];
		WORD(3) WORD(4) WORD(5) WORD(6) WORD(7) WORD(8) WORD(9)
		WORD(10) WORD(11) WORD(12) WORD(13) WORD(14) WORD(15)
#undef WORD
	} else {
		u32 n = len - 8;

		if (n <= REC_MAX)
			bpf_probe_read_kernel(dst + 1, n, src + 1);
	}
copied:
	stamp = (pos << HEAD_SEQ_BITS | (u64)(len >> 3) << 14 | flags << 4 | type) ^ r->cookie;
	put_stamp(dst, stamp);
	now = READ_ONCE(l->head) >> HEAD_SEQ_BITS;
	if (unlikely(((now - pos) & ((1ull << HEAD_POS_BITS) - 1)) > main_size >> 3))
		late(slot, pos, len);
	if (flags & (RECF_CUT | RECF_FAULT)) {
		if (flags & RECF_CUT)
			__sync_fetch_and_add(&l->cut, 1);
		if (flags & RECF_FAULT)
			__sync_fetch_and_add(&l->fault, 1);
	}
}

/* In place of a record's lane among the small ones: it goes to the main lane alone. */
enum { NO_GUARD = 0xff };

/* The place of a kind's lane among the small ones. */
#define SMALL(kind) ((kind) - LANE_FIRST)

/* Where a failed call goes: what it is, 12 bits each of number and errno, is above. */
static __always_inline u32 failure(u32 nr, s64 ret)
{
	return SMALL_FAIL | (nr & 0xfff) << 8 | ((u32)-ret & 0xfff) << 20;
}

enum { RENAMED = SMALL_FAIL | 0xfff << 8 };

enum { REC_MASK = 0x1fff }; /* REC_MAX and what is below it */

/* Notes a late writer where there is one note: the first says where it wrote, and all
 * together up to where the lane is not to be believed. */
static __noinline int late_in(struct small_lane *l, u64 pos, u32 len, u64 head)
{
	u64 seen = READ_ONCE(l->late.head);

	/* Of two at once the later head stays. */
	if (head > seen && __sync_val_compare_and_swap(&l->late.head, seen, head) != seen) {
		seen = READ_ONCE(l->late.head);
		if (head > seen)
			__sync_val_compare_and_swap(&l->late.head, seen, head);
	}
	if (__sync_fetch_and_add(&l->lates, 1) == 0) {
		l->late.pos = pos;
		l->late.len = len;
	}
	return 0;
}

/*
 * Copies the record in a scratch into one of the small lanes, its stamp last. They have no
 * tail: what does not fit before the lane's end goes on at its beginning. A record that is
 * longer than the lane is left out. len: a multiple of 8. meta: type and flags as in a stamp.
 */
__noinline int keep_in(u32 user, u32 slot, u32 lane, u32 len, u32 meta)
{
	struct scratch *s = scratch_of(user);
	struct ring_head *r = ring_of(slot);
	struct lane_group *g;
	struct small_lane *l;
	u32 size, base, at, n, body, rest;
	u64 old, pos, now;

	if (!s || !r || lane >= SMALL_LANES)
		return 0;
	g = &r->group[LANE_FAIL];
	if (lane < SMALL_FAIL)
		g = &r->group[LANE_FIRST + lane];
	l = &r->small[lane];
	size = READ_ONCE(g->size);
	base = READ_ONCE(g->at);
	if (lane > SMALL_FAIL)
		base += (lane - SMALL_FAIL) * size;
	if (len < REC_HEAD || len > REC_MAX || len > size || size & (size - 1) || base > main_at - size)
		return 0;
	old = __sync_fetch_and_add(&l->head, ((u64)(len >> 3) << HEAD_SEQ_BITS) + 1);
	pos = old >> HEAD_SEQ_BITS;
	if (unlikely((old & ((1 << HEAD_SEQ_BITS) - 1)) == (1 << HEAD_SEQ_BITS) - 1))
		__sync_fetch_and_add(&l->epochs, 1);
	at = (u32)(pos << 3) & (size - 1);
	n = size - at; /* bytes before the lane's end */
	if (n > len)
		n = len;
	at += base;
	body = n - 8;
	rest = len - n;
	/* So it is anyway. 6.1 forgets what a check says of a value that was put aside, but not
	 * what a mask leaves of it. */
	opaque(at);
	opaque(base);
	opaque(body);
	opaque(rest);
	at &= ~7u; /* arm64 wants to see that the stamp is exchanged at an aligned address */
	if (at > main_at || base > main_at)
		return 0;
	body &= REC_MASK;
	rest &= REC_MASK;
	bpf_probe_read_kernel((void *)r + at + 8, body, s->buf + 8);
	if (rest)
		bpf_probe_read_kernel((void *)r + base, rest, s->buf + 8 + body);
	put_stamp((void *)r + at, (pos << HEAD_SEQ_BITS | (u64)(len >> 3) << 14 | meta) ^ r->cookie);
	now = READ_ONCE(l->head) >> HEAD_SEQ_BITS;
	if (unlikely(((now - pos) & ((1ull << HEAD_POS_BITS) - 1)) > size >> 3))
		late_in(l, pos, len, now);
	return 0;
}

/* Takes len bytes of a share that is never given back. */
static __always_inline bool take_share(u32 *used, u32 len, u32 share)
{
	return READ_ONCE(*used) + len <= share && __sync_fetch_and_add(used, len) + len <= share;
}

/*
 * Keeps the record in a scratch where the main lane's turns do not reach it: see enum
 * lane_kind. where: a small lane; for failed calls see failure().
 */
__noinline int guard(u32 user, u32 slot, u32 where, u32 len, u32 meta)
{
	struct ring_head *r = ring_of(slot);
	u32 lane = where & 0xff, class = lane, part;
	bool failed = lane == SMALL_FAIL, first;

	if (!r)
		return 0;
	part = r->group[LANE_FIRST].size / FIRST_PARTS;
	if (failed) {
		/* With the ring's secret: which classes share a lane is not for a program to choose. */
		u32 hash = ((where >> 8) ^ (u32)r->cookie) * 0x9e3779b1;

		lane += hash >> 27 & (FAIL_LANES - 1);
		class = FIRST_HASHED + ((hash >> 16 & 0xff) * (FIRST_CLASSES - FIRST_HASHED) >> 8);
	}
	first = take_share(&r->first_used[class & (FIRST_CLASSES - 1)], len, part) &&
		(!failed || take_share(&r->first_failed, len, part * (FIRST_PARTS - FIRST_KINDS)));
	if (first) {
		keep_in(user, slot, SMALL(LANE_FIRST), len, meta);
		return 0;
	}
	keep_in(user, slot, SMALL(LANE_RECENT), len, meta);
	if (failed && len > r->group[LANE_FAIL].size)
		lane = SMALL(LANE_LONG);
	keep_in(user, slot, lane, len, meta);
	return 0;
}

/* An error that programs get all day long, as part of their ways. */
static __always_inline bool everyday(s64 ret)
{
	s64 e = -ret;

	return e == 11 /* EAGAIN */ || e == 4 /* EINTR */ || e == 110 /* ETIMEDOUT */ ||
	       e == 115 /* EINPROGRESS */ || e >= 512 /* ERESTART... */;
}

/* ---- reading what arguments point to ---------------------------------------- */

static __always_inline u32 tag(u32 arg, u32 kind)
{
	return (arg & 15) | kind << 8;
}

/* An argument by a number that a plan has. */
static __always_inline u64 arg_of(struct scratch *s, u32 i)
{
	opaque(i); /* before 6.3 the verifier forgets the bounds of a copy */
	return s->args[i < 6 ? i : 0];
}

static __always_inline void item(struct scratch *s, u32 off, u32 tag, u32 len, u32 flags)
{
	opaque(off); /* before 6.3 the verifier forgets bounds of what a loop keeps on the stack */
	if (off > REC_MAX)
		return;
	*(u32 *)(s->buf + off) = tag | flags | len << 16;
	s->off = off + 4 + len;
	if (flags & ITEM_CUT)
		s->flags |= RECF_CUT;
	if (flags & ITEM_FAULT)
		s->flags |= RECF_FAULT;
}

/* A string. max: bytes, 1 to 4096. */
__noinline int cap_str(u32 user, u64 ptr, u32 max, u32 tag)
{
	struct scratch *s = scratch_of(user);
	u32 off, len, flags = 0;
	long n;
	u8 last = 0;

	if (!s || !ptr)
		return 0;
	off = s->off;
	if (off > REC_MAX - 16) {
		s->flags |= RECF_CUT;
		return 0;
	}
	if (max > REC_MAX - 8 - off)
		max = REC_MAX - 8 - off;
	if (max > 4096)
		max = 4096;
	opaque(max); /* before 6.3 the verifier forgets the bounds of a copy */
	if (max > 4096)
		return 0;
	n = bpf_probe_read_user_str(s->buf + off + 4, max, (void *)ptr);
	if (n < 0) {
		/* Of a string without an end, what is there up to that of its page. Of a file
		 * name it is of no use: the kernel took none. */
		len = 4096 - (ptr & 4095);
		if (len > max)
			len = max;
		if (max > 256 || len > 256)
			len = 0;
		opaque(len);
		len &= 511;
		opaque(off);
		if (off > REC_MAX - 8 || (len && bpf_probe_read_user(s->buf + off + 4, len, (void *)ptr)))
			len = 0;
		item(s, off, tag, len, ITEM_FAULT);
		return 0;
	}
	/* n counts the NUL, which is put there also where the string goes on. Of an empty
	 * string older kernels (6.1, 6.12) say 0. */
	n += !n;
	if (n == max && (bpf_probe_read_user(&last, 1, (void *)ptr + max - 1) || last))
		flags = ITEM_CUT;
	len = (n - 1) & 0x1fff;
	if (len > 4096)
		return 0;
	item(s, off, tag, len, flags);
	return 0;
}

/* n bytes of memory, of which max are kept. */
__noinline int cap_mem(u32 user, u64 ptr, u64 n, u32 max, u32 tag)
{
	struct scratch *s = scratch_of(user);
	u32 off, len, flags = 0;

	if (!s || !ptr)
		return 0;
	off = s->off;
	if (off > REC_MAX - 16) {
		s->flags |= RECF_CUT;
		return 0;
	}
	if (max > REC_MAX - 8 - off)
		max = REC_MAX - 8 - off;
	if (max > 4096)
		max = 4096;
	if (n > max) {
		n = max;
		flags = ITEM_CUT;
	}
	len = n;
	opaque(len); /* clang knows what follows already, but kernels before 6.4 do not */
	if (len > 4096)
		return 0;
	if (len && bpf_probe_read_user(s->buf + off + 4, len, (void *)ptr)) {
		/* What is there up to the end of the page may be readable. */
		u32 part = 4096 - (ptr & 4095);

		flags = ITEM_FAULT;
		if (part >= len || part > 4096 || bpf_probe_read_user(s->buf + off + 4, part, (void *)ptr))
			part = 0;
		len = part;
	}
	item(s, off, tag, len, flags);
	return 0;
}

/* Makes 8 bytes of each of the numbers of a compat task's iovecs. */
__noinline int widen(u32 user)
{
	struct scratch *s = scratch_of(user);
	u32 i;

	if (!s)
		return 0;
	for (i = 0; i < 2 * MAX_IOVS; i++)
		s->iovs[2 * MAX_IOVS - 1 - i] = ((u32 *)s->iovs)[2 * MAX_IOVS - 1 - i];
	return 0;
}

/* How much of what is left is in an iovec, which is not left then. i: below MAX_IOVS. */
static __always_inline u64 take_len(struct scratch *s, u32 i)
{
	u64 len = s->iovs[2 * i + 1];

	if (len > s->left)
		len = s->left;
	s->left -= len;
	return len;
}

/* How much of an iovec is wanted: its share at most. The contents can have s->left bytes more. */
__noinline int need_iov(u32 user, u32 i)
{
	struct scratch *s = scratch_of(user);
	u64 len;

	if (!s || i >= MAX_IOVS)
		return 1;
	opaque(i);
	i &= MAX_IOVS - 1;
	len = take_len(s, i);
	s->all += len;
	s->shares += len < s->share ? len : s->share;
	return 0;
}

/*
 * Adds an iovec to the contents at s->off: what it needs, but for the shares of those behind it.
 * A function of its own, as are the others here: the verifier then looks at it once, not once a
 * turn of each loop around it.
 */
__noinline int take_iov(u32 user, u32 i)
{
	struct scratch *s = scratch_of(user);
	u32 off, at, take;
	u64 len;

	if (!s || i >= MAX_IOVS)
		return 1;
	opaque(i);
	i &= MAX_IOVS - 1;
	len = take_len(s, i);
	s->shares -= len < s->share ? len : s->share;
	off = s->off;
	at = s->at;
	if (off > REC_MAX - 8 || at > 4096)
		return 1;
	take = s->room - at;
	take = take > s->shares ? take - s->shares : 0;
	if (take > 4096)
		take = 4096;
	if (len < take)
		take = len;
	/* Again: before 6.3 the verifier forgets bounds of what is kept on the stack. */
	opaque(off);
	opaque(at);
	opaque(take);
	opaque(i);
	i &= MAX_IOVS - 1;
	if (take > 4096 || at > 4096 || off > REC_MAX - 8)
		return 1;
	if (take && bpf_probe_read_user(s->buf + off + 4 + at, take, (void *)s->iovs[2 * i])) {
		opaque(i);
		s->piece[i & (MAX_IOVS - 1)] = PIECE_FAULT;
		s->pieces = 1;
		return 0;
	}
	opaque(i);
	s->piece[i & (MAX_IOVS - 1)] = take;
	s->at = at + take;
	if (s->split)
		s->pieces = 1; /* one was cut, and this one stands behind it */
	s->split = take < len;
	return 0;
}

/* An iovec array of n elements, and up to s->limit bytes of what they hold.
 * bytes: how much of that is valid. */
__noinline int cap_iov(u32 user, u64 ptr, u64 n, u64 bytes, u32 arg)
{
	struct scratch *s = scratch_of(user);
	u32 off, at, room, i, few;

	if (!s || !ptr)
		return 0;
	if (n > 1024)
		n = 1024;
	at = s->off;
	cap_mem(user, ptr, n * 2 * s->wide, MAX_IOVS * 2 * s->wide, tag(arg, ITEM_IOV));
	room = s->limit;
	off = s->off;
	if (!room || off < at + 4)
		return 0;
	n = (off - at - 4) / (2 * s->wide); /* as many as there are up to a bad page */
	if (!n)
		return 0;
	if (off > REC_MAX - 16 - 2 * MAX_IOVS)
		return 0;
	if (room > bytes)
		room = bytes;
	if (room > REC_MAX - 16 - 2 * MAX_IOVS - off)
		room = REC_MAX - 16 - 2 * MAX_IOVS - off;
	few = n > MAX_IOVS ? MAX_IOVS : n;
	opaque(few);
	if (few > MAX_IOVS)
		return 0;
	if (bpf_probe_read_user(s->iovs, few * (s->wide == 4 ? 8 : 16), (void *)ptr))
		return 0;
	if (s->wide == 4)
		widen(user);
	s->room = room;
	s->share = room / few;
	s->shares = s->at = s->pieces = s->split = 0;
	s->all = 0;
	s->left = bytes;
	for (i = 0; i < MAX_IOVS; i++) {
		if (i >= few || need_iov(user, i))
			break;
		again(i);
	}
	s->left = bytes;
	for (i = 0; i < MAX_IOVS; i++) {
		if (i >= few || take_iov(user, i))
			break;
		again(i);
	}
	at = s->at;
	if (at > 8192)
		return 0;
	item(s, off, tag(arg, ITEM_IOVDATA), at, s->all > at ? ITEM_CUT : 0);
	off = s->off;
	if (!s->pieces || off > REC_MAX - 8 - 2 * MAX_IOVS)
		return 0;
	few *= 2;
	opaque(few);
	if (few > sizeof(s->piece) || bpf_probe_read_kernel(s->buf + off + 4, few, s->piece))
		return 0;
	item(s, off, tag(arg, ITEM_PIECES), few, 0);
	return 0;
}

/* The protocols whose socket options and control messages hold no keys, but for those
 * that key_option knows. By number: SOL_IP, SOL_SOCKET, SOL_TCP, SOL_UDP, AF_VSOCK,
 * SOL_IPV6, SOL_ICMPV6, SOL_SCTP, SOL_RAW, SOL_PACKET, SOL_NETLINK, SOL_TIPC, SOL_XDP,
 * SOL_MPTCP. */
static __always_inline bool plain_level(u32 level)
{
	return level == 0 || level == 1 || level == 6 || level == 17 || level == 40 || level == 41 || level == 58 ||
	       level == 132 || level == 255 || level == 263 || level == 270 || level == 271 || level == 283 || level == 284;
}

static __always_inline bool key_option(u32 level, u32 name)
{
	/* TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_FASTOPEN_KEY, TCP_AO_ADD_KEY to TCP_AO_GET_KEYS */
	if (level == 6)
		return name == 14 || name == 32 || name == 33 || (name >= 38 && name <= 41);
	if (level == 132)
		return name == 23; /* SCTP_AUTH_KEY */
	return level == 279 || level == 272; /* all of SOL_ALG and SOL_RXRPC */
}

/* The value of a socket option. Of protocols that are not known only numbers are kept:
 * the next one that takes keys is made without asking us. */
static __always_inline bool tells_option(u32 level, u32 name, u64 n)
{
	return !key_option(level, name) && (plain_level(level) || n <= 4);
}

/* How many bytes of control messages may be kept: those of protocols that are known,
 * and of the first that is not only what it is. */
__noinline int known_control(u32 user, u64 ptr, u64 len)
{
	struct scratch *s = scratch_of(user);
	u64 at = 0, size, head;
	u32 i, level;

	if (!s)
		return 0;
	if (len > 256)
		len = 256;
	head = s->wide == 4 ? 12 : 16; /* struct cmsghdr: a size_t, level, type */
	for (i = 0; i < 16; i++) {
		if (at + head > len || bpf_probe_read_user(s->iov, 16, (void *)ptr + at))
			return len;
		if (s->wide == 4) {
			size = (u32)s->iov[0];
			level = s->iov[0] >> 32;
			size = (size + 3) & ~3ull;
		} else {
			size = (s->iov[0] + 7) & ~7ull;
			level = s->iov[1];
		}
		if (!plain_level(level) || size < head)
			return at + head;
		if (size > 256)
			return len;
		at += size;
		again(i);
	}
	return at;
}

/* A msghdr and its parts. bytes: how much of its contents is valid. */
__noinline int cap_msg(u32 user, u64 ptr, u64 bytes, u32 arg)
{
	struct scratch *s = scratch_of(user);
	u64 name, namelen, iov, iovlen, control, controllen;

	if (!s || !ptr)
		return 0;
	if (s->wide == 4) {
		u32 *m = (u32 *)s->msg;

		cap_mem(user, ptr, 7 * 4, 7 * 4, tag(arg, ITEM_MSG));
		if (bpf_probe_read_user(m, 7 * 4, (void *)ptr))
			return 0;
		name = m[0], namelen = m[1], iov = m[2], iovlen = m[3], control = m[4], controllen = m[5];
	} else {
		u64 *m = s->msg;

		cap_mem(user, ptr, 7 * 8, 7 * 8, tag(arg, ITEM_MSG));
		if (bpf_probe_read_user(m, 7 * 8, (void *)ptr))
			return 0;
		name = m[0], namelen = (u32)m[1], iov = m[2], iovlen = m[3], control = m[4], controllen = m[5];
	}
	if (name && namelen)
		cap_mem(user, name, namelen, 128, tag(arg, ITEM_NAME));
	cap_iov(user, iov, iovlen, bytes, arg);
	if (control && controllen)
		cap_mem(user, control, controllen, known_control(user, control, controllen), tag(arg, ITEM_CONTROL));
	return 0;
}

/* n mmsghdrs, and the parts of the first. input: their contents are all valid. */
__noinline int cap_mmsg(u32 user, u64 ptr, u64 n, u32 input, u32 arg)
{
	struct scratch *s = scratch_of(user);
	u32 size, i;

	if (!s || !ptr)
		return 0;
	size = s->wide == 4 ? 32 : 64;
	cap_mem(user, ptr, n * size, MAX_MMSGS * size, tag(arg, ITEM_MMSG));
	for (i = 0; i < MAX_MMSGS; i++) {
		u32 bytes = 0;

		if (i >= n)
			break;
		/* msg_len stands behind the msghdr */
		if (s->ret > 0)
			bpf_probe_read_user(&bytes, sizeof(bytes), (void *)ptr + (i + 1) * size - (s->wide == 4 ? 4 : 8));
		cap_msg(user, ptr + i * size, input ? ~0ull : bytes, arg);
		again(i);
	}
	return 0;
}

/* Adds a pollfd of those in s->iovs to the item at s->off, if it is ready. */
__noinline int add_ready(u32 user, u32 i)
{
	struct scratch *s = scratch_of(user);
	u32 off, at;
	u64 fd;

	if (!s || i >= 2 * MAX_IOVS)
		return 1;
	opaque(i);
	fd = s->iovs[i & (2 * MAX_IOVS - 1)];
	if (!(fd >> 48)) /* revents */
		return 0;
	off = s->off;
	at = s->at;
	if (off > REC_MAX - 16 - READY_MAX || at > READY_MAX - 8)
		return 1;
	off += 4 + at;
	opaque(off);
	if (off > REC_MAX)
		return 1;
	*(u64 *)(s->buf + off) = fd;
	s->at = at + 8;
	return 0;
}

/* The same for n pollfds at ptr, 64 at most. */
__noinline int add_all_ready(u32 user, u64 ptr, u64 n)
{
	struct scratch *s = scratch_of(user);
	u32 i, few = n > 2 * MAX_IOVS ? 2 * MAX_IOVS : n;

	if (!s)
		return 1;
	opaque(few);
	if (few > 2 * MAX_IOVS || bpf_probe_read_user(s->iovs, few * 8, (void *)ptr))
		return 1;
	for (i = 0; i < 2 * MAX_IOVS; i++) {
		if (i >= few)
			break;
		if (add_ready(user, i))
			return 1;
		again(i);
	}
	return 0;
}

/* Of n pollfds those that are ready, at most READY_MAX bytes of them. */
__noinline int cap_ready(u32 user, u64 ptr, u64 n, u32 arg)
{
	struct scratch *s = scratch_of(user);
	u32 i, off, at, flags = 0;

	if (!s)
		return 0;
	off = s->off;
	if (off > REC_MAX - 16 - READY_MAX)
		return 0;
	s->at = 0;
	for (i = 0; i < 32; i++) {
		if (i * 2 * MAX_IOVS >= n)
			break;
		if (add_all_ready(user, ptr + i * 2 * MAX_IOVS * 8, n - i * 2 * MAX_IOVS)) {
			flags = ITEM_CUT;
			break;
		}
		again(i);
	}
	at = s->at;
	if (at > READY_MAX)
		return 0;
	if (i == 32)
		flags = ITEM_CUT;
	item(s, off, tag(arg, ITEM_READY), at, flags);
	return 0;
}

/* How long the address may be for which a msghdr has room. */
__noinline int cap_room(u32 user, u64 ptr, u32 tag)
{
	struct scratch *s = scratch_of(user);
	u64 name = 0;

	if (!s || bpf_probe_read_user(&name, s->wide == 4 ? 4 : 8, (void *)ptr) || !name)
		return 0;
	return cap_mem(user, ptr + s->wide, 4, 4, tag);
}

/* A vector of strings, ended by NULL. */
__noinline int cap_strv(u32 user, u64 ptr, u32 max, u32 arg)
{
	struct scratch *s = scratch_of(user);
	u32 i;

	if (!s || !ptr)
		return 0;
	for (i = 0; i < 33; i++) {
		u64 p = 0;
		u32 n = s->wide == 4 ? 4 : 8;

		if (bpf_probe_read_user(&p, n, (void *)ptr + i * n)) {
			item(s, s->off, tag(arg, ITEM_STRV), 0, ITEM_FAULT);
			break;
		}
		if (!p) {
			if (!i && s->off <= REC_MAX - 16) { /* an empty one is no unreadable one */
				*(u32 *)(s->buf + s->off + 4) = 0;
				item(s, s->off, tag(arg, ITEM_COUNT), 4, 0);
			}
			break;
		}
		if (i == 32) {
			item(s, s->off, tag(arg, ITEM_STRV), 0, ITEM_CUT);
			break;
		}
		cap_str(user, p, max, tag(arg, ITEM_STRV));
		again(i);
	}
	return 0;
}

/* How many pointers stand before the NULL of a vector; 4 bytes. */
__noinline int cap_count(u32 user, u64 ptr, u32 arg)
{
	struct scratch *s = scratch_of(user);
	u32 i, off;

	if (!s || !ptr)
		return 0;
	off = s->off;
	if (off > REC_MAX - 16)
		return 0;
	for (i = 0; i < 512; i++) {
		u64 p = 0;
		u32 n = s->wide == 4 ? 4 : 8;

		if (bpf_probe_read_user(&p, n, (void *)ptr + i * n)) {
			item(s, off, tag(arg, ITEM_COUNT), 0, ITEM_FAULT);
			return 0;
		}
		if (!p)
			break;
	}
	*(u32 *)(s->buf + off + 4) = i;
	item(s, off, tag(arg, ITEM_COUNT), 4, i == 512 ? ITEM_CUT : 0);
	return 0;
}

/* A vector of n pointers: size bytes at each. One that cannot be followed leaves
 * an empty item, so that the others keep their places. */
__noinline int cap_vec(u32 user, u64 ptr, u64 n, u32 size, u32 tag)
{
	struct scratch *s = scratch_of(user);
	u32 i;

	if (!s || !ptr)
		return 0;
	for (i = 0; i < MAX_IOVS; i++) {
		u64 p = 0;
		u32 wide = s->wide == 4 ? 4 : 8;

		if (i >= n)
			break;
		if (bpf_probe_read_user(&p, wide, (void *)ptr + i * wide)) {
			item(s, s->off, tag, 0, ITEM_FAULT);
			break;
		}
		if (p)
			cap_mem(user, p, size, size, tag);
		else
			item(s, s->off, tag, 0, 0);
		again(i);
	}
	return 0;
}

/* The pointer that stands at an address. at: enum op_at. */
__noinline u64 pointer_at(u32 user, u64 ptr, u32 at)
{
	struct scratch *s = scratch_of(user);
	u64 p = 0;

	if (!s)
		return 0;
	bpf_probe_read_user(&p, s->wide == 4 && !(at & AT_WIDE) ? 4 : 8, (void *)ptr + (at & ~AT_WIDE));
	return p;
}

/* Takes the arguments of a call from memory, where they are also kept as an item. */
__noinline int args_from(u32 user, u64 ptr, u32 n, u32 phase)
{
	struct scratch *s = scratch_of(user);
	u32 i;

	if (!s)
		return 0;
	if (n > 6)
		n = 6;
	if (phase != 1)
		cap_mem(user, ptr, n * 4, 24, tag(1, ITEM_MEM) | (phase ? ITEM_ENTRY : 0));
	for (i = 0; i < 6; i++) {
		u32 v = 0;

		if (i < n)
			bpf_probe_read_user(&v, sizeof(v), (void *)ptr + i * 4);
		s->args[i] = v;
	}
	return 0;
}

static __always_inline bool compat_task(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return task->thread_info.status & 2; /* TS_COMPAT, set for the time of the call */
#else
	return task->thread_info.flags >> 22 & 1; /* TIF_32BIT */
#endif
}

/* Has the call that succeeded put its output where this input was? */
static __always_inline bool written_over(struct scratch *s, struct plan_op *op, u64 ptr)
{
	u32 out = op->over & 7;
	u64 n = op->span ? op->span : s->ret;

	return ptr - arg_of(s, out) < n;
}

/* Is this read when the call begins? */
static __always_inline bool at_entry(struct scratch *s, struct plan_op *op)
{
	u64 ptr = arg_of(s, op->arg);
	u32 out = op->over & 7;

	if (op->when == OP_SAME)
		return ptr && ptr == arg_of(s, out);
	return op->when == OP_ENTRY && (op->kind == OP_STACK || ptr);
}

/*
 * Follows the pointers of a call by its plan. phase: 0 at the call's end, 1 at
 * its start for OP_ENTRY only, 2 at its start for all that can be read there.
 */
__noinline int capture(u32 user, u32 index, u32 phase)
{
	struct scratch *s = scratch_of(user);
	struct plan *p = bpf_map_lookup_elem(&plans, &index);
	u32 i;

	if (!s || !p)
		return 0;
	if (p->flags & PLAN_SUB) {
		struct subplan_key key = { .nr = index, .cmd = arg_of(s, p->sub) };
		struct plan *sub = bpf_map_lookup_elem(&subplans, &key);

		if (sub)
			p = sub;
	}
	if (p->flags & PLAN_ARGS)
		args_from(user, s->args[1], p->nargs, phase);
	for (i = 0; i < PLAN_OPS; i++) {
		struct plan_op *op;
		u64 ptr, n = 1, carg;
		u32 flag = phase ? ITEM_ENTRY : 0;

		if (i >= p->nops)
			break;
		op = &p->op[i];
		if (phase == 0 && (op->when == OP_ENTRY || op->when == OP_SAME || (op->when == OP_OK && s->ret < 0)))
			continue;
		if (phase == 1 && !at_entry(s, op))
			continue;
		if (phase == 2 && (op->when == OP_OK || op->when == OP_SAME))
			continue;
		if ((op->when == OP_CALLER && !s->ret) || (op->when == OP_PARENT && s->ret <= 0))
			continue;
		ptr = arg_of(s, op->arg);
		if (!ptr && op->kind != OP_STACK)
			continue;
		if (phase == 0 && op->over && s->ret >= 0 && written_over(s, op, ptr))
			continue;
		carg = arg_of(s, op->carg);
		switch (op->count) {
		case COUNT_ARG:
			n = (s32)carg > 0 ? (u32)carg : 0;
			break;
		case COUNT_ARG_LONG:
			n = carg;
			break;
		case COUNT_PAGES:
			n = (carg + 4095) >> 12;
			break;
		case COUNT_RET:
			n = s->ret > 0 ? s->ret : 0;
			break;
		case COUNT_PTR: {
			u32 len = 0;

			bpf_probe_read_user(&len, sizeof(len), (void *)carg);
			n = len;
			break;
		}
		case COUNT_BITS:
			n = (s32)carg > 0 ? (((u32)carg + s->wide * 8 - 1) / (s->wide * 8)) * s->wide : 0;
			break;
		}
		if (n > 1 << 20)
			n = 1 << 20;
		switch (op->kind) {
		case OP_STR:
			cap_str(user, ptr, op->max, tag(op->arg, ITEM_STR) | flag);
			break;
		case OP_MEM:
			cap_mem(user, ptr, n * op->size, op->max, tag(op->arg, ITEM_MEM) | flag);
			break;
		case OP_SOCKOPT:
			if (tells_option(s->args[1], s->args[2], n * op->size))
				cap_mem(user, ptr, n * op->size, op->max, tag(op->arg, ITEM_MEM) | flag);
			break;
		case OP_LEN:
			cap_mem(user, ptr, op->size, 8, tag(op->arg, ITEM_LEN) | flag);
			break;
		case OP_DATA:
			if (s->limit)
				cap_mem(user, ptr, n * op->size, s->limit, tag(op->arg, ITEM_DATA) | flag);
			break;
		case OP_STRV:
			cap_strv(user, ptr, op->max, op->arg | flag);
			break;
		case OP_COUNT:
			cap_count(user, ptr, op->arg);
			break;
		case OP_IOV:
			cap_iov(user, ptr, n, op->at & AT_INPUT ? ~0ull : s->ret > 0 ? s->ret : 0, op->arg);
			break;
		case OP_MSG:
			if (s->ret < 0 && !(op->at & AT_INPUT)) /* nothing is in it */
				cap_mem(user, ptr, 7 * s->wide, 7 * s->wide, tag(op->arg, ITEM_MSG));
			else
				cap_msg(user, ptr, op->at & AT_INPUT ? ~0ull : s->ret, op->arg);
			break;
		case OP_MMSG:
			cap_mmsg(user, ptr, n, op->at & AT_INPUT, op->arg);
			break;
		case OP_POLL:
			cap_mem(user, ptr, n * op->size, op->max, tag(op->arg, ITEM_MEM) | flag);
			if (n * op->size > op->max && s->ret > 0)
				cap_ready(user, ptr + op->max, n - op->max / 8, op->arg);
			break;
		case OP_ROOM:
			cap_room(user, ptr, tag(op->arg, ITEM_LEN) | flag);
			break;
		case OP_VIA:
			cap_mem(user, pointer_at(user, ptr, op->at), n * op->size, op->max, tag(op->arg, ITEM_VIA) | flag);
			break;
		case OP_VIA_STR:
			cap_str(user, pointer_at(user, ptr, op->at), op->max, tag(op->arg, ITEM_VIA) | flag);
			break;
		case OP_VEC:
			cap_vec(user, ptr, n, op->size, tag(op->arg, ITEM_ELEM) | flag);
			break;
		case OP_STACK:
			cap_mem(user, s->sp + op->max, op->size, 64, tag(op->arg, ITEM_MEM) | flag);
			break;
		}
	}
	return 0;
}

/* Adds what an iovec has behind the first s->skip bytes to the end at s->off. */
__noinline int add_tail(u32 user, u64 ptr, u64 len)
{
	struct scratch *s = scratch_of(user);
	u32 off, at, take;
	u64 over;

	if (!s)
		return 1;
	over = s->skip < len ? s->skip : len;
	s->skip -= over;
	ptr += over;
	len -= over;
	off = s->off;
	at = s->at;
	if (off > REC_MAX - 8 - TAIL_MOST || at >= TAIL_MOST)
		return 1;
	take = TAIL_MOST - at;
	if (len < take)
		take = len;
	opaque(off);
	opaque(at);
	opaque(take);
	if (take > TAIL_MOST || at > TAIL_MOST || off > REC_MAX - 8 - TAIL_MOST)
		return 1;
	if (take && bpf_probe_read_user(s->buf + off + 4 + at, take, (void *)ptr))
		return 1;
	s->at = at + take;
	return 0;
}

/* The end of what an array of n iovecs holds: what lies behind s->skip. */
__noinline int tail_of_iov(u32 user, u64 ptr, u64 n, u32 tag)
{
	struct scratch *s = scratch_of(user);
	u32 i, at;

	if (!s)
		return 0;
	s->at = 0;
	for (i = 0; i < 64; i++) {
		if (i >= n)
			break;
		if (bpf_probe_read_user(s->iov, s->wide == 4 ? 8 : 16, (void *)ptr + i * 2 * s->wide))
			break;
		if (s->wide == 4 ? add_tail(user, (u32)s->iov[0], s->iov[0] >> 32) : add_tail(user, s->iov[0], s->iov[1]))
			break;
		again(i);
	}
	at = s->at;
	if (at && at <= TAIL_MOST)
		item(s, s->off, tag, at, 0);
	return 0;
}

/*
 * The end of a write that is longer than what is kept of its beginning: a message of an
 * error is the last line of what a logger writes at once. The calls that write have what they
 * write as their first op.
 */
__noinline int cap_tail(u32 user, u32 index)
{
	struct scratch *s = scratch_of(user);
	struct plan *p = bpf_map_lookup_elem(&plans, &index);
	struct plan_op *op;
	u64 ptr, from, n;
	u32 most, t;

	if (!s || !p || s->ret <= 0)
		return 0;
	most = s->limit < TAIL_MOST ? s->limit : TAIL_MOST;
	if (!most || s->ret <= s->limit || s->off > REC_MAX - 16 - TAIL_MOST)
		return 0;
	from = s->ret - most;
	if (from < s->limit)
		from = s->limit;
	op = &p->op[0];
	t = tag(op->arg, ITEM_TAIL) | (from > s->limit ? ITEM_CUT : 0);
	ptr = arg_of(s, op->arg);
	if (op->kind == OP_DATA) {
		cap_mem(user, ptr + from, s->ret - from, TAIL_MOST, t);
		return 0;
	}
	n = arg_of(s, op->carg);
	if (op->kind == OP_MSG) {
		u64 *m = s->msg;

		/* name, its length, the array, how many it has */
		if (bpf_probe_read_user(m, s->wide == 4 ? 16 : 32, (void *)ptr))
			return 0;
		ptr = s->wide == 4 ? (u32)m[1] : m[2];
		n = s->wide == 4 ? m[1] >> 32 : m[3];
	} else if (op->kind != OP_IOV) {
		return 0;
	}
	s->skip = from;
	tail_of_iov(user, ptr, n, s->pieces ? t | ITEM_CUT : t); /* of each iovec the beginning is kept */
	return 0;
}

static __always_inline void read_args(u64 *args, struct pt_regs *regs, bool compat)
{
#if defined(__TARGET_ARCH_x86)
	if (unlikely(compat)) {
		args[0] = (u32)regs->bx;
		args[1] = (u32)regs->cx;
		args[2] = (u32)regs->dx;
		args[3] = (u32)regs->si;
		args[4] = (u32)regs->di;
		args[5] = (u32)regs->bp;
		return;
	}
	args[0] = regs->di;
	args[1] = regs->si;
	args[2] = regs->dx;
	args[3] = regs->r10;
	args[4] = regs->r8;
	args[5] = regs->r9;
#else
	struct pt_regs___arm64 *r = (void *)regs;

	args[0] = r->orig_x0;
	args[1] = r->regs[1];
	args[2] = r->regs[2];
	args[3] = r->regs[3];
	args[4] = r->regs[4];
	args[5] = r->regs[5];
	if (compat) {
		args[0] = (u32)args[0];
		args[1] = (u32)args[1];
		args[2] = (u32)args[2];
		args[3] = (u32)args[3];
		args[4] = (u32)args[4];
		args[5] = (u32)args[5];
	}
#endif
}

static __always_inline u64 read_sp(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->sp;
#else
	struct pt_regs___arm64 *r = (void *)regs;

	return r->pstate & 0x10 /* PSR_MODE32_BIT */ ? r->regs[13] : r->sp;
#endif
}

static __always_inline s64 read_nr(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#else
	return ((struct pt_regs___arm64 *)regs)->syscallno;
#endif
}

static __always_inline u32 put_all(u8 *buf, u64 dur, s64 ret, const u64 *args, u32 nargs, u32 *sizes)
{
	u32 off = REC_HEAD;

	off = put(buf, off, dur, sizes, 0);
	off = put(buf, off, ret, sizes, 2);
	if (nargs < 1)
		return off;
	off = put(buf, off, args[0], sizes, 4);
	if (nargs < 2)
		return off;
	off = put(buf, off, args[1], sizes, 6);
	if (nargs < 3)
		return off;
	off = put(buf, off, args[2], sizes, 8);
	if (nargs < 4)
		return off;
	off = put(buf, off, args[3], sizes, 10);
	if (nargs < 5)
		return off;
	off = put(buf, off, args[4], sizes, 12);
	if (nargs < 6)
		return off;
	return put(buf, off, args[5], sizes, 14);
}

enum { VALUES_MAX = REC_HEAD + 8 * 8 };

/* Duration, result and arguments behind the head; returns the offset after them. */
static __always_inline u32 put_values(u8 *buf, u64 dur, s64 ret, const u64 *args, u32 nargs, u32 *sizes)
{
	u32 off = put_all(buf, dur, ret, args, nargs, sizes);

	/* Whichever way it came here: the verifier shall go on from one state only. */
	opaque(off);
	opaque(*sizes);
	return off > VALUES_MAX ? VALUES_MAX : off;
}

static __always_inline void put_head(u8 *buf, u64 time, u32 tid, u32 nr, u32 sizes)
{
	struct rec *r = (void *)buf;

	r->time = time;
	r->tid = tid;
	r->nr = nr;
	r->sizes = sizes;
}

/* Begins a record in a scratch: its head, and what s->args holds as its values. */
__noinline int begin(u32 user, u64 time, u64 dur, s64 ret, u64 tid_nr_nargs)
{
	struct scratch *s = scratch_of(user);
	u32 sizes = 0;

	if (!s)
		return 0;
	s->off = put_values(s->buf, dur, ret, s->args, tid_nr_nargs & 7, &sizes);
	put_head(s->buf, time, tid_nr_nargs >> 32, tid_nr_nargs >> 8 & 0xffff, sizes);
	return 0;
}

static __always_inline u64 who_what(u32 tid, u32 nr, u32 nargs)
{
	return (u64)tid << 32 | (nr & 0xffff) << 8 | nargs;
}

/* Ends the items and returns the record's length. */
static __always_inline u32 close_items(struct scratch *s)
{
	u32 off = s->off;

	opaque(off);
	if (off > REC_MAX)
		off = REC_MAX;
	opaque(off);
	*(u64 *)(s->buf + off) = 0;
	return (off + 7) & ~7u;
}

/* Puts the record in a scratch into the main lane and, unless where is NO_GUARD, into the
 * guard lanes; see guard(). */
__noinline int commit_from(u32 user, u32 slot, u32 type, u32 where)
{
	struct scratch *s = scratch_of(user);
	struct ring_head *r = ring_of(slot);
	u32 len, flags;

	if (!s || !r)
		return 0;
	len = close_items(s);
	if (len < REC_HEAD || len > REC_MAX)
		return 0;
	flags = (s->flags & 0x3ff) | (where != NO_GUARD ? RECF_GUARD : 0);
	opaque(flags);
	to_main(r, slot, (u64 *)s->buf, len, type, flags);
	if (where != NO_GUARD)
		guard(user, slot, where, len, flags << 4 | type);
	return 0;
}

/* Puts a record that was put together in a task's storage where guard() takes it from. */
static __always_inline void keep_short(u32 user, u64 *build)
{
	struct scratch *s = scratch_of(user);

	if (s)
		__builtin_memcpy(s->buf, build, sizeof(((struct task_state *)0)->build));
}

/* Is the task's mark that of the ring's present use? */
static __always_inline bool current(struct ring_head *r, struct task_state *ts)
{
	if (unlikely(r->gen != ts->gen)) {
		count(STAT_STALE);
		return false;
	}
	return true;
}

/* Is nothing written to the ring now? It is counted then. */
static __always_inline bool stopped(struct ring_head *r)
{
	u32 flags = r->flags;

	if (likely(!(flags & (RING_FROZEN | RING_OFF))))
		return false;
	__sync_fetch_and_add(flags & RING_OFF ? &r->muted : &r->frozen, 1);
	return true;
}

static __always_inline bool writable(struct ring_head *r, struct task_state *ts)
{
	return current(r, ts) && !stopped(r);
}

/* A ring has some flag: is this call kept out of it? Calls without a plan are
 * never muted. */
static __noinline bool kept_out(struct ring_head *r, u32 nr, bool compat)
{
	u32 index;

	if (stopped(r))
		return true;
	if (nr >> 30 == 1)
		nr &= 0x3fffffff; /* x32 */
	if (!(r->flags & RING_MUTES) || nr >= PLAN_CALLS)
		return false;
	index = nr + (compat ? PLAN_CALLS : 0);
	if (!(r->mutes[index >> 6 & (RING_MUTE_WORDS - 1)] >> (index & 63) & 1))
		return false;
	__sync_fetch_and_add(&r->muted, 1);
	return true;
}

enum { SOCKADDR_PATH = 2 }; /* where the path begins in a struct sockaddr_un */

/* Is a Unix socket one to a log, or to a process that took the other end of a pair, as
 * Node's children have? The path is that of systemd's journal or of syslog. */
static __always_inline bool logs(struct file *file)
{
	struct unix_address *addr = NULL;
	struct socket *socket = NULL;
	struct sock *sk = NULL;
	struct unix_sock *us;
	u64 path[3] = {};
	u16 family = 0;

	bpf_probe_read_kernel(&socket, sizeof(socket), (void *)file + core_field_offset(file->private_data));
	bpf_probe_read_kernel(&sk, sizeof(sk), (void *)socket + core_field_offset(socket->sk));
	bpf_probe_read_kernel(&family, sizeof(family), (void *)sk + core_field_offset(sk->__sk_common.skc_family));
	if (family != 1 /* AF_UNIX */)
		return false;
	us = (void *)sk;
	if (!core_field_exists(us->peer)) /* a kernel with Unix sockets in a module */
		return true;
	bpf_probe_read_kernel(&sk, sizeof(sk), (void *)us + core_field_offset(us->peer));
	us = (void *)sk;
	if (!us || bpf_probe_read_kernel(&addr, sizeof(addr), (void *)us + core_field_offset(us->addr)) || !addr)
		return true;
	bpf_probe_read_kernel(path, 20, (void *)addr + core_field_offset(addr->name) + SOCKADDR_PATH);
	return (path[0] == 0x7379732f6e75722full /* "/run/sys" */ && path[1] == 0x756f6a2f646d6574ull /* "temd/jou" */ &&
		(u32)path[2] == 0x6c616e72 /* "rnal" */) ||
	       path[0] == 0x676f6c2f7665642full /* "/dev/log" */;
}

/* The major numbers of terminals: tty, console, ptys, serial lines and consoles of
 * hypervisors. /dev/null is none: `echo SECRET | tee FILE >/dev/null` tells nobody. */
static __always_inline bool terminal(u32 major)
{
	return major == 4 || major == 5 || (major >= 136 && major <= 143) || major == 166 || major == 188 || major == 204 || major == 229;
}

/* What a descriptor of the current task is open on, NULL if nothing. */
static __always_inline struct file *file_of(u32 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files = task->files;
	struct file *file = NULL;
	struct fdtable *table;

	if (!files)
		return NULL;
	table = files->fdt;
	if (fd >= table->max_fds || bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd))
		return NULL;
	return file;
}

/* The file's type, as in the upper four bits of a mode. */
static __always_inline u16 type_of(struct file *file, struct inode **inode)
{
	u16 mode = 0;

	bpf_probe_read_kernel(inode, sizeof(*inode), (void *)file + core_field_offset(file->f_inode));
	bpf_probe_read_kernel(&mode, sizeof(mode), (void *)*inode + core_field_offset((*inode)->i_mode));
	return mode >> 12;
}

/*
 * Is this descriptor open on what somebody listens to: a pipe, a terminal, a log's
 * socket? A file that happens to have the number of standard output is a file: what is
 * written there may be a database. A function of its own: the verifier looks at it once.
 */
__noinline int talks(u32 fd)
{
	struct file *file = file_of(fd);
	struct inode *inode = NULL;
	u32 dev = 0;

	if (!file)
		return 0;
	switch (type_of(file, &inode)) {
	case 1: /* S_IFIFO */
		return 1;
	case 2: /* S_IFCHR */
		bpf_probe_read_kernel(&dev, sizeof(dev), (void *)inode + core_field_offset(inode->i_rdev));
		return terminal(dev >> 20);
	case 12: /* S_IFSOCK */
		return logs(file);
	}
	return 0;
}

/* ---- names: messages to and from port 53 ------------------------------------- */

enum {
	DNS_MOST = 512,    /* bytes that are kept of a message */
	DNS_PORT = 0x3500, /* 53 as it stands in memory, read on a little-endian CPU */
};

#if defined(__TARGET_ARCH_x86)
enum { NR_CONNECT = 42, NR_SENDTO = 44, NR_RECVFROM = 45, NR_SENDMSG = 46, NR_RECVMSG = 47 };
#else
enum { NR_CONNECT = 203, NR_SENDTO = 206, NR_RECVFROM = 207, NR_SENDMSG = 211, NR_RECVMSG = 212 };
#endif

/* Is port 53 in the address at a pointer of the program's? */
static __always_inline bool names_server(u64 ptr)
{
	u32 head = 0; /* family and port */

	if (!ptr || bpf_probe_read_user(&head, sizeof(head), (void *)ptr))
		return false;
	return ((u16)head == 2 || (u16)head == 10) && head >> 16 == DNS_PORT;
}

/* The port to which a socket of the internet is connected, as it stands in memory. */
static __always_inline u16 peer_port(u32 fd)
{
	struct file *file = file_of(fd);
	struct inode *inode = NULL;
	struct socket *socket = NULL;
	struct sock *sk = NULL;
	u16 family = 0, port = 0;

	if (!file || type_of(file, &inode) != 12 /* S_IFSOCK */)
		return 0;
	bpf_probe_read_kernel(&socket, sizeof(socket), (void *)file + core_field_offset(file->private_data));
	bpf_probe_read_kernel(&sk, sizeof(sk), (void *)socket + core_field_offset(socket->sk));
	bpf_probe_read_kernel(&family, sizeof(family), (void *)sk + core_field_offset(sk->__sk_common.skc_family));
	if (family != 2 && family != 10)
		return 0;
	bpf_probe_read_kernel(&port, sizeof(port), (void *)sk + core_field_offset(sk->__sk_common.skc_dport));
	return port;
}

/* Is what a call has moved a message to or from port 53? index: of the call, with PLAN_CALLS
 * if it is one of a 32-bit program. */
__noinline int dns(u32 user, u32 slot, u32 index)
{
	struct scratch *s = scratch_of(user);
	struct ring_head *r = ring_of(slot);
	u64 bit, name = 0;

	if (!s || !r)
		return 0;
	bit = 1ull << (s->args[0] & 63);
	switch (index) {
	case NR_CONNECT:
		if (names_server(s->args[1]))
			__sync_fetch_and_or(&r->dns, bit);
		return 0;
	case NR_SENDTO:
	case NR_RECVFROM:
		name = s->args[4];
		break;
	case NR_SENDMSG:
	case NR_RECVMSG:
		bpf_probe_read_user(&name, sizeof(name), (void *)s->args[1]); /* msg_name */
		break;
	}
	if (names_server(name))
		return 1;
	if (!(r->dns & bit))
		return 0;
	if (peer_port(s->args[0]) == DNS_PORT)
		return 1;
	__sync_fetch_and_and(&r->dns, ~bit);
	return 0;
}

static __always_inline bool stdio(u64 fd)
{
	return (u32)fd - 1 < 2;
}

/* Is something kept of contents, as far as the number of the descriptor tells? */
static __always_inline bool keeps_contents(struct ring_head *r, u64 fd)
{
	return r->data || (stdio(fd) && r->stdio & STDIO_BYTES) || r->dns >> (fd & 63) & 1;
}

/* Does a descriptor take what a program says? */
static __always_inline bool says(struct ring_head *r, u64 fd)
{
	return stdio(fd) && (r->stdio & STDIO_FILES || talks(fd));
}

static __always_inline u32 content_limit(struct ring_head *r, bool says)
{
	u32 limit = says ? r->stdio & STDIO_BYTES : r->data;

	return limit > 4096 ? 4096 : limit;
}

/* ---- system calls ------------------------------------------------------------ */

/* Is there anything to read when this call begins? */
static __always_inline bool reads_at_entry(struct scratch *s, struct plan *p)
{
	u32 i;

	for (i = 0; i < PLAN_OPS; i++) {
		struct plan_op *op = &p->op[i];

		if (i >= p->nops)
			break;
		if (at_entry(s, op))
			return true;
	}
	return false;
}

static __noinline int enter_slow(struct task_state *ts, struct pt_regs *regs, u32 index, u32 tid)
{
	struct scratch *s = scratch_of(BY_ENTER);
	struct plan *p = bpf_map_lookup_elem(&plans, &index), *sub = NULL;
	struct ring_head *r;

	if (!s || !p || unlikely(p->flags & PLAN_MUTE))
		return 0;
	read_args(s->args, regs, index >= PLAN_CALLS);
	if (p->flags & PLAN_SUB) {
		struct subplan_key key = { .nr = index, .cmd = arg_of(s, p->sub) };

		sub = bpf_map_lookup_elem(&subplans, &key);
	}
	/* recv() is a recvfrom without an address, and few ioctls have an input that is
	 * overwritten: nothing to read for most calls. */
	if (!(p->flags & PLAN_ENTER) && !(sub && sub->flags & PLAN_ARGS) && !reads_at_entry(s, sub ? sub : p))
		return 0;
	r = ring_of(ts->slot);
	if (!r || r->gen != ts->gen)
		return 0;
	/* Here nothing is counted: the call's end does it, if it has one. */
	if (unlikely(r->flags & (RING_FROZEN | RING_OFF)))
		return 0;
	if (unlikely(r->flags & RING_MUTES) && r->mutes[index >> 6 & (RING_MUTE_WORDS - 1)] >> (index & 63) & 1)
		return 0;
	s->sp = read_sp(regs);
	s->ret = 0;
	s->flags = index >= PLAN_CALLS ? RECF_COMPAT : 0;
	s->wide = index >= PLAN_CALLS ? 4 : 8;
	s->limit = 0;
	if (p->flags & PLAN_ENTER) {
		s->flags |= RECF_NODUR;
		begin(BY_ENTER, ts->enter, 0, 0, who_what(tid, index & (PLAN_CALLS - 1), p->nargs));
		if (p->nops)
			capture(BY_ENTER, index, 2);
		commit_from(BY_ENTER, ts->slot, REC_ENTER, NO_GUARD);
	} else {
		u32 n;

		s->off = 0;
		capture(BY_ENTER, index, 1);
		n = s->off;
		if (n > ENTRY_DATA) {
			ts->entry = ENTRY_LOST; /* more than is kept: the decoder shows the pointer */
			return 0;
		}
		bpf_probe_read_kernel(ts->entry_data, n, s->buf);
		ts->entry = n;
	}
	return 0;
}

/* perf: a constant, whether it came by the tracepoint's perf event (see preempt.go). */
static __always_inline struct pt_regs *regs_of(struct task_struct *task, u64 *ctx, bool perf)
{
	return perf ? (void *)bpf_task_pt_regs(task) : (void *)ctx[0];
}

static __always_inline int sys_enter(u64 *ctx, bool perf)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts;
	u64 id = perf ? ((struct trace_event_raw_sys_enter *)ctx)->id : ctx[1];
	u32 index;

	if (likely(!task->bpf_storage))
		return 0;
	ts = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!ts)
		return 0;
	ts->enter = bpf_ktime_get_ns();
	ts->nr = id;
	index = id & (PLAN_CALLS - 1);
	if (unlikely(id >= PLAN_CALLS))
		return 0;
	if (unlikely(compat_task(task)))
		index += PLAN_CALLS;
	if (unlikely(enter_bits[index >> 6] >> (index & 63) & 1))
		enter_slow(ts, regs_of(task, ctx, perf), index, task->pid);
	return 0;
}

SEC("tp_btf/sys_enter")
int on_sys_enter(u64 *ctx)
{
	return sys_enter(ctx, false);
}

/* For kernels that preempt the one above. 1: other users of the perf event go on. */
SEC("tracepoint/raw_syscalls/sys_enter")
int perf_sys_enter(u64 *ctx)
{
	sys_enter(ctx, true);
	return 1;
}

static __noinline int exit_slow(struct task_state *ts, struct pt_regs *regs, struct plan *p, s64 ret, u64 now)
{
	struct scratch *s = scratch_of(BY_EXIT);
	struct ring_head *r = ring_of(ts->slot);
	struct task_struct *task = bpf_get_current_task_btf();
	bool compat = compat_task(task);
	u32 index = ts->nr & (PLAN_CALLS - 1), tid = task->pid, n = ts->entry, where;
	bool failed, words, spoken;
	u64 dur;

	if (!s || !r)
		return 0;
	read_args(s->args, regs, compat);
	s->ret = ret;
	s->flags = compat ? RECF_COMPAT : 0;
	s->wide = compat ? 4 : 8;
	if (ts->nr & 0x40000000)
		s->flags |= RECF_X32;
	spoken = p->flags & (PLAN_CONTENTS | PLAN_DATA) && says(r, s->args[0]);
	s->limit = content_limit(r, spoken);
	if (r->stdio & STDIO_DNS && (p->flags & (PLAN_CONTENTS | PLAN_DATA) || index == NR_CONNECT) && s->limit < DNS_MOST && (ret >= 0 || ret == -115 /* EINPROGRESS */) &&
	    dns(BY_EXIT, ts->slot, index | (compat ? PLAN_CALLS : 0)))
		s->limit = DNS_MOST;
	dur = now - ts->enter;
	if (!ts->enter) {
		s->flags |= RECF_NODUR;
		dur = 0;
	}
	begin(BY_EXIT, now, dur, ret, who_what(tid, index, p->nargs));
	if (n == ENTRY_LOST) {
		s->flags |= RECF_CUT;
		ts->entry = 0;
	} else if (n) {
		u32 off = s->off, len = n;

		opaque(len); /* the one that is checked shall be the one that is used */
		if (off <= 128 && len <= ENTRY_DATA && !bpf_probe_read_kernel(s->buf + off, len, ts->entry_data))
			s->off = off + len;
		ts->entry = 0;
	}
	capture(BY_EXIT, index | (compat ? PLAN_CALLS : 0), 0);
	failed = (u64)ret > -4096ull && !everyday(ret);
	words = spoken && p->flags & PLAN_WRITE && ret > 0;
	if (words && ret > s->limit)
		cap_tail(BY_EXIT, index | (compat ? PLAN_CALLS : 0));
	where = failed ? failure(index, ret) : !words ? NO_GUARD : (u32)s->args[0] == 1 ? SMALL(LANE_OUT) : SMALL(LANE_ERR);
	commit_from(BY_EXIT, ts->slot, REC_CALL, where);
	return 0;
}

/* Has the call anything to follow? Most futex and fcntl calls, for example, have not. */
static __always_inline bool needs_items(struct ring_head *r, struct plan *p, u32 index, const u64 *args)
{
	if (p->flags & PLAN_DATA)
		return keeps_contents(r, args[0]);
	if (p->nops)
		return true;
	if (p->flags & PLAN_SUB) {
		u32 sub = p->sub;
		struct subplan_key key = { .nr = index, .cmd = sub == 0 ? args[0] : sub == 1 ? args[1] : args[2] };

		return bpf_map_lookup_elem(&subplans, &key);
	}
	return false;
}

static __always_inline int sys_exit(u64 *ctx, bool perf)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs;
	struct task_state *ts;
	struct ring_head *r;
	struct plan *p;
	s64 ret = perf ? ((struct trace_event_raw_sys_exit *)ctx)->ret : ctx[1];
	u64 now, enter, args[6];
	u32 nr, index, flags = 0, sizes = 0, off, len, nargs;
	bool compat, failed;

	if (likely(!task->bpf_storage))
		return 0;
	ts = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!ts)
		return 0;
	now = bpf_ktime_get_ns();
	regs = regs_of(task, ctx, perf);
	enter = ts->enter;
	if (unlikely(!enter)) {
		/* marked or born inside this call */
		ts->nr = read_nr(regs);
		flags |= RECF_NODUR;
	}
	r = ring_of(ts->slot);
	if (unlikely(!r || !current(r, ts)))
		goto out;
	nr = ts->nr;
	compat = compat_task(task);
	/* One test for all that can keep a call out of a ring. */
	if (unlikely(r->flags) && kept_out(r, nr, compat))
		goto out;
	index = nr;
	if (unlikely(nr >= PLAN_CALLS)) {
		if (nr >> 30 == 1 && (nr & 0x3fffffff) < X32_CALLS) {
			nr &= 0x3fffffff;
			flags |= RECF_X32;
		}
		if (nr < PLAN_CALLS) {
			index = nr;
		} else {
			/* No call that has a plan: 6 arguments, nothing followed. */
			nr = nr > NR_ITEM ? NR_ITEM : nr;
			p = NULL;
			nargs = 6;
			goto plain;
		}
	}
	index = (index & (PLAN_CALLS - 1)) | (compat ? PLAN_CALLS : 0);
	p = bpf_map_lookup_elem(&plans, &index);
	if (!p)
		goto out;
	if (unlikely(p->flags & PLAN_MUTE)) {
		__sync_fetch_and_add(&r->muted, 1);
		goto out;
	}
	nr = index & (PLAN_CALLS - 1);
	nargs = p->nargs;
plain:
	ts->calls++;
	opaque(flags);
	opaque(nr);
	opaque(nargs);
	read_args(args, regs, compat);
	if (p && needs_items(r, p, index, args)) {
		exit_slow(ts, regs, p, ret, now);
		goto out;
	}
	if (compat)
		flags |= RECF_COMPAT;
	off = put_values((u8 *)ts->build, flags & RECF_NODUR ? 0 : now - enter, ret, args, nargs, &sizes);
	if (unlikely(nr == NR_ITEM)) {
		*(u32 *)((u8 *)ts->build + off) = tag(0, ITEM_NUMBER) | 4 << 16;
		*(u32 *)((u8 *)ts->build + off + 4) = ts->nr;
		off += 8;
	}
	*(u64 *)((u8 *)ts->build + off) = 0; /* what is padding shall not look like an item */
	put_head((u8 *)ts->build, now, task->pid, nr, sizes);
	len = (off + 7) & ~7u;
	failed = (u64)ret > -4096ull && !everyday(ret);
	if (unlikely(failed)) {
		flags |= RECF_GUARD;
		keep_short(BY_EXIT, ts->build);
		guard(BY_EXIT, ts->slot, failure(nr, ret), len, flags << 4 | REC_CALL);
	}
	to_main(r, ts->slot, ts->build, len, REC_CALL, flags);
out:
	ts->enter = 0;
	ts->entry = 0;
	return 0;
}

SEC("tp_btf/sys_exit")
int on_sys_exit(u64 *ctx)
{
	return sys_exit(ctx, false);
}

SEC("tracepoint/raw_syscalls/sys_exit")
int perf_sys_exit(u64 *ctx)
{
	sys_exit(ctx, true);
	return 1;
}

/* ---- who belongs to which container ------------------------------------------- */

/*
 * Is this the name of a container's cgroup? It holds its id, 64 hexadecimal
 * digits, at the end or before ".scope"; conmon's cgroup, which holds it too, is
 * none. The same rule is in recorder/identity.
 */
__noinline int container_name(u32 user)
{
	struct scratch *s = scratch_of(user);
	volatile u32 *digits, *at;
	u32 i, end;

	if (!s)
		return 0;
	/* Kept in memory, where the verifier does not look for what they are. */
	digits = &s->off;
	at = &s->wide;
	*digits = 0; /* in a row so far */
	*at = 0;     /* where 64 of them ended */
	for (i = 0; i < PATH_PART; i++) {
		u32 c = s->buf[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
			*digits += 1;
		} else {
			if (*digits == 64)
				*at = i;
			*digits = 0;
			if (!c)
				break;
		}
	}
	end = *at;
	if (end < 64 || end > PATH_PART - 1)
		return 0;
	if (s->buf[end] != 0 &&
	    !(s->buf[end] == '.' && s->buf[end + 1] == 's' && s->buf[end + 2] == 'c' && s->buf[end + 3] == 'o' &&
	      s->buf[end + 4] == 'p' && s->buf[end + 5] == 'e' && s->buf[end + 6] == 0))
		return 0;
	if (end >= 64 + 7) {
		u32 p = end - 64 - 7;

		if (s->buf[p] == 'c' && s->buf[p + 1] == 'o' && s->buf[p + 2] == 'n' && s->buf[p + 3] == 'm' &&
		    s->buf[p + 4] == 'o' && s->buf[p + 5] == 'n')
			return 0;
	}
	return 1;
}

static __always_inline struct cgroup *parent_of(struct cgroup *c)
{
	struct cgroup_subsys_state *up = c->self.parent;

	return up ? up->cgroup : NULL;
}

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = task->cgroups;

	if (hierarchy) {
		/* an index that is a constant only to the verifier */
		struct cgroup_subsys_state **css = (void *)set + core_field_offset(set->subsys) + subsys * sizeof(*css);

		return (*css)->cgroup;
	}
	return set->dfl_cgrp;
}

/* How far up a cgroup's container is looked for. */
enum { LEVELS = 24 };

/* Whose a cgroup is. TOO_DEEP: more than LEVELS below the next container or the root.
 * Only who may make cgroups in a container gets there, and shall neither leave the
 * recording by that nor get rings that nobody counts. */
enum belongs { NOBODYS, CONTAINERS, TOO_DEEP };

/* Is it news that a cgroup gets no ring? */
static __noinline bool refuse(u64 id, u32 why)
{
	u32 *known = bpf_map_lookup_elem(&refused, &id);

	if (known && *known == why)
		return false;
	bpf_map_update_elem(&refused, &id, &why, BPF_ANY);
	return true;
}

/*
 * Whose is a cgroup that could have a ring inside a container's? Rings inside rings count
 * for the outermost container: one that holds many, each of which holds many, has no more
 * than others. CONTAINERS, and the nearest container in *out: it has as many as it may, so
 * what is in here is recorded with that one. NOBODYS: it may have its own; *out is the
 * nearest container around it, if that has a generation.
 */
static __noinline int enclosed(struct cgroup *c, struct claim *out)
{
	struct claim outermost = {}; /* not its ring: the verifier would go on with each apart */
	struct ring_head *r;
	u64 self = c->kn->id;
	u32 i;

	for (i = 0; i < LEVELS; i++) {
		struct claim *known;
		u64 id;

		c = parent_of(c);
		if (!c)
			break;
		id = c->kn->id;
		known = bpf_map_lookup_elem(&claims, &id);
		if (!known)
			continue;
		r = ring_of(known->slot);
		if (!r || r->gen != known->gen)
			continue;
		outermost = *known;
		if (!out->gen)
			*out = outermost;
	}
	if (c)
		return TOO_DEEP;
	r = ring_of(outermost.slot);
	if (!outermost.gen || !r || __sync_fetch_and_add(&r->nested, 1) < r->nested_max)
		return NOBODYS;
	r->nested = r->nested_max; /* as many as there are */
	if (refuse(self, REFUSED_ENCLOSED))
		count(STAT_NESTED_FULL);
	return CONTAINERS;
}

/* Takes a spare ring for a container's cgroup. If there is none it belongs to the nearest
 * container around it, or is NOBODYS. */
static __noinline int claim_ring(u32 user, struct cgroup *c, struct claim *out)
{
	struct kernfs_node *kn = c->kn;
	u64 id = kn->id, now = bpf_ktime_get_ns();
	struct ring_head *r;
	struct claim new = {}, *old;
	u32 slot, i;
	int around = enclosed(c, out);

	if (around != NOBODYS)
		return around;
	if (bpf_map_pop_elem(&spare, &slot)) {
		if (refuse(id, out->gen ? REFUSED_ENCLOSED : REFUSED_NO_RING)) {
			count(STAT_NO_RING);
			tell(EVENT_NORING, 0, id);
		}
		return out->gen ? CONTAINERS : NOBODYS;
	}
	r = ring_of(slot);
	if (!r)
		return NOBODYS;
	new.slot = slot;
	new.gen = r->gen;
	r->cgroup = id;
	r->claimed = now;
	r->began_late = user == BY_ITER;
	for (i = 0; i < PATH_PARTS; i++) {
		struct cgroup *up;

		bpf_probe_read_kernel_str(r->path[i], PATH_PART, c->kn->name);
		up = parent_of(c);
		if (!up)
			break;
		c = up;
	}
	if (bpf_map_update_elem(&claims, &id, &new, BPF_NOEXIST)) {
		/* another CPU was first, or the map is full */
		r->cgroup = 0;
		bpf_map_push_elem(&spare, &slot, 0);
		old = bpf_map_lookup_elem(&claims, &id);
		if (!old) {
			count(STAT_CLAIM_FULL);
			return NOBODYS;
		}
		*out = *old;
		return CONTAINERS;
	}
	count(STAT_CLAIMS);
	bpf_map_delete_elem(&refused, &id);
	tell(EVENT_CLAIM, slot, id);
	*out = new;
	return CONTAINERS;
}

/* Is this the cgroup of a container by its name? That of a pod of Podman's, which is called
 * like one, is none. */
static __always_inline bool named_container(u32 user, struct scratch *s, struct cgroup *c)
{
	/* "libpod_parent" in two words: a comparison by bytes is a way for the verifier each. */
	const u64 podman[] = { 0x705f646f7062696cull, 0x746e657261ull };
	struct cgroup *up;
	u64 *words = (u64 *)s->buf;
	bool bare;

	if (bpf_probe_read_kernel_str(s->buf, PATH_PART, c->kn->name) <= 64)
		return false;
	bare = s->buf[0] != 'l';
	if (!container_name(user))
		return false;
	up = parent_of(c);
	if (!up || !bare)
		return true;
	__builtin_memset(s->buf, 0, 16);
	bpf_probe_read_kernel_str(s->buf, 16, up->kn->name);
	return (words[0] ^ podman[0]) | (words[1] ^ podman[1]);
}

/*
 * The ring of a cgroup: of the nearest claimed one at or above it, unless there is one
 * between them whose name is a container's; else of itself below a watched root. Of
 * several that have a container's name and no ring the outermost is claimed first, since
 * it answers for what is made inside it: a container whose tasks are all further down must
 * not go without. The others follow in the pass that is asked for.
 */
static __noinline int find_ring(u32 user, struct cgroup *c, struct claim *out)
{
	struct scratch *s = scratch_of(user);
	struct cgroup *self = c, *named = NULL;
	volatile u32 *names;
	u32 i;

	if (!s || !c)
		return NOBODYS;
	names = &s->room; /* in memory, where the verifier does not look for what it is */
	*names = 0;
	for (i = 0; i < LEVELS; i++) {
		u64 id = c->kn->id;
		struct claim *known = bpf_map_lookup_elem(&claims, &id);

		if (known) {
			if (!named) {
				*out = *known;
				return known->slot == NO_SLOT ? NOBODYS : CONTAINERS;
			}
			c = NULL;
			break;
		}
		if (!named && bpf_map_lookup_elem(&roots, &id)) {
			if (c != self)
				named = self;
			c = NULL;
			break;
		}
		if (!only_roots && named_container(user, s, c)) {
			*names += 1;
			named = c;
		}
		c = parent_of(c);
		if (!c)
			break;
	}
	/* Here and below nothing is asked of i: the verifier then has one state for all turns. */
	if (c)
		return TOO_DEEP;
	if (!named)
		return NOBODYS;
	if (*names > 1 && user != BY_ITER)
		tell(EVENT_SCAN, 0, 0);
	return claim_ring(user, named, out);
}

/* Is a cgroup that of the ring of this generation, or below it? */
static __noinline bool within(struct cgroup *c, u32 gen)
{
	u32 i;

	for (i = 0; i < LEVELS && c; i++) {
		u64 id = c->kn->id;
		struct claim *known = bpf_map_lookup_elem(&claims, &id);

		if (known && known->gen == gen)
			return true;
		c = parent_of(c);
	}
	return c;
}

/* Counts a task that has a container's mark and is now in this cgroup, if that is outside
 * of the container. */
static __noinline int count_outside(struct cgroup *c, u64 mark)
{
	u32 slot = mark, gen = mark >> 32;
	struct ring_head *r = ring_of(slot);

	if (!r || r->gen != gen || within(c, gen))
		return 0;
	count(STAT_MOVED_OUT);
	__sync_fetch_and_add(&r->moved_out, 1);
	return 0;
}

static __always_inline void new_init(struct ring_head *r, struct task_struct *task)
{
	r->init_tid = task->tgid;
	r->init_start = task->start_time;
	r->init_gone = 0;
	r->init_execed = 0;
	bpf_probe_read_kernel(r->init_comm, COMM_LEN, task->comm);
}

/* Counts a task out of the ring of a mark that it had. */
static __noinline int count_out(u64 mark)
{
	u32 slot = mark, gen = mark >> 32;
	struct ring_head *r = ring_of(slot);

	if (r && gen && r->gen == gen && __sync_fetch_and_add(&r->tasks_live, -1) == 1) {
		r->last_exit = bpf_ktime_get_ns();
		tell(EVENT_ENDED, slot, r->cgroup);
	}
	return 0;
}

static __always_inline void leave(struct task_state *ts)
{
	count_out(__sync_lock_test_and_set(&ts->mark, 0));
}

/* A task is marked as one of a ring's. Generations are unique over all rings, so
 * whoever changes it, among the iterator and the events, counts, and nobody else. */
static __always_inline struct task_state *mark(u32 user, struct task_struct *task, struct claim *to, struct task_struct *named)
{
	struct ring_head *r = ring_of(to->slot);
	struct task_state *ts;
	u64 old, new;

	/* The slot may be another container's by now; a task that is ending has been
	 * counted out, or will never be counted in. */
	if (!r || r->gen != to->gen || task->flags & PF_EXITING)
		return NULL;
	ts = bpf_task_storage_get(&tasks, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!ts) {
		count(STAT_NO_STORAGE);
		__sync_fetch_and_add(&r->unmarked, 1);
		if (user != BY_ITER) /* which would ask for itself */
			tell(EVENT_SCAN, to->slot, r->cgroup);
		return NULL;
	}
	new = (u64)to->gen << 32 | to->slot;
	old = __sync_lock_test_and_set(&ts->mark, new);
	if (old == new)
		return ts;
	if (unlikely(old)) /* another gave it a mark since settle() looked */
		count_out(old);
	bpf_probe_read_kernel(ts->first_comm, COMM_LEN, named->comm);
	/* Of those that were there before, the iterator meets the lowest pid first: the
	 * first process, most likely, where no pid namespace tells (meet_init). */
	if (__sync_fetch_and_add(&r->tasks_ever, 1) == 0)
		new_init(r, task);
	__sync_fetch_and_add(&r->tasks_live, 1);
	/* Did it end meanwhile? on_task_exit may have looked before the mark was there. */
	if (unlikely(READ_ONCE(task->flags) & PF_EXITING)) {
		leave(ts);
		return NULL;
	}
	return ts;
}

enum settled { SAME, DEEP, MARKED, LEFT };

/* Brings a task's mark in line with the cgroup it is in. Returns what it did. */
static __always_inline enum settled settle(u32 user, struct task_struct *task, struct cgroup *c)
{
	/*
	 * Not looked up where there is none: the iterator can be preempted inside the
	 * lookup, and meanwhile no other program on that CPU can make a mark.
	 */
	struct task_state *ts = task->bpf_storage ? bpf_task_storage_get(&tasks, task, NULL, 0) : NULL;
	struct claim to = {};
	int in;

	if (task->flags & PF_EXITING)
		return SAME; /* on_task_exit counts it out */
	in = find_ring(user, c, &to);
	if (in == TOO_DEEP)
		return DEEP; /* it stays whose it is */
	if (ts && ts->gen) {
		if (in && ts->gen == to.gen)
			return SAME;
		count_outside(c, ts->mark);
		leave(ts);
	}
	if (in)
		return mark(user, task, &to, task) ? MARKED : SAME;
	if (!ts)
		return SAME;
	bpf_task_storage_delete(&tasks, task);
	return LEFT;
}

TWICE("tp_btf/cgroup_attach_task", on_attach)
{
	struct cgroup *dst = (void *)ctx[0];
	struct task_struct *task = (void *)ctx[2];

	if (dst->root->hierarchy_id != hierarchy)
		return 0;
	/* The event names only the leader of a process that moves as a whole. */
	if (settle(BY_ATTACH, task, dst) > DEEP && task->signal->nr_threads > 1)
		tell(EVENT_SCAN, 0, 0);
	return 0;
}

enum { NR_CLONE3 = 435 /* on every ABI */, CLONE_ARGS = 88 /* bytes of struct clone_args */ };

/*
 * The child shows the call that made it, too, at its end, when the parent may have used
 * the memory of the arguments for something else. They are read here, in the parent, and
 * the child has not run yet. Calls other than clone3 take none from memory.
 */
static __always_inline void hand_on(struct task_struct *parent, struct task_struct *child)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(parent);
	struct scratch *s = scratch_of(BY_FORK);
	struct task_state *ts;
	u32 n;

	if (likely(read_nr(regs) != NR_CLONE3) || !s || parent != bpf_get_current_task_btf())
		return;
	ts = bpf_task_storage_get(&tasks, child, NULL, 0);
	if (!ts)
		return;
	read_args(s->args, regs, compat_task(parent));
	s->off = 0;
	cap_mem(BY_FORK, s->args[0], s->args[1], CLONE_ARGS, tag(0, ITEM_MEM));
	n = s->off;
	opaque(n);
	if (n > ENTRY_DATA)
		return;
	bpf_probe_read_kernel(ts->entry_data, n, s->buf);
	ts->entry = n;
}

static __always_inline void join(struct task_struct *parent, struct task_struct *child, bool again)
{
	/* clone3 with CLONE_INTO_CGROUP raises no attach event */
	bool elsewhere = parent->cgroups != child->cgroups, inherits = false;
	struct task_state *ts = NULL;
	struct claim to = {};

	if (likely(!parent->bpf_storage && !elsewhere))
		return;
	if (parent->bpf_storage)
		ts = bpf_task_storage_get(&tasks, parent, NULL, 0);
	if (ts && ts->gen) {
		struct ring_head *r = ring_of(ts->slot);

		to.slot = ts->slot;
		to.gen = ts->gen;
		inherits = r && r->gen == to.gen;
		if (elsewhere && !again)
			count_outside(cgroup_of(child), ts->mark);
		elsewhere |= !inherits;
	}
	/* One that is too deep stays whose it is. */
	if (elsewhere && settle(BY_FORK, child, cgroup_of(child)) != DEEP)
		return;
	if (inherits)
		mark(BY_FORK, child, &to, parent);
}

TWICE("tp_btf/sched_process_fork", on_fork)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];

	join(parent, child, again);
	if (unlikely(child->bpf_storage))
		hand_on(parent, child);
	return 0;
}

/*
 * Threads that the kernel makes in a process, for io_uring and vhost: no fork event tells
 * of them, and the process ends with the last of its threads, which may be one of these.
 */
TWICE("tp_btf/task_newtask", on_newtask)
{
	struct task_struct *child = (void *)ctx[0];

	if (unlikely(child->flags & (PF_IO_WORKER | PF_USER_WORKER)))
		join(bpf_get_current_task_btf(), child, again);
	return 0;
}

/* The id of a pid in the namespace that lies `level` deep; 0: its own. */
static __always_inline u32 pid_at(struct pid *pid, u32 level, u32 *ns)
{
	struct upid up = {};
	u32 own = pid->level;
	u64 at;

	if (!level)
		level = own;
	if (level > own || level > 32)
		return 0; /* not seen there */
	at = level;
	opaque(at);
	at &= 63; /* 6.1 forgets what it knew of a product of 32 bits */
	bpf_probe_read_kernel(&up, sizeof(up), (void *)pid + core_field_offset(pid->numbers) + at * core_type_size(struct upid));
	if (ns)
		bpf_probe_read_kernel(ns, sizeof(*ns), (void *)up.ns + core_field_offset(up.ns->ns.inum));
	return up.nr;
}

static __always_inline void describe(struct task_info *t, struct task_struct *task, struct task_state *ts, struct ring_head *r)
{
	u32 level = r->pid_level;

	t->start = task->start_time;
	t->calls = ts->calls;
	t->tid = task->pid;
	t->tgid = task->tgid;
	t->ptid = task->real_parent->tgid;
	t->ns_tid = pid_at(task->thread_pid, level, &t->pid_ns);
	t->ns_tgid = pid_at(task->signal->pids[1], level, NULL);
	t->ns_ptid = pid_at(task->real_parent->signal->pids[1], level ? level : task->thread_pid->level, NULL);
	t->exit_code = task->exit_code;
	bpf_probe_read_kernel(t->first_comm, COMM_LEN, ts->first_comm);
	bpf_probe_read_kernel(t->comm, COMM_LEN, task->comm);
}

/* Keeps the command line of the container's first process where no ring turns. */
static __always_inline void keep_args(struct ring_head *r, struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	u64 from, len;

	if (!mm || task != bpf_get_current_task_btf())
		return;
	from = mm->arg_start;
	len = mm->arg_end - from;
	if (len > ARGS_MAX)
		len = ARGS_MAX;
	r->args_len = 0;
	if (len && !bpf_probe_read_user(r->args, len, (void *)from))
		r->args_len = len;
}

/*
 * Whose end is the container's end? The init of the outermost pid namespace whose
 * init is among its tasks; its pids are the container's. Without one, the first
 * process that entered.
 */
static __always_inline void meet_init(struct ring_head *r, struct task_struct *task)
{
	u32 level = task->thread_pid->level;

	if (!level || pid_at(task->signal->pids[1], 0, NULL) != 1 || (r->pid_level && r->pid_level <= level))
		return;
	/* A container in the host's pid namespace may make one of its own inside. */
	if (!r->pid_level && r->init_execed && !r->init_gone)
		return;
	r->pid_level = level;
	new_init(r, task);
}

/*
 * runc's helper processes enter first and end before or after the entrypoint's
 * exec; newer ones have made an execve of their own in there. Where no pid namespace
 * tells (meet_init), the first process is the one that does exec and whose parent is
 * outside, as long as the one before it was none.
 */
static __always_inline void settle_init(struct ring_head *r, struct task_struct *task)
{
	if (r->pid_level || r->init_tid == task->tgid)
		return;
	if (r->init_execed && !(r->init_gone && bpf_ktime_get_ns() - r->claimed < STARTUP_MS * 1000000ull))
		return;
	if (cgroup_of(task->real_parent) != cgroup_of(task))
		new_init(r, task);
}

TWICE("tp_btf/sched_process_exec", on_exec)
{
	struct task_struct *task = (void *)ctx[0];
	s32 old = ctx[1];
	struct linux_binprm *bprm = (void *)ctx[2];
	struct task_state *ts;
	struct ring_head *r;
	struct scratch *s;
	struct mm_struct *mm;
	u64 from, to;
	u32 off;
	long n;

	ts = task->bpf_storage ? bpf_task_storage_get(&tasks, task, NULL, 0) : NULL;
	if (!ts) {
		/* Did an event miss it, or was there no memory for its mark? */
		if (settle(BY_EXEC, task, cgroup_of(task)) != MARKED)
			return 0;
		count(STAT_FOUND);
		ts = bpf_task_storage_get(&tasks, task, NULL, 0);
		if (!ts)
			return 0;
	}
	r = ring_of(ts->slot);
	s = scratch_of(BY_EXEC);
	if (!r || !s || !current(r, ts) || second(ts, SEEN_EXEC, again))
		return 0;
	__sync_fetch_and_add(&r->execs, 1);
	settle_init(r, task);
	meet_init(r, task);
	if (r->init_tid == task->tgid) {
		r->init_execed = 1;
		if (!(r->flags & RING_OFF))
			keep_args(r, task);
	}
	if (stopped(r))
		return 0;
	s->flags = RECF_NODUR;
	begin(BY_EXEC, bpf_ktime_get_ns(), 0, old, who_what(task->pid, 0, 0));
	off = s->off;
	if (off > 128)
		return 0;
	n = bpf_probe_read_kernel_str(s->buf + off + 4, 4096, bprm->filename);
	if (n > 0 && n <= 4096)
		item(s, off, tag(0, ITEM_STR), n - 1, 0);
	if (bprm->interp != bprm->filename) {
		off = s->off;
		if (off > REC_MAX - 1024)
			return 0;
		n = bpf_probe_read_kernel_str(s->buf + off + 4, 512, bprm->interp);
		if (n > 0 && n <= 512)
			item(s, off, tag(1, ITEM_STR), n - 1, 0);
	}
	mm = task->mm;
	from = mm->arg_start;
	to = mm->arg_end;
	if (to > from)
		cap_mem(BY_EXEC, from, to - from, 2048, tag(2, ITEM_ARGV));
	commit_from(BY_EXEC, ts->slot, REC_EXEC, SMALL(LANE_EXEC));
	return 0;
}

/* The state of a controller for a task's cgroup, in either version of cgroups. */
static __always_inline void *controller(struct task_struct *task, u32 id)
{
	struct css_set *set = task->cgroups;
	void *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css), (void *)set + core_field_offset(set->subsys) + id * sizeof(css));
	return css;
}

#define READ_KERNEL(to, base, type, field) \
	bpf_probe_read_kernel(&(to), sizeof(to), (base) + core_field_offset(((type *)0)->field))

/* How many cgroups above each other are asked for their limits. */
enum { LIMITED = 8 };

static __always_inline void memory_of(struct task_struct *task, struct usage *u)
{
	void *counter = controller(task, core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	u64 max, use, least = ~0ull; /* how far the nearest is from its limit */
	void *up;
	u32 i;

	if (counter)
		counter += core_field_offset(((struct mem_cgroup *)0)->memory);
	for (i = 0; i < LIMITED && counter; i++) {
		max = use = 0;
		READ_KERNEL(max, counter, struct page_counter, max);
		READ_KERNEL(use, counter, struct page_counter, usage.counter);
		READ_KERNEL(up, counter, struct page_counter, parent);
		if (!i && up) /* the root's use is the node's */
			u->memory = use << page_bits;
		if (max && max < (1ull << 62) >> page_bits && (use < max ? max - use : 0) < least) {
			least = use < max ? max - use : 0;
			u->memory = use << page_bits;
			u->memory_max = max << page_bits;
		}
		counter = up;
	}
}

enum { PIDS_LIMIT = 4 << 20 }; /* the most that the kernel has: no limit */

static __always_inline void pids_of(struct task_struct *task, struct usage *u)
{
	void *css = controller(task, core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
	u64 max, use, least = ~0ull;
	u32 i;

	for (i = 0; i < LIMITED && css; i++) {
		max = use = 0;
		READ_KERNEL(max, css, struct pids_cgroup, limit.counter);
		READ_KERNEL(use, css, struct pids_cgroup, counter.counter);
		if (use && !u->pids)
			u->pids = use;
		if (use && max && max < PIDS_LIMIT && (use < max ? max - use : 0) < least) {
			least = use < max ? max - use : 0;
			u->pids = use;
			u->pids_max = max;
		}
		READ_KERNEL(css, css, struct cgroup_subsys_state, parent);
	}
}

static __always_inline u64 rss(struct mm_struct *mm, u32 what)
{
	s64 pages = 0;

	if (core_field_exists(mm->rss_stat[0].count)) {
		bpf_probe_read_kernel(&pages, sizeof(pages), (void *)mm + core_field_offset(mm->rss_stat[0].count) +
			what * core_type_size(struct percpu_counter));
	} else {
		struct mm_struct___before62 *old = (void *)mm;

		if (core_field_exists(old->rss_stat.count))
			bpf_probe_read_kernel(&pages, sizeof(pages), (void *)mm + core_field_offset(old->rss_stat.count) +
				what * sizeof(long));
	}
	return pages > 0 ? (u64)pages << page_bits : 0; /* it is summed up lazily */
}

/*
 * Adds what a task and its cgroup use to a record. The kernel's own figures: when the OOM
 * killer chooses, and when the first process ends; then the runtime takes the cgroup away.
 */
static __noinline int cap_usage(struct task_struct *task, u32 user, u32 arg)
{
	struct scratch *s = scratch_of(user);
	struct mm_struct *mm = task->mm;
	struct usage *u;
	u32 off;

	if (!s)
		return 0;
	off = s->off;
	if (off > REC_MAX - 1024)
		return 0;
	u = (void *)(s->buf + off + 4);
	__builtin_memset(u, 0, sizeof(*u));
	if (core_enum_exists(enum cgroup_subsys_id, memory_cgrp_id))
		memory_of(task, u);
	if (core_enum_exists(enum cgroup_subsys_id, pids_cgrp_id))
		pids_of(task, u);
	if (mm) {
		u->file = rss(mm, 0);
		u->anon = rss(mm, 1);
		u->swap = rss(mm, 2);
		u->shmem = rss(mm, 3);
	}
	item(s, off, tag(arg, ITEM_MEM), sizeof(*u), 0);
	return 0;
}

TWICE("tp_btf/sched_process_exit", on_task_exit)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_state *ts;
	struct ring_head *r;
	struct scratch *s;
	struct task_info *t;
	u64 now;
	u32 tid = task->pid, in, where, status, len;
	bool last, oom, leader;

	if (likely(!task->bpf_storage))
		return 0;
	ts = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!ts || !ts->gen)
		return 0;
	r = ring_of(ts->slot);
	s = scratch_of(BY_TASK);
	if (!r || !s || r->gen != ts->gen)
		return 0;
	now = bpf_ktime_get_ns();
	last = task->signal->live.counter == 0;
	oom = task->signal->oom_mm != NULL;
	in = ts->enter ? (ts->nr & 0xffff) + 1 : 0;
	s->flags = compat_task(task) ? RECF_COMPAT | RECF_NODUR : RECF_NODUR;
	if (last && oom) {
		begin(BY_TASK, now, 0, task->tgid, who_what(tid, 0, 0));
		if (!(r->flags & (RING_FROZEN | RING_OFF)))
			commit_from(BY_TASK, ts->slot, REC_OOM, SMALL(LANE_CRASH));
		__sync_fetch_and_add(&r->oom_kills, 1);
	}
	s->args[0] = task->tgid;
	s->args[1] = last;
	s->args[2] = ts->enter;
	s->args[3] = oom;
	s->args[4] = task->signal->group_exit_code;
	begin(BY_TASK, now, 0, task->exit_code, who_what(tid, in, 5));
	if (last && task->tgid == r->init_tid)
		cap_usage(task, BY_TASK, 0);
	/* Of threads that ended well there may be very many; of those that their process's
	 * end ended, too, and they shall not push out what ended it. */
	status = task->exit_code | (last ? task->signal->group_exit_code : 0);
	where = last && status ? SMALL(LANE_CRASH) : last || status ? SMALL(LANE_EXIT) : NO_GUARD;
	if (!(r->flags & (RING_FROZEN | RING_OFF)))
		commit_from(BY_TASK, ts->slot, REC_EXIT, where);

	/* The init that the runtime made, and that could not execute the program: the processes
	 * of runc's that were met before it have done exec themselves, and ended. */
	if (last && (!r->init_execed || (r->init_gone && now - r->claimed < STARTUP_MS * 1000000ull)))
		meet_init(r, task);
	if (last && task->tgid == r->init_tid && !r->init_gone) {
		u32 code = task->signal->group_exit_code;

		/* Of two threads that end at once, both may be the last. A process that none of
		 * them ended as a whole has the status of its leader. */
		r->init_exit = code ? code : task->group_leader->exit_code;
		r->init_end = now;
		r->init_gone = oom ? 2 : 1;
	}
	s->flags = RECF_NODUR;
	begin(BY_TASK, now, 0, 0, who_what(tid, 0, 0));
	*(u32 *)(s->buf + REC_HEAD) = tag(0, ITEM_MEM) | (u32)sizeof(*t) << 16;
	t = (void *)(s->buf + REC_HEAD + 4);
	describe(t, task, ts, r);
	t->end = now;
	*(u64 *)(s->buf + REC_HEAD + 4 + sizeof(*t)) = 0;
	len = (REC_HEAD + 4 + sizeof(*t) + 7) & ~7u;
	leader = tid == task->tgid;
	if (take_share(&r->first_tasks[!leader], len, r->group[leader ? LANE_PROC_FIRST : LANE_THREAD_FIRST].size))
		where = leader ? SMALL(LANE_PROC_FIRST) : SMALL(LANE_THREAD_FIRST);
	else
		where = !leader ? SMALL(LANE_THREAD) : task->exit_code ? SMALL(LANE_BAD) : SMALL(LANE_PROC);
	keep_in(BY_TASK, ts->slot, where, len, s->flags << 4 | REC_TASK);
	leave(ts);
	return 0;
}

TWICE("tp_btf/signal_deliver", on_signal)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *ts;
	struct ring_head *r;
	struct scratch *s;
	struct k_sigaction *act = (void *)ctx[2];
	u64 handler = 0, flags = 0;
	s32 info[12] = {};
	u32 off, sig = ctx[0], where;

	if (likely(!task->bpf_storage))
		return 0;
	ts = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!ts || second(ts, SEEN_SIGNAL, again))
		return 0;
	r = ring_of(ts->slot);
	s = scratch_of(BY_SIGNAL);
	if (!r || !s || !writable(r, ts))
		return 0;
	/* info may be a small number instead of a pointer (SEND_SIG_NOINFO) */
	bpf_probe_read_kernel(info, sizeof(info), (void *)ctx[1]);
	bpf_probe_read_kernel(&handler, sizeof(handler), (void *)act + core_field_offset(act->sa.sa_handler));
	bpf_probe_read_kernel(&flags, sizeof(flags), (void *)act + core_field_offset(act->sa.sa_flags));
	s->args[0] = (s64)info[1];
	s->args[1] = handler;
	s->args[2] = flags;
	s->flags = compat_task(task) ? RECF_COMPAT | RECF_NODUR : RECF_NODUR;
	begin(BY_SIGNAL, bpf_ktime_get_ns(), 0, (s64)info[2], who_what(task->pid, sig, 3));
	off = s->off;
	if (off > 128)
		return 0;
	__builtin_memcpy(s->buf + off + 4, info, sizeof(info));
	item(s, off, tag(0, ITEM_MEM), sizeof(info), 0);
	/* Each thread of a process that ends gets a SIGKILL. */
	where = handler == 1 ? NO_GUARD : handler ? SMALL(LANE_SIGNAL) : sig == 9 ? SMALL(LANE_EXIT) : SMALL(LANE_CRASH);
	commit_from(BY_SIGNAL, ts->slot, REC_SIGNAL, where);
	return 0;
}

/* In bits: signals that end, stop or are asked to end a process are what is told of. */
#define SIG(n) (1ull << ((n) - 1))
enum { SIGKILL = 9, SI_TKILL = -6, SI_SIGIO = -5, SI_ASYNCIO = -4, SI_TIMER = -2, SI_KERNEL = 0x80 };
static const u64 asks = SIG(1) | SIG(2) | SIG(3) | SIG(15);            /* HUP INT QUIT TERM */
static const u64 idle = SIG(17) | SIG(18) | SIG(23) | SIG(28);         /* CHLD CONT URG WINCH: nothing by default */

/*
 * Does current send this, and not an interrupt that came while it ran? An interrupt has a
 * stack of its own, but for x86's in user mode: behind that the registers have no call's
 * number. (As numbers, by way of memory: the verifier does not subtract pointers.)
 */
static __always_inline bool by_current(struct scratch *s, u64 *ctx, struct task_struct *task)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	volatile u64 *at = s->msg;

	at[0] = (u64)ctx;
	at[1] = (u64)task->stack;
	at[2] = (u64)regs;
	return at[0] - at[1] < at[2] - at[1] && (read_nr(regs) >= 0 || task->flags & PF_EXITING);
}

/* Is a call one of those that let the caller fill in the siginfo? A program could say there
 * that the signal came from a timer. */
static __always_inline bool queues(struct task_struct *task)
{
	s64 nr = read_nr((void *)bpf_task_pt_regs(task));

	if (nr == 424 /* pidfd_send_signal */)
		return true;
	if (compat_task(task))
		return nr == 178 || nr == 335 || nr == 363;
#if defined(__TARGET_ARCH_x86)
	nr &= ~0x40000000ll;
	return nr == 129 || nr == 297 || nr == 524 || nr == 536;
#else
	return nr == 138 || nr == 240;
#endif
}

/* A string of the kernel's, if there is one. max: bytes, at most 160. */
static __always_inline void name_item(struct scratch *s, u32 arg, u32 max, const void *from)
{
	u32 off = s->off;
	long n;

	if (off > REC_MAX - 1024)
		return;
	n = bpf_probe_read_kernel_str(s->buf + off + 4, max, from);
	if (n > 1 && n <= PATH_PART)
		item(s, off, tag(arg, ITEM_STR), n - 1, 0);
}

/* Who sent it: ids and where it is in the record's values. Returns enum sent_flag. */
static __always_inline u32 sender(struct scratch *s, struct task_struct *from, struct task_struct *to, struct ring_head *r, u32 gen)
{
	struct task_state *ts = from->bpf_storage ? bpf_task_storage_get(&tasks, from, NULL, 0) : NULL;
	u32 level = r->pid_level ? r->pid_level : to->thread_pid->level, here = 0, there = 0, nr;

	nr = pid_at(from->signal->pids[1], level, &there);
	pid_at(to->thread_pid, level, &here);
	s->args[3] = from->tgid;
	s->args[4] = here == there ? nr : 0;
	return (ts && ts->gen ? ts->gen == gen ? SENT_SAME : SENT_OTHER : 0) | (from->flags & PF_EXITING ? SENT_AT_END : 0);
}

/* The names of who sent it. */
static __noinline int name_sender(struct task_struct *from, u32 flags)
{
	struct scratch *s = scratch_of(BY_SENDER);
	struct task_struct *up = from->group_leader->real_parent;

	if (!s)
		return 0;
	name_item(s, 0, COMM_LEN, from->group_leader->comm);
	if (up->tgid > 1)
		name_item(s, 1, COMM_LEN, up->group_leader->comm);
	if (!(flags & SENT_SAME))
		name_item(s, 2, PATH_PART, cgroup_of(from)->kn->name);
	return 0;
}

/* Is there room for one more of this second? Who sends holds the lock of the target's signals. */
static __always_inline bool room_for(struct task_state *ts, u64 now)
{
	if (now - ts->sent_since >= 1000000000ull) {
		ts->sent_since = now;
		ts->sent = 0;
	}
	if (ts->sent >= SENT_MOST) {
		ts->unsent++;
		return false;
	}
	ts->sent++;
	return true;
}

/* Where the signals to a task's process are counted: with its leader, if that has a mark. */
static __always_inline struct task_state *counted_with(struct task_struct *to, struct task_state *ts)
{
	struct task_struct *leader = to->group_leader;
	struct task_state *all = leader == to ? ts : bpf_task_storage_get(&tasks, leader, NULL, 0);

	return all ? all : ts;
}

/*
 * A signal was sent. This runs for another task than the current one, with interrupts off and
 * maybe in one; while another program of ours is at work on this CPU, too.
 *
 * Told of is what ends or stops a process, or asks it to end. Left out is what is frequent
 * and tells nothing new: what by default does nothing, signals of the process' own (a call
 * tells of those), of its timers and descriptors, and such that it has a handler for and that
 * do not ask it to end: who sent those, REC_SIGNAL says.
 */
TWICE("tp_btf/signal_generate", on_sent)
{
	struct task_struct *to = (void *)ctx[2], *from;
	struct task_state *ts;
	struct ring_head *r;
	struct scratch *s;
	u64 handler = 0, now, bit, at;
	u32 sig = ctx[0], flags, where, slot, gen;
	s32 info[3] = {}, code;
	bool killed, by;

	if (likely(!to->bpf_storage))
		return 0;
	bit = 1ull << (sig - 1 & 63);
	if (bit & idle)
		return 0;
	ts = bpf_task_storage_get(&tasks, to, NULL, 0);
	if (!ts || !ts->gen)
		return 0;
	if (steady()) {
		bool done = again && ts->sent_seen;

		ts->sent_seen = !again;
		if (done)
			return 0;
	}
	slot = ts->slot;
	gen = ts->gen;
	r = ring_of(slot);
	s = scratch_of(BY_SENDER);
	if (!r || !s || r->gen != gen)
		return 0;
	from = bpf_get_current_task_btf();
	/* info may be a small number: 0 is of a process, 1 of the kernel. By way of memory: the
	 * verifier takes it for a pointer that is never 0. */
	*(volatile u64 *)s->iov = ctx[1];
	at = *(volatile u64 *)s->iov;
	code = at == 0 ? 0 : SI_KERNEL;
	if (at > 1) {
		bpf_probe_read_kernel(info, sizeof(info), (void *)at);
		code = info[2];
	}
	at = sig - 1;
	opaque(at); /* 6.1 forgets what it knew of a product */
	at &= 63;
	bpf_probe_read_kernel(&handler, sizeof(handler), (void *)to->sighand + core_field_offset(to->sighand->action) +
		at * core_type_size(struct k_sigaction) + core_field_offset(((struct k_sigaction *)0)->sa.sa_handler));
	by = code <= 0 && by_current(s, ctx, from) &&
		((code != SI_TIMER && code != SI_ASYNCIO && code != SI_SIGIO) || queues(from));
	killed = sig == SIGKILL;
	if (!killed) {
		bool asked = bit & asks;

		if (by ? from->tgid == to->tgid || (handler > 1 && !asked) : code != SI_KERNEL || !asked)
			return 0;
	}
	if (stopped(r))
		return 0;
	now = bpf_ktime_get_ns();
	killed = killed && ctx[4] == 0;
	ts = counted_with(to, ts);
	if (!killed && !room_for(ts, now))
		return 0;
	flags = by ? SENT_BY_PROCESS : 0;
	s->args[3] = 0;
	s->args[4] = 0;
	if (by)
		flags |= sender(s, from, to, r, gen);
	if (ctx[3])
		flags |= SENT_TO_GROUP;
	s->args[0] = ctx[4];
	s->args[1] = handler;
	s->args[2] = flags;
	s->args[5] = ts->unsent;
	ts->unsent = 0;
	s->flags = RECF_NODUR;
	begin(BY_SENDER, now, 0, code, who_what(to->pid, sig, 6));
	if (by)
		name_sender(from, flags);
	else if (killed)
		cap_usage(to, BY_SENDER, 3);
	/* A process is killed once. All else somebody can send as often as they like. */
	where = !killed ? SMALL(LANE_SIGNAL) : to->tgid == r->init_tid ? SMALL(LANE_CRASH) : SMALL(LANE_EXIT);
	commit_from(BY_SENDER, slot, REC_SENT, where);
	return 0;
}

TWICE("tp_btf/task_rename", on_rename)
{
	struct task_struct *task = (void *)ctx[0];
	struct task_state *ts;
	struct ring_head *r;
	u64 args[6] = {};
	u32 sizes = 0, len;
	u8 *b;

	if (likely(!task->bpf_storage))
		return 0;
	if (task != bpf_get_current_task_btf())
		return 0;
	ts = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!ts || second(ts, SEEN_RENAME, again))
		return 0;
	r = ring_of(ts->slot);
	if (!r || !writable(r, ts))
		return 0;
	/* In an execve the exec record tells it. */
	b = (u8 *)ts->build;
	put_values(b, 0, 0, args, 0, &sizes);
	put_head(b, bpf_ktime_get_ns(), task->pid, 0, sizes);
	*(u32 *)(b + REC_HEAD) = tag(0, ITEM_STR) | COMM_LEN << 16;
	bpf_probe_read_kernel(b + REC_HEAD + 4, COMM_LEN, (void *)ctx[1]);
	*(u32 *)(b + REC_HEAD + 4 + COMM_LEN) = 0;
	len = REC_HEAD + 4 + COMM_LEN + 4;
	to_main(r, ts->slot, ts->build, len, REC_RENAME, RECF_NODUR | RECF_GUARD);
	keep_short(BY_RENAME, ts->build);
	guard(BY_RENAME, ts->slot, RENAMED, len, (RECF_NODUR | RECF_GUARD) << 4 | REC_RENAME);
	return 0;
}

/* ---- cgroups that come and go -------------------------------------------------- */

TWICE("tp_btf/cgroup_mkdir", on_mkdir)
{
	struct cgroup *c = (void *)ctx[0];
	struct scratch *s = scratch_of(BY_ATTACH);
	u32 one = 1;
	u64 id;

	if (!s || c->root->hierarchy_id != hierarchy)
		return 0;
	__builtin_memset(s->buf, 0, 256);
	if (bpf_probe_read_kernel_str(s->buf, 256, (void *)ctx[1]) <= 0)
		return 0;
	if (!bpf_map_lookup_elem(&root_paths, s->buf))
		return 0;
	id = c->kn->id;
	bpf_map_update_elem(&roots, &id, &one, BPF_ANY);
	return 0;
}

TWICE("tp_btf/cgroup_rmdir", on_rmdir)
{
	struct cgroup *c = (void *)ctx[0];
	struct ring_head *r;
	struct claim *known;
	u64 id;

	if (c->root->hierarchy_id != hierarchy)
		return 0;
	id = c->kn->id;
	bpf_map_delete_elem(&roots, &id);
	bpf_map_delete_elem(&refused, &id);
	known = bpf_map_lookup_elem(&claims, &id);
	if (!known)
		return 0;
	if (known->slot == NO_SLOT) {
		bpf_map_delete_elem(&claims, &id);
		return 0;
	}
	r = ring_of(known->slot);
	if (r && r->gen == known->gen)
		r->removed = 1;
	tell(EVENT_RMDIR, known->slot, id);
	return 0;
}

/* ---- all tasks --------------------------------------------------------------------- */

/*
 * Looks at every task of the node: marks those that the events missed, and reports
 * the traced ones, with the calls they are in.
 */
/* An int; one byte since 7.3. Both are 0 or 1, so the first byte tells. */
static __always_inline bool on_cpu(struct task_struct *task)
{
	return *(u8 *)((void *)task + core_field_offset(task->on_cpu));
}

SEC("iter/task")
int all_tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct task_state *ts;
	struct task_dump *d;
	struct ring_head *r;
	struct scratch *s;
	struct pt_regs *regs;
	u32 zero = 0, *only;
	s64 nr;

	if (!task || task->flags & 0x00200000 /* PF_KTHREAD */ || task->exit_state)
		return 0;
	if (settle(BY_ITER, task, cgroup_of(task)) == MARKED)
		count(STAT_FOUND);
	if (!task->bpf_storage)
		return 0;
	ts = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (!ts || !ts->gen)
		return 0;
	r = ring_of(ts->slot);
	s = scratch_of(BY_ITER);
	if (!r || !s || r->gen != ts->gen)
		return 0;
	meet_init(r, task);
	only = bpf_map_lookup_elem(&iter_slot, &zero);
	if (only && *only && ts->slot + 1 != *only)
		return 0;
	d = (void *)s->buf;
	__builtin_memset(d, 0, sizeof(*d));
	d->slot = ts->slot;
	d->gen = ts->gen;
	describe(&d->info, task, ts, r);
	regs = (void *)bpf_task_pt_regs(task);
	d->enter = READ_ONCE(ts->enter);
	nr = read_nr(regs);
	/* Behind an exception or an interrupt this number is negative. */
	if (d->enter || (!on_cpu(task) && nr >= 0)) {
		bool compat = compat_task(task);

		d->in_call = 1;
		d->nr = d->enter ? ts->nr : nr;
		d->flags = (compat ? RECF_COMPAT : 0) | (d->enter ? 0 : RECF_NODUR);
		read_args(d->args, regs, compat);
	}
	bpf_seq_write(ctx->meta->seq, d, sizeof(*d));
	return 0;
}

/* The floor that every tracer of all calls pays; attached only by benchmarks. */
SEC("tp_btf/sys_enter")
int empty_enter(u64 *ctx)
{
	return 0;
}

SEC("tp_btf/sys_exit")
int empty_exit(u64 *ctx)
{
	return 0;
}
