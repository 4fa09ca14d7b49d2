/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * What the BPF program and user space share: the layout of a ring, of the
 * records in it and of the maps' keys and values. Go's twins are generated from
 * here by bpf2go (see gen.go); nothing is mirrored by hand. What kinds of records,
 * items and counters there are is in vocabulary.txt.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "vocabulary.h"

/*
 * Two versions. RECORDER_LAYOUT is that of how a record is laid out: its head, values, items and flags.
 * Dumps name it. RING_GEOMETRY is that of where a ring has its records; its header names it.
 * Pinned maps of another version are read out and replaced, never written to.
 */
enum layout_consts { RECORDER_LAYOUT = 1, RING_GEOMETRY = 2 };

/*
 * A ring is the single value of a BPF array map of its own. It is made of lanes, which
 * are overwritten in a circle:
 *
 *   0            RING_HEADER                                            main
 *   +------------+-------+--------+-----+-----+-- ... --+-----+-- ... --+-----------+------+
 *   | ring_head  | first | recent | out | err |         | 32 x failures | main      | tail |
 *   +------------+-------+--------+-----+-----+-- ... --+-----+-- ... --+-----------+------+
 *
 * Where each lies, and where in the header its state is, stands in the header
 * (struct lane_group): a reader takes it from there. The size of a lane is a power of two.
 * A record starts at any multiple of 8. In a lane with a tail it runs into the tail, in
 * one without it goes on at the lane's beginning.
 */
enum ring_consts {
	RING_HEADER = 8192,
	RING_TAIL   = 8192,
	RING_MIN    = 64 << 10,
	RING_MAX    = 64 << 20,
	RING_HEADER_1 = 4096, /* of geometry 1 */
};

/* How long a runtime may take from its first process in the container to the entrypoint. */
enum startup_consts { STARTUP_MS = 5000 };

/*
 * What a lane is for. All records go to the main lane. Those that are rare or telling are
 * also kept in the guard lanes, so that a loop of cheap calls does not push them out: the
 * first of each class in LANE_FIRST, which is never overwritten; those that come later in
 * LANE_RECENT, which they all share, and in the lane of their kind, which is theirs alone.
 * So the newest of a kind are there whatever the others do, and the shared lane is used by
 * whoever is loud. The tasks lanes say who the ended threads were.
 */
enum lane_kind {
	LANE_MAIN,
	LANE_GUARD,        /* geometry 1 only: one lane for all that is rare */
	LANE_TASKS,        /* geometry 1 only: one lane for all ended threads */
	LANE_FIRST,        /* guard: the first of each class; written once */
	LANE_RECENT,       /* guard: all that is not in LANE_FIRST */
	LANE_OUT,          /* guard: text on descriptor 1 */
	LANE_ERR,          /* guard: text on descriptor 2 */
	LANE_EXEC,         /* guard: new programs */
	LANE_EXIT,         /* guard: ends with status 0, of threads that are not the last, SIGKILL */
	LANE_CRASH,        /* guard: other ends, signals without a handler, OOM kills */
	LANE_SIGNAL,       /* guard: signals with a handler */
	LANE_LONG,         /* guard: failed calls too long for LANE_FAIL */
	LANE_PROC_FIRST,   /* tasks: the first processes; written once */
	LANE_PROC,         /* tasks: processes that ended with status 0 */
	LANE_BAD,          /* tasks: other processes */
	LANE_THREAD_FIRST, /* tasks: the first threads that lead no process; written once */
	LANE_THREAD,       /* tasks: other threads that lead no process */
	LANE_FAIL,         /* guard: failed calls, by a hash of call and errno; renames */
	LANE_KINDS,
};

enum lane_role { ROLE_MAIN, ROLE_GUARD, ROLE_TASKS };

