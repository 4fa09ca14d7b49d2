// SPDX-License-Identifier: Apache-2.0
// What programs say to parts of the kernel that have a language of their own.
#include "must.h"
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>

#define BPF(cmd, size, ...) MUST(syscall(SYS_bpf, cmd, &a, size), __VA_ARGS__)

static void bpf(void)
{
	union bpf_attr a;
	char *bad = edge;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_HASH, a.key_size = 1, a.value_size = 2, a.max_entries = 0, a.map_flags = BPF_F_NO_PREALLOC | 1U << 31;
	BPF(BPF_MAP_CREATE, 20, "bpf(BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_HASH, key_size=1, value_size=2, max_entries=0, map_flags=BPF_F_NO_PREALLOC|0x80000000}, 20");
	strcpy(a.map_name, "a name");
	a.map_type = 99;
	BPF(BPF_MAP_CREATE, 44, "bpf(BPF_MAP_CREATE, {map_type=0x63 /* BPF_MAP_TYPE_??? */, key_size=1, value_size=2, max_entries=0, map_flags=BPF_F_NO_PREALLOC|0x80000000, inner_map_fd=0, map_name=\"a name\"}, 44");
	MUST(syscall(SYS_bpf, BPF_MAP_CREATE, bad, 20), "bpf(BPF_MAP_CREATE, %p, 20", bad);
	memset(&a, 0, sizeof(a));
	a.map_fd = -1, a.key = 16, a.value = 32, a.flags = BPF_EXIST;
	BPF(BPF_MAP_UPDATE_ELEM, 32, "bpf(BPF_MAP_UPDATE_ELEM, {map_fd=-1, key=0x10, value=0x20, flags=BPF_EXIST}, 32");
	BPF(BPF_MAP_DELETE_ELEM, 16, "bpf(BPF_MAP_DELETE_ELEM, {map_fd=-1, key=0x10}, 16");
	BPF(BPF_MAP_GET_NEXT_KEY, 24, "bpf(BPF_MAP_GET_NEXT_KEY, {map_fd=-1, key=0x10, next_key=0x20}, 24");
	memset(&a, 0, sizeof(a));
	a.pathname = (uintptr_t)"/none/x", a.bpf_fd = -1;
	BPF(BPF_OBJ_PIN, 12, "bpf(BPF_OBJ_PIN, {pathname=\"/none/x\", bpf_fd=-1}, 12");
	a.pathname = (uintptr_t)bad, a.bpf_fd = 0, a.file_flags = BPF_F_RDONLY;
	BPF(BPF_OBJ_GET, 16, "bpf(BPF_OBJ_GET, {pathname=%p, bpf_fd=0, file_flags=BPF_F_RDONLY}, 16", bad);
	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_KPROBE, a.insn_cnt = 0, a.license = (uintptr_t)last("GPL", 4), a.kern_version = 0x50a03;
	BPF(BPF_PROG_LOAD, 48, "bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_KPROBE, insn_cnt=0, insns=NULL, license=\"GPL\", log_level=0, log_size=0, log_buf=NULL, kern_version=KERNEL_VERSION(5, 10, 3), prog_flags=0}, 48");
	a.license = 0;
	BPF(BPF_PROG_LOAD, 24, "bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_KPROBE, insn_cnt=0, insns=NULL, license=NULL}, 24");
	memset(&a, 0, sizeof(a));
	a.prog_id = ~0U;
	BPF(BPF_PROG_GET_FD_BY_ID, 4, "bpf(BPF_PROG_GET_FD_BY_ID, {prog_id=4294967295, next_id=0}, 4");
	BPF(999, 4, "bpf(0x3e7 /* BPF_??? */, %p, 4", (void *)&a);
}

