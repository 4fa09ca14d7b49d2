/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/*
 * The kernel's types, as far as they are used: CO-RE finds the members by name
 * in the running kernel's BTF. Numbers and helper ids are the kernel's uapi
 * (include/uapi/linux/bpf.h).
 */
#ifndef RECORDER_KERNEL_H
#define RECORDER_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __s32 s32;
typedef __u64 u64;
typedef __s64 s64;
typedef _Bool bool;

#define NULL  ((void *)0)
#define true  1
#define false 0

#define SEC(name)       __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline      __attribute__((noinline))
#define __weak_ksym     __attribute__((weak, section(".ksyms")))
#define likely(x)       __builtin_expect(!!(x), 1)
#define unlikely(x)     __builtin_expect(!!(x), 0)
#define barrier()       asm volatile("" ::: "memory")
/* Hides what the compiler knows of a value: where it would turn arithmetic into
 * branches, which cost the verifier a state each. */
#define opaque(v)       asm volatile("" : "+r"(v))
/* At the end of a loop whose last act is a call: kernels before 6.4 or so refuse a
 * jump back to what stands right behind a call (back-edge). This is something between. */
#define again(v)        asm volatile("%0 = %0" : "+r"(v))
#define READ_ONCE(x)    (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1 << 0,
	BPF_F_MMAPABLE = 1 << 10,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	PF_EXITING = 0x4,
	PF_IO_WORKER = 0x10,
	PF_USER_WORKER = 0x4000, /* since 6.4 */
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	const char *name;
	u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
};

struct ns_common {
	u32 inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	u32 level;
	struct upid numbers[1];
};

struct atomic {
	int counter;
};

struct atomic_long {
	long counter;
};

/* A controller's count of what a cgroup uses, memory in pages. */
struct page_counter {
	struct atomic_long usage;
	unsigned long max;
	struct page_counter *parent;
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
};

struct pids_cgroup {
	struct cgroup_subsys_state css;
	struct atomic_long counter;
	struct atomic_long limit;
};

struct percpu_counter {
	s64 count;
};

struct mm_struct {
	u64 arg_start;
	u64 arg_end;
	struct percpu_counter rss_stat[4]; /* since 6.2 */
};

struct mm_rss_stat {
	struct atomic_long count[4];
};

struct mm_struct___before62 {
	struct mm_rss_stat rss_stat;
};

enum cgroup_subsys_id { memory_cgrp_id, pids_cgrp_id };

struct signal_struct {
	struct {
		int counter;
	} live;
	int nr_threads;
	int group_exit_code;
	struct pid *pids[2]; /* PIDTYPE_PID, PIDTYPE_TGID */
	struct mm_struct *oom_mm;
};

struct sigaction {
	void *sa_handler;
	unsigned long sa_flags;
};

struct k_sigaction {
	struct sigaction sa;
};

struct sighand_struct {
	struct k_sigaction action[1];
};

struct thread_info {
	unsigned long flags;
	u32 status;
};

struct bpf_local_storage;

struct inode {
	u16 i_mode;
	u32 i_rdev;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	u32 max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct sock_common {
	u16 skc_family;
	u16 skc_dport;
};

struct sock {
	struct sock_common __sk_common;
};

struct socket {
	struct sock *sk;
};

struct unix_address {
	int len;
	char name[1]; /* struct sockaddr_un */
};

struct unix_sock {
	struct unix_address *addr;
	struct sock *peer;
};

struct task_struct {
	struct thread_info thread_info;
	u32 flags;
	int on_cpu;
	struct mm_struct *mm;
	int exit_state;
	int exit_code;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct pid *thread_pid;
	u64 start_time;
	char comm[16];
	struct task_struct *group_leader;
	struct files_struct *files;
	struct signal_struct *signal;
	struct sighand_struct *sighand;
	void *stack;
	struct css_set *cgroups;
	struct bpf_local_storage *bpf_storage;
};

struct linux_binprm {
	const char *filename;
	const char *interp;
};

struct trace_event_raw_sys_enter {
	long id;
};

struct trace_event_raw_sys_exit {
	long ret;
};

struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long bp, bx, r10, r9, r8, cx, dx, si, di, orig_ax, sp;
#endif
};

struct bpf_iter_meta;
struct seq_file;

#pragma clang attribute pop

#if defined(__TARGET_ARCH_arm64)
/* struct pt_regs of arm64 has an unnamed struct user_pt_regs at its start. */
struct pt_regs___arm64 {
	u64 regs[31];
	u64 sp, pc, pstate;
	u64 orig_x0;
	s32 syscallno;
} __attribute__((preserve_access_index));
#endif

struct bpf_iter_meta {
	__attribute__((aligned(8))) struct seq_file *seq;
	u64 session_id;
	u64 seq_num;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	__attribute__((aligned(8))) struct bpf_iter_meta *meta;
	__attribute__((aligned(8))) struct task_struct *task;
} __attribute__((preserve_access_index));

static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*const bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *from) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static long (*const bpf_probe_read_user_str)(void *dst, u32 size, const void *from) = (void *)114;
static long (*const bpf_probe_read_kernel_str)(void *dst, u32 size, const void *from) = (void *)115;
static long (*const bpf_seq_write)(struct seq_file *m, const void *data, u32 len) = (void *)127;
static long (*const bpf_ringbuf_output)(void *ringbuf, void *data, u64 size, u64 flags) = (void *)130;
static void *(*const bpf_task_storage_get)(void *map, struct task_struct *task, void *value, u64 flags) = (void *)156;
static long (*const bpf_task_storage_delete)(void *map, struct task_struct *task) = (void *)157;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_task_pt_regs)(struct task_struct *task) = (void *)175;

/* Functions of newer kernels: since 6.10, the others 6.14. */
extern void bpf_preempt_disable(void) __weak_ksym;
extern void bpf_preempt_enable(void) __weak_ksym;
extern void bpf_local_irq_save(unsigned long *flags) __weak_ksym;
extern void bpf_local_irq_restore(unsigned long *flags) __weak_ksym;
#define ksym_exists(f) ((void *)&(f) != NULL)

#define core_field_size(field)   __builtin_preserve_field_info(field, 1)
#define core_field_exists(field) __builtin_preserve_field_info(field, 2)
#define core_field_offset(field) __builtin_preserve_field_info(field, 0)
#define core_enum_exists(type, value) __builtin_preserve_enum_value(*(type *)value, 0)
#define core_enum_value(type, value)  __builtin_preserve_enum_value(*(type *)value, 1)
#define core_type_size(type)     __builtin_preserve_type_info(*(typeof(type) *)0, 1)

#endif