/* Lanes of one kind, side by side. Unused: lanes is 0. */
struct lane_group {
	__u8  kind;   /* enum lane_kind */
	__u8  role;   /* enum lane_role: what to make of a kind that a reader does not know */
	__u16 lanes;  /* how many there are */
	__u32 at;     /* where the first begins in the ring, in bytes */
	__u32 size;   /* of each, in bytes */
	__u32 tail;   /* bytes behind each that its records run into, 0: they wrap */
	__u16 state;  /* where the first one's struct lane, or its beginning, is in the header */
	__u16 stride; /* from one's state to the next one's, in bytes */
	__u16 notes;  /* how many late writers a state has room for */
	__u16 pad;
};

enum small_lane_consts {
	FAIL_LANES  = 32,
	SMALL_FAIL  = LANE_FAIL - LANE_FIRST, /* where they begin among the small lanes */
	SMALL_LANES = SMALL_FAIL + FAIL_LANES,
	/* LANE_FIRST: a kind may take a sixteenth, failed calls together what is left. */
	FIRST_PARTS   = 16,
	FIRST_KINDS   = 6,   /* out, err, exec, exit, crash, signal */
	FIRST_CLASSES = 256, /* counters: those of the kinds, then of failed calls by hash */
	FIRST_HASHED  = 16,  /* where the latter begin */
};

/*
 * One atomic add reserves space and counts the record:
 *
 *   head:  63                       24 23               0
 *          +--------------------------+-----------------+
 *          | position / 8, mod 2^40   | records mod 2^24|
 *          +--------------------------+-----------------+
 *
 * Position and count always belong together, so a reader knows exactly how many
 * records were overwritten. When the count wraps it carries into the position
 * and leaves a hole of 8 bytes, which the reader steps over; `epochs` counts that.
 */
enum head_consts {
	HEAD_SEQ_BITS = 24,
	HEAD_POS_BITS = 40,
	LATES         = 4,
};

struct lane {
	__u64 head;   /* see above; added to by writers */
	__u64 epochs; /* times the record count wrapped */
	__u64 cut;    /* records with something cut at a limit */
	__u64 fault;  /* records with memory that could not be read (EFAULT) */
	/*
	 * A writer that was held up between its reservation and its last store
	 * for a whole turn of the ring has scribbled over newer records. It sees
	 * that itself, and says where. Readers do not believe what overlaps.
	 */
	__u64 lates;  /* how many there were */
	struct late {
		__u64 pos;  /* position / 8 of the late record */
		__u64 len;  /* its length in bytes */
		__u64 head; /* position / 8 of the head when it was noticed */
	} late[LATES];
	__u64 pad[7];
};

/* The state of a lane with few writers at a time: the beginning of struct lane. */
struct small_lane {
	__u64 head;
	__u64 epochs;
	__u64 cut, fault; /* not counted here */
	__u64 lates;
	struct late late;
};

enum head_limit_consts {
	PATH_PARTS    = 10,
	PATH_PART     = 160,
	COMM_LEN      = 16,
	ARGS_MAX      = 1024,
	RING_MUTE_WORDS = 2 * 512 / 64, /* PLAN_CALLS native calls and as many compat ones */
};

enum ring_flag {
	RING_FROZEN = 1 << 0, /* nothing is written (recorderctl freeze) */
	RING_MUTES  = 1 << 1, /* the calls in `mutes` are not recorded */
	RING_OFF    = 1 << 2, /* nothing is written: recording is off for this container */
};

/* In ring_head.muted_what: what calls that were muted may have done. */
enum muted_what {
	MUTED_UNKNOWN,     /* an earlier daemon has muted some */
	MUTED_HARMLESS,    /* nothing to descriptors, or there were none */
	MUTED_DESCRIPTORS, /* opened, closed or named descriptors, or changed directories */
};

/* In ring_head.stdio. */
enum stdio_flag {
	STDIO_FILES = 1 << 30, /* also if they are open on neither a pipe, a terminal nor a log's socket */
	STDIO_DNS   = 1 << 29, /* and of messages to and from port 53, up to DNS_MOST bytes */
	STDIO_BYTES = STDIO_DNS - 1,
};