static void aio(void)
{
	struct iocb read = {.aio_data = 7, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = -1, .aio_buf = 0x1000, .aio_nbytes = 5, .aio_offset = 9};
	struct iocb poll = {.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = -1, .aio_buf = 1, .aio_reqprio = -3};
	struct iocb none = {.aio_lio_opcode = 77, .aio_key = 3, .aio_fildes = 2};
	struct iocb *list[] = {&read, &poll, &none};
	aio_context_t ctx = 0;
	char *bad = edge;

	MUST(syscall(SYS_io_setup, 1, &ctx), "io_setup(1, [%#lx]", ctx);
	MUST(syscall(SYS_io_submit, ctx, 3L, list), "io_submit(%#lx, 3, [{aio_data=0x7, aio_lio_opcode=IOCB_CMD_PREAD, aio_fildes=-1, aio_buf=0x1000, aio_nbytes=5, aio_offset=9}, "
		"{aio_data=0, aio_lio_opcode=IOCB_CMD_POLL, aio_reqprio=-3, aio_fildes=-1, aio_buf=POLLIN}, {aio_data=0, aio_key=3, aio_lio_opcode=77 /* IOCB_CMD_??? */, aio_fildes=2}]", ctx);
	MUST(syscall(SYS_io_submit, ctx, 0L, list), "io_submit(%#lx, 0, []", ctx);
	MUST(syscall(SYS_io_submit, ctx, 1L, bad), "io_submit(%#lx, 1, %p", ctx, bad);
	MUST(syscall(SYS_io_cancel, ctx, &read, bad), "io_cancel(%#lx, {aio_data=0x7, aio_lio_opcode=IOCB_CMD_PREAD, aio_fildes=-1}, %p", ctx, bad);
	MUST(syscall(SYS_io_getevents, ctx, 0L, 0L, NULL, NULL), "io_getevents(%#lx, 0, 0, NULL, NULL", ctx);
	MUST(syscall(SYS_io_destroy, ctx), "io_destroy(%#lx", ctx);
}