/*
 * At offset 0 of a ring. User space writes cookie, gen, flags, stdio, data, mutes,
 * muted_what, geometry, records, groups, group and nested_max, and corrects nested; the program writes
 * the rest. The first page is that of geometry 1 but for what is named so: who reads one
 * of those finds all else in its place.
 */
struct ring_head {
	/* read with every call */
	__u64 cookie; /* random; each stamp is XORed with it */
	__u32 gen;    /* of this use of the slot: a task of an earlier use writes nothing */
	__u32 flags;  /* enum ring_flag */
	__u32 stdio;  /* bytes kept of what goes through descriptors 1 and 2; see stdio_flag */
	__u32 data;   /* bytes kept of other reads and writes */
	/* Descriptors modulo 64 that have been connected to port 53, or have sent something there.
	 * Whether one still is such a socket is looked at when it is used. */
	__u64 dns;
	__u64 pad0[4];
	struct lane main;
	__u64 pad1[48]; /* geometry 1: the states of its guard and tasks lanes */
	/* counters, in calls */
	__u64 muted;       /* not recorded because muted, or because recording is off */
	__u64 frozen;      /* not recorded because frozen */
	__u64 guard_skips; /* geometry 1: not copied to the guard lane, their class was full */
	__u64 tasks_ever;  /* tasks that wrote or could have written here */
	__u64 tasks_live;  /* of these, tasks that have not ended or left */
	__u64 execs;
	__u64 unmarked;    /* tasks that could not be marked, for want of memory */
	/* the container */
	__u64 cgroup;       /* id of its cgroup (inode number of the directory) */
	__u64 claimed;      /* ns, CLOCK_MONOTONIC */
	__u64 last_exit;    /* ns, CLOCK_MONOTONIC: when tasks_live became 0 */
	__u64 init_start;   /* ns: start time of the container's init, if known */
	__u32 pid_level;    /* depth of the container's pid namespace, 0: not known */
	__u32 init_tid;     /* host thread id of the container's first process, 0: not known */
	__u32 init_exit;    /* its exit code as wait(2) has it */
	__u32 init_gone;    /* 1: it has ended, 2: ended as an OOM victim */
	__u32 oom_kills;    /* OOM victims among the container's processes */
	__u32 began_late;   /* 1: the first tasks were there before they were seen */
	__u64 init_end;     /* ns: when init ended */
	__u32 args_len;     /* bytes in args */
	__u32 init_execed;  /* 1: init has made an execve that was seen */
	/* A ring says itself how it is to be read, to a later daemon with other settings. */
	__u32 geometry;     /* RING_GEOMETRY of whoever made it */
	__u32 lane_bits;    /* geometry 1: log2 of the lanes' sizes in bytes, 8 bits each, main lowest */
	/* Containers inside this one, as on a kind node, have rings of their own, up to a
	 * number: whoever may make cgroups in a container shall not use up the node's. */
	__u32 nested;       /* rings claimed below this container's cgroup, if no container is around it */
	__u32 nested_max;
	__u32 records;      /* RECORDER_LAYOUT of its records; geometry 1: 0, which means 1 */
	__u32 groups;       /* how many groups there are, used or not; geometry 1: 0 */
	__u64 moved_out;    /* tasks that left this container's cgroup while they ran */
	__u32 removed;      /* 1: the cgroup was seen to be removed */
	__u32 muted_what;   /* enum muted_what, of all that was ever muted here */
	struct lane_group group[LANE_KINDS]; /* by kind; geometry 1: counters of classes */
	__u64 pad3[10];
	/* the path of the cgroup, leaf first, each part cut at PATH_PART - 1 bytes */
	char path[PATH_PARTS][PATH_PART];
	/* the command line of the container's first process, as in /proc/PID/cmdline */
	char args[ARGS_MAX];
	/* one bit a call, by its number, plus PLAN_CALLS if a compat one; read only
	 * where flags has RING_MUTES, so that it costs nobody else anything */
	__u64 mutes[RING_MUTE_WORDS];
	char init_comm[COMM_LEN]; /* of the first process when it was met */
	__u64 pad4;
	/* the second page: geometry 1 has none */
	struct small_lane small[SMALL_LANES]; /* of the kinds from LANE_FIRST on */
	__u32 first_used[FIRST_CLASSES];      /* bytes of LANE_FIRST, by class */
	__u32 first_failed;                   /* of these, failed calls */
	__u32 first_tasks[2];                 /* bytes of LANE_PROC_FIRST, LANE_THREAD_FIRST */
};

/*
 * A record.
 *
 *   0       8       16    20   22     24
 *   +-------+-------+-----+----+------+---------------------------+-------------+
 *   | stamp | time  | tid | nr | sizes| duration, result, args... | items...    |
 *   +-------+-------+-----+----+------+---------------------------+-------------+
 *
 * stamp  (position / 8 << 24 | length / 8 << 14 | flags << 4 | type) ^ cookie, written
 *        last. A stamp that does not name its own position is no record's.
 * time   ns, CLOCK_MONOTONIC, at the end of the call (REC_ENTER: at its start)
 * tid    thread id in the host's pid namespace
 * nr     number of the call; NR_ITEM: an item has it
 * sizes  two bits each for duration, result and the six arguments, lowest first:
 *        0: the value is 0 and takes no bytes, 1: 4 bytes, to be sign-extended,
 *        2: 8 bytes
 * items  what the arguments point to, see struct item
 */
enum rec_consts {
	REC_MAX  = 8184, /* bytes, a multiple of 8, below 2^10 * 8 */
	REC_HEAD = 24,
	NR_ITEM  = 0xffff, /* in rec.nr: ITEM_NUMBER has it */
	TAIL_MOST = 512, /* bytes kept of the end of a write to stdout or stderr, if its beginning is cut */
};

struct rec {
	__u64 stamp;
	__u64 time;
	__u32 tid;
	__u16 nr;
	__u16 sizes;
};

/*
 * enum rec_type is in vocabulary.h. What the values and items of each hold:
 *
 * REC_EXEC    result: thread id before it (differs from tid if a thread that did not lead
 *             called), items: file (arg 0), interpreter (arg 1), argv (arg 2)
 * REC_EXIT    nr: the call it was in plus 1, or 0; result: exit code as wait(2) has it; args:
 *             tgid, 1 if it was the group's last, start of that call (ns), 1 if an OOM victim,
 *             the group's exit code
 * REC_SIGNAL  nr: its number; result: si_code; args: errno, handler (0: default, 1: ignored),
 *             its flags; items: siginfo (arg 0)
 * REC_RENAME  items: the new name (arg 0)
 * REC_OOM     result: tgid
 * REC_TASK    items: struct task_info (arg 0)
 * REC_SENT    tid: whom it was sent to; nr: its number; result: si_code; args: the kernel's result
 *             (0: queued, 1: ignored, 2: pending already, 3: no room for it, 4: queued without its
 *             siginfo), handler as in REC_SIGNAL, enum sent_flag, the sender's tgid, the same as the
 *             container sees it (0: it does not), how many before it were left out (SENT_MOST);
 *             items: the name of the sender's process (arg 0) and of its parent (arg 1), the name of
 *             its cgroup (arg 2), if it is of another container the name of that one's cgroup;
 *             of a SIGKILL of the kernel's also a struct usage (arg 3)
 *
 * REC_EXIT of the container's first process has a struct usage (arg 0) as its item.
 */

enum rec_flag {
	RECF_COMPAT = 1 << 0,  /* a 32-bit call: i386 on x86-64, arm on arm64 */
	RECF_X32    = 1 << 1,  /* an x32 call; nr is without its bit 30 */
	RECF_CUT    = 1 << 2,  /* an item was cut at a limit */
	RECF_FAULT  = 1 << 3,  /* an item could not be read */
	RECF_NODUR  = 1 << 4,  /* the start was not seen: the duration is unknown */
	RECF_GUARD  = 1 << 5,  /* also in a guard lane */
};