static void tests(void)
{
	int fds[] = {5, -1};
	struct perf_event_attr perf = {.type = PERF_TYPE_HW_CACHE, .size = 128, .config = 0x10002, .sample_freq = 100, .sample_type = 3, .read_format = 4,
		.disabled = 1, .freq = 1, .precise_ip = 2, .sample_id_all = 1};
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_DIR};
	struct landlock_path_beneath_attr beneath = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = -5};
	struct keyctl_dh_params dh = {.priv = -1, .prime = 2, .base = 3};
	struct io_uring_params io = {.flags = IORING_SETUP_CQSIZE, .cq_entries = 1};
	struct sock_fprog prog = {0, NULL};
	uint32_t action = SECCOMP_RET_LOG, unknown = 0x12340000;
	struct {uint16_t notif, resp, data;} sizes;
	char *bad = edge, buf[64];

	bpf();
	aio();
	MUST(syscall(SYS_perf_event_open, &perf, -1, -1, -1, 0L), "perf_event_open({type=PERF_TYPE_HW_CACHE, size=PERF_ATTR_SIZE_VER7, config=PERF_COUNT_HW_CACHE_RESULT_MISS<<16|PERF_COUNT_HW_CACHE_OP_READ<<8|PERF_COUNT_HW_CACHE_LL, "
		"sample_freq=100, sample_type=PERF_SAMPLE_IP|PERF_SAMPLE_TID, read_format=PERF_FORMAT_ID, disabled=1, freq=1, precise_ip=2 /* requested to have 0 skid */, sample_id_all=1, ...}, -1, -1, -1, 0");
	MUST(syscall(SYS_io_uring_register, -1, IORING_REGISTER_FILES, fds, 2), "io_uring_register(-1, IORING_REGISTER_FILES, [5, -1], 2");
	MUST(syscall(SYS_io_uring_register, -1, 999, bad, 2), "io_uring_register(-1, 0x3e7 /* IORING_REGISTER_??? */, %p, 2", bad);
	perf.type = PERF_TYPE_SOFTWARE, perf.config = 99, perf.freq = 0;
	MUST(syscall(SYS_perf_event_open, &perf, -1, -1, -1, 0L), "perf_event_open({type=PERF_TYPE_SOFTWARE, size=PERF_ATTR_SIZE_VER7, config=0x63 /* PERF_COUNT_SW_??? */, "
		"sample_period=100, sample_type=PERF_SAMPLE_IP|PERF_SAMPLE_TID, read_format=PERF_FORMAT_ID, disabled=1, precise_ip=2 /* requested to have 0 skid */, sample_id_all=1, ...}, -1, -1, -1, 0");
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC | 0x80, &prog), "seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC|0x80, {len=0, filter=NULL}");
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, bad), "seccomp(SECCOMP_SET_MODE_FILTER, 0, %p", bad);
	MUST(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), "seccomp(SECCOMP_GET_ACTION_AVAIL, 0, [SECCOMP_RET_LOG]");
	MUST(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown), "seccomp(SECCOMP_GET_ACTION_AVAIL, 0, [0x12340000 /* SECCOMP_RET_??? */]");
	MUST(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes), "seccomp(SECCOMP_GET_NOTIF_SIZES, 0, {seccomp_notif=%d, seccomp_notif_resp=%d, seccomp_data=%d}", sizes.notif, sizes.resp, sizes.data);
	MUST(syscall(SYS_seccomp, 99, 5, bad), "seccomp(0x63 /* SECCOMP_SET_MODE_??? */, 0x5, %p", bad);
	MUST(syscall(SYS_landlock_create_ruleset, &rules, 8L, 0x80), "landlock_create_ruleset({handled_access_fs=LANDLOCK_ACCESS_FS_EXECUTE|LANDLOCK_ACCESS_FS_READ_DIR}, 8, 0x80 /* LANDLOCK_CREATE_RULESET_??? */");
	MUST(syscall(SYS_landlock_add_rule, -1, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0), "landlock_add_rule(-1, LANDLOCK_RULE_PATH_BENEATH, {allowed_access=LANDLOCK_ACCESS_FS_READ_FILE, parent_fd=-5}, 0");
	MUST(syscall(SYS_landlock_add_rule, -1, 99, bad, 1), "landlock_add_rule(-1, 0x63 /* LANDLOCK_RULE_??? */, %p, 0x1", bad);
	MUST(syscall(SYS_landlock_restrict_self, -1, 0x100), "landlock_restrict_self(-1, 0x100");
	MUST(syscall(SYS_add_key, "user", "name", NULL, 0L, KEY_SPEC_PROCESS_KEYRING), "add_key(\"user\", \"name\", NULL, 0, KEY_SPEC_PROCESS_KEYRING");
	MUST(syscall(SYS_request_key, "user", "none", NULL, 0), "request_key(\"user\", \"none\", NULL, 0");
	MUST(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_REQKEY_AUTH_KEY, 0), "keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_REQKEY_AUTH_KEY, 0");
	MUST(syscall(SYS_keyctl, KEYCTL_SETPERM, 12, 0x01000001), "keyctl(KEYCTL_SETPERM, 12, KEY_POS_VIEW|KEY_OTH_VIEW");
	MUST(syscall(SYS_keyctl, KEYCTL_DESCRIBE, 12, buf, 64L), "keyctl(KEYCTL_DESCRIBE, 12, %p, 64", buf);
	MUST(syscall(SYS_keyctl, KEYCTL_SEARCH, 12, "user", "x", -3), "keyctl(KEYCTL_SEARCH, 12, \"user\", \"x\", KEY_SPEC_SESSION_KEYRING");
	MUST(syscall(SYS_keyctl, KEYCTL_REJECT, 12, 5, ENOKEY, -2), "keyctl(KEYCTL_REJECT, 12, 5, ENOKEY, KEY_SPEC_PROCESS_KEYRING");
	MUST(syscall(SYS_keyctl, KEYCTL_DH_COMPUTE, &dh, NULL, 0L, bad), "keyctl(KEYCTL_DH_COMPUTE, {private=KEY_SPEC_THREAD_KEYRING, prime=2, base=3}, NULL, 0, %p", bad);
	MUST(syscall(SYS_keyctl, 99, 1L, 2L, 3L, 4L), "keyctl(0x63 /* KEYCTL_??? */, 0x1, 0x2, 0x3, 0x4");
	MUST(syscall(SYS_io_uring_setup, 0, &io), "io_uring_setup(0, %s", "{flags=IORING_SETUP_CQSIZE, sq_thread_cpu=0, sq_thread_idle=0}");
	MUST(syscall(SYS_io_uring_setup, 1, bad), "io_uring_setup(1, %p", bad);
	MUST(syscall(SYS_io_uring_enter, -1, 1, 2, IORING_ENTER_GETEVENTS | 0x8000, NULL, 8L), "io_uring_enter(-1, 1, 2, IORING_ENTER_GETEVENTS|0x8000, NULL, 8");
	MUST(syscall(SYS_io_uring_register, -1, 999, NULL, 0), "io_uring_register(-1, 0x3e7 /* IORING_REGISTER_??? */, NULL, 0");
	MUST(syscall(SYS_perf_event_open, bad, -1, 0, -1, 8L), "perf_event_open(%p, -1, 0, -1, PERF_FLAG_FD_CLOEXEC", bad);