enum sent_flag {
	SENT_BY_PROCESS = 1 << 0, /* a process sent it; else the kernel: a timer, a terminal, a limit */
	SENT_TO_GROUP   = 1 << 1, /* to the process; else to that thread alone */
	SENT_SAME       = 1 << 2, /* the sender is of the same recording */
	SENT_OTHER      = 1 << 3, /* the sender is of another one; neither: it is on the node */
	SENT_AT_END     = 1 << 4, /* the sender was ending: PR_SET_PDEATHSIG */
};

/* How many REC_SENT a process gets in a second at most; a SIGKILL that is queued comes on top. */
enum sent_consts { SENT_MOST = 16 };

/*
 * What an argument points to, or a part of it. Items follow the arguments
 * without padding, up to the record's end; a record's last up to 7 bytes are 0,
 * and an item header of 0 ends the items.
 */
struct item {
	__u8  arg;  /* argument 0..5 in the low 4 bits, enum item_flag above */
	__u8  kind; /* enum item_kind */
	__u16 len;  /* bytes that follow */
};

enum item_flag {
	ITEM_CUT   = 1 << 4, /* there was more */
	ITEM_FAULT = 1 << 5, /* unreadable from here on; len may be 0 */
	ITEM_ENTRY = 1 << 6, /* read when the call began */
};

/*
 * Capture plans: what to read for a call. User space derives them from the one
 * table of system calls.
 */
enum plan_consts {
	PLAN_OPS   = 10, /* pselect6: three sets and a timeout, each before and after, its mask and what that points to */
	PLAN_CALLS = 512,
};

enum plan_flag {
	PLAN_ENTER = 1 << 0, /* write a REC_ENTER: the call may not return */
	PLAN_ENTRY = 1 << 1, /* some ops read at sys_enter: the kernel overwrites the input */
	PLAN_MUTE  = 1 << 2, /* not recorded, in any container */
	PLAN_SUB   = 1 << 3, /* the ops depend on the value of argument `sub` */
	PLAN_CONTENTS = 1 << 4, /* some ops read contents, if the policy has them */
	PLAN_WRITE = 1 << 5, /* writes to a file descriptor (last words) */
	PLAN_DATA  = 1 << 6, /* nothing but contents is read: no ops if the policy has none */
	PLAN_ARGS  = 1 << 7, /* of a sub-plan: the arguments stand in memory, at argument 1 (socketcall) */
};

enum op_kind {
	OP_STR = 1, /* a string of at most `max` bytes */
	OP_MEM,     /* size * count bytes */
	OP_DATA,    /* size * count bytes of contents, if the policy has it */
	OP_STRV,    /* a vector of strings, NULL at its end */
	OP_IOV,     /* an array of iovec, and contents if the policy has it */
	OP_MSG,     /* a msghdr */
	OP_MMSG,    /* an array of mmsghdr */
	OP_COUNT,   /* how many pointers stand in a vector, NULL at its end */
	OP_LEN,     /* a length that the argument points to: `size` bytes */
	OP_VIA,     /* size * count bytes at the pointer that stands `at` bytes behind the argument */
	OP_VIA_STR, /* a string at that pointer */
	OP_VEC,     /* a vector of `count` pointers: `size` bytes at each */
	OP_STACK,   /* `size` bytes, `max` bytes above the stack pointer; only with OP_ENTRY */
	OP_SOCKOPT, /* OP_MEM for the value of the socket option in arguments 1 and 2, unless it may be a key */
	OP_POLL,    /* OP_MEM for an array of pollfd, and those that are ready */
	OP_ROOM,    /* how long the address may be for which a msghdr has room, if it has: 4 bytes; an OP_LEN */
};

enum op_when {
	OP_ALWAYS,
	OP_OK,    /* only if the call succeeded (result >= 0) */
	OP_ENTRY, /* at sys_enter; PLAN_ENTRY is set then */
	/*
	 * The child of a fork sees the end of a call that it did not make, with 0 as result.
	 * By then its parent may have used that memory for something else.
	 */
	OP_CALLER, /* not in the child */
	OP_PARENT, /* only if the call succeeded, and not in the child */
	OP_SAME,   /* at sys_enter, if the output `over` goes to the same address; PLAN_ENTRY is set then */
};

enum op_times {
	COUNT_ONE,
	COUNT_ARG,    /* the value of argument `carg`, int */
	COUNT_RET,    /* the result */
	COUNT_PTR,    /* the __u32 that argument `carg` points to */
	COUNT_BITS,   /* argument `carg` counts bits: rounded up to longs, in bytes */
	COUNT_ARG_LONG, /* the value of argument `carg`, size_t */
	COUNT_PAGES,  /* the pages of 4 KiB in argument `carg` bytes */
};

/*
 * In plan_op.at. Of a pointer in memory: it takes 8 bytes on every ABI. Of OP_IOV, OP_MSG and
 * OP_MMSG: the contents are input, and all there before the call. Otherwise as many bytes are
 * as the result says.
 */
enum op_at { AT_WIDE = 1 << 7, AT_INPUT = 1 << 0 };

/* In plan_op.over: there is one. */
enum op_over { OVER = 1 << 7 };

struct plan_op {
	__u8  arg;
	__u8  kind;  /* enum op_kind */
	__u8  when;  /* enum op_when */
	__u8  count; /* enum op_times */
	__u8  carg;
	__u8  at;    /* see op_at; OP_VIA: where the pointer stands */
	__u16 size;  /* bytes of an element */
	__u16 max;   /* bytes at most */
	/*
	 * An input over which the call may have written: the argument whose output it is, and
	 * OVER, or 0; and the bytes that are written there if the call succeeds, 0: as many as
	 * the result says. An input that begins there is not read.
	 */
	__u16 span;
	__u8  over;
	__u8  pad;
};

struct plan {
	__u8 nargs;
	__u8 nops;
	__u8 flags; /* enum plan_flag */
	__u8 sub;   /* argument that chooses a sub-plan */
	struct plan_op op[PLAN_OPS];
};

/* Key of the sub-plans: what `ioctl`, `fcntl`, `prctl` … read depends on a command. */
struct subplan_key {
	__u32 nr;  /* plus PLAN_CALLS if a compat call */
	__u32 cmd;
};

/* Value of the tasks' storage: a traced task. */
enum entry_consts { ENTRY_DATA = 640, ENTRY_LOST = 1 << 16 }; /* three sets of 1536 descriptors and a timeout */
enum seen_event { SEEN_EXEC = 1 << 0, SEEN_SIGNAL = 1 << 1, SEEN_RENAME = 1 << 2 };
struct task_state {
	union {
		struct {
			__u32 slot;
			__u32 gen; /* 0: in no ring */
		};
		__u64 mark; /* both, which change at once */
	};
	__u64 enter; /* ns; 0: in no call that was seen to begin */
	__u32 nr;    /* of that call */
	__u32 entry; /* bytes in entry_data */
	__u64 calls;
	__u64 build[14]; /* where the task's next short record is put together */
	char  first_comm[COMM_LEN];
	__u8  entry_data[ENTRY_DATA]; /* items read at sys_enter */
	__u64 seen;  /* enum seen_event: events whose first program has run, and whose second has not */
	/* Of signals to this task, of a leader to its process. Senders write these, each with the
	 * lock of its signals. */
	__u64 sent_since; /* ns: when the second began in which they are counted */
	__u32 sent;       /* since then */
	__u32 unsent;     /* left out since the last record */
	__u32 sent_seen;  /* 1: the first program has run, and the second has not */
};