#ifdef __x86_64__ // newer architectures have other calls for it
	MUST(syscall(SYS_modify_ldt, 9, NULL, 0L), "modify_ldt(9, NULL, 0");
	RESULT("%ld ENOSYS (Function not implemented)", rc);
#endif
	MUST(syscall(SYS_finit_module, -1, "p=1", 5), "finit_module(-1, \"p=1\", MODULE_INIT_IGNORE_MODVERSIONS|MODULE_INIT_COMPRESSED_FILE");
	MUST(syscall(SYS_delete_module, "none", O_NONBLOCK), "delete_module(\"none\", O_NONBLOCK");
	MUST(syscall(SYS_reboot, 1, 2, 3, NULL), "reboot(0x1 /* LINUX_REBOOT_MAGIC_??? */, 0x2 /* LINUX_REBOOT_MAGIC_??? */, 0x3 /* LINUX_REBOOT_CMD_??? */");
	MUST(syscall(SYS_getrandom, NULL, 0L, 8), "getrandom(NULL, 0, 0x8 /* GRND_??? */");
	MUST(syscall(SYS_membarrier, 0x8000, 0), "membarrier(0x8000 /* MEMBARRIER_CMD_??? */, 0");
	MUST(syscall(SYS_rseq, bad, 32, 2, 5), "rseq(%p, 0x20, 0x2, 0x5", bad);
	MUST(syscall(1000, 1L, 2L, 3L, 4L, 5L, 6L), "syscall_0x3e8(0x1, 0x2, 0x3, 0x4, 0x5, 0x6");
	MUST(syscall(0x10027, 1L, 2L, 3L, 4L, 5L, 6L), "syscall_0x10027(0x1, 0x2, 0x3, 0x4, 0x5, 0x6");
	MUST(syscall(0x7fffffff, -1L, 2L, 3L, 4L, 5L, 6L), "syscall_0x7fffffff(0xffffffffffffffff, 0x2, 0x3, 0x4, 0x5, 0x6");
#ifdef __x86_64__
	MUST(syscall(0x400003e7, -1L, 2L, 3L, 4L, 5L, 6L), "syscall_0x400003e7(0xffffffffffffffff, 0x2, 0x3, 0x4, 0x5, 0x6");
	MUST(syscall(-1, 1L, 2L, 3L, 4L, 5L, 6L), "syscall_0xffffffffffffffff(0x1, 0x2, 0x3, 0x4, 0x5, 0x6");
	MUST(syscall(185, 1L, 2L, 3L, 4L, 5L, 6L), "security(0x1, 0x2, 0x3");
	MUST(syscall(214, 1L, 2L, 3L, 4L, 5L, 6L), "epoll_ctl_old(0x1, 0x2, 0x3, 0x4");
#endif
}