/* Who a task is or was. */
struct task_info {
	__u64 start; /* ns, CLOCK_MONOTONIC: when it began, or was first seen */
	__u64 end;   /* ns; 0: alive */
	__u64 calls; /* recorded */
	__u32 tid, tgid, ptid;         /* host's; ptid is the parent's tgid */
	__u32 ns_tid, ns_tgid, ns_ptid; /* as the container sees them */
	__u32 pid_ns;  /* inode number of its pid namespace */
	__s32 exit_code;
	char  first_comm[COMM_LEN]; /* when it began */
	char  comm[COMM_LEN];       /* now, or at its end */
};

/*
 * What a task's cgroup uses, and what the task does, in bytes and processes. Of the cgroups
 * around the task it is the one that is nearest to its limit. 0: not known, or no limit.
 */
struct usage {
	__u64 memory, memory_max;
	__u64 anon, file, shmem, swap; /* of the process; not there when it has ended */
	__u64 pids, pids_max;
};

/* What the task iterator reports of each traced task. */
struct task_dump {
	__u32 slot;
	__u32 gen;
	struct task_info info;
	/* the call it is in */
	__u64 enter;   /* ns; 0: it began before the task was marked */
	__u32 in_call; /* 0: none */
	__u32 nr;
	__u32 flags;   /* enum rec_flag */
	__u32 pad;
	__u64 args[6];
};

/* Value of the map of claimed cgroups. */
enum claim_consts {
	NO_SLOT = 0x7fffffff, /* in a claim, with generation 0: this container is not recorded */
};

/* Why a container's cgroup got no ring. */
enum refusal {
	REFUSED_NO_RING = 1, /* none was free: it is not recorded until one is */
	REFUSED_ENCLOSED,    /* the container around it has as many inside as it may: recorded with that */
};

struct claim {
	__u32 slot;
	__u32 gen;
};

/* A hint to user space, of an enum event_type. Losing one loses nothing: all of it is in the
 * maps too. */
struct event {
	__u32 type;
	__u32 slot;
	__u64 cgroup;
	__u64 time;
};

_Static_assert(sizeof(struct ring_head) <= RING_HEADER, "a ring's header is two pages");
_Static_assert(__builtin_offsetof(struct ring_head, small) == RING_HEADER_1, "the first is as it was");
_Static_assert(__builtin_offsetof(struct ring_head, geometry) == 768, "where geometry 1 has its version");
_Static_assert(__builtin_offsetof(struct ring_head, path) == 1320, "where geometry 1 has its path");
_Static_assert(sizeof(struct small_lane) == 64, "a small lane's state has a cache line of its own");
_Static_assert((int)FIRST_HASHED > (int)LANE_SIGNAL - (int)LANE_FIRST, "a counter for each kind");
_Static_assert((int)RING_MUTE_WORDS * 64 == 2 * (int)PLAN_CALLS, "a bit for each call that has a plan");
_Static_assert(sizeof(struct rec) == REC_HEAD, "a record's head");
_Static_assert(sizeof(struct lane) % 64 == 0, "a lane's counters have cache lines of their own");
_Static_assert(__builtin_offsetof(struct ring_head, main) % 64 == 0, "and begin at one");
_Static_assert(sizeof(struct item) == 4, "an item's head");
_Static_assert(REC_MAX % 8 == 0 && REC_MAX < 1 << 13 && (int)REC_MAX <= (int)RING_TAIL, "length / 8 has 10 bits");

#ifdef LAYOUT_TYPES
/* The members say of what Go gets twins, and in which order (layout.c). */
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
	enum muted_what mw;
	struct ring_head g;
	enum rec_consts h;
	struct rec i;
	enum rec_type j;
	enum rec_flag k;
	enum sent_flag ka;
	enum sent_consts kb;
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
	struct usage xa;
	struct task_dump y;
	struct claim z;
	enum claim_consts zb;
	enum event_type aa;
	struct event bb;
	enum stat_id cc;
	enum refusal ee;
};
#endif

#endif
