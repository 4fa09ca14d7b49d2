// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static void tests(void)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | 0x100};
	struct timespec ts[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct {uint32_t bytes; int type; uint8_t handle[128];} handle = {3, 254, {1, 2, 255}};
	struct stat st;
	char buf[64], *bad = edge;
	long fd;

	MUST(syscall(SYS_openat, AT_FDCWD, last("/none", 6), O_PATH | O_NOFOLLOW), "openat(AT_FDCWD, \"/none\", O_RDONLY|O_NOFOLLOW|O_PATH");
	MUST(syscall(SYS_openat, -1, "x", O_RDWR | O_TMPFILE, 0600), "openat(-1, \"x\", O_RDWR|O_TMPFILE, 0600");
	MUST(syscall(SYS_openat2, AT_FDCWD, "/none", &how, sizeof(how)), "openat2(AT_FDCWD, \"/none\", {flags=O_RDONLY|O_CLOEXEC, resolve=RESOLVE_NO_SYMLINKS|0x100}, 24");
	MUST(syscall(SYS_openat2, AT_FDCWD, "/none", &how, 5L), "openat2(AT_FDCWD, \"/none\", %p, 5", &how);
	MUST(syscall(SYS_open_by_handle_at, -1, &handle, O_RDONLY), "open_by_handle_at(-1, {handle_bytes=3, handle_type=254, f_handle=\"\\x01\\x02\\xff\"}, O_RDONLY");
	MUST(syscall(SYS_name_to_handle_at, AT_FDCWD, "/none", &handle, NULL, 0), "name_to_handle_at(AT_FDCWD, \"/none\", {handle_bytes=3}, NULL, 0");
	MUST(syscall(SYS_openat2, AT_FDCWD, "/none", bad, sizeof(how)), "openat2(AT_FDCWD, \"/none\", %p, 24", bad);
	MUST(syscall(SYS_faccessat2, -100, "/none", 1, AT_EACCESS | 0x8000), "faccessat2(AT_FDCWD, \"/none\", X_OK, AT_EACCESS|0x8000");
	MUST(syscall(SYS_fchmodat, -100, "/none", 01), "fchmodat(AT_FDCWD, \"/none\", 001");
	MUST(syscall(SYS_fchownat, -100, "/none", 1, 4294967294U, AT_SYMLINK_NOFOLLOW | 1), "fchownat(AT_FDCWD, \"/none\", 1, 4294967294, AT_SYMLINK_NOFOLLOW|0x1");
	MUST(syscall(SYS_linkat, -1, "a", -100, "b", AT_SYMLINK_FOLLOW | AT_EMPTY_PATH), "linkat(-1, \"a\", AT_FDCWD, \"b\", AT_SYMLINK_FOLLOW|AT_EMPTY_PATH");
	MUST(syscall(SYS_unlinkat, -100, "/none", AT_REMOVEDIR), "unlinkat(AT_FDCWD, \"/none\", AT_REMOVEDIR");
	MUST(syscall(SYS_unlinkat, -100, "/none", 1), "unlinkat(AT_FDCWD, \"/none\", 0x1 /* AT_??? */");
	MUST(syscall(SYS_renameat2, -100, "/none", -1, "b", 1 | 8), "renameat2(AT_FDCWD, \"/none\", -1, \"b\", RENAME_NOREPLACE|0x8");
	MUST(syscall(SYS_mkdirat, -1, "x", 0777), "mkdirat(-1, \"x\", 0777");
	MUST(syscall(SYS_mknodat, -100, "/none/x", S_IFIFO | S_ISUID | 1, 5), "mknodat(AT_FDCWD, \"/none/x\", S_IFIFO|S_ISUID|001");
	MUST(syscall(SYS_newfstatat, -100, "/none", &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT), "newfstatat(AT_FDCWD, \"/none\", %p, AT_SYMLINK_NOFOLLOW|AT_NO_AUTOMOUNT", &st);
	MUST(syscall(SYS_statx, -100, "/none", AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &st), "statx(AT_FDCWD, \"/none\", AT_STATX_FORCE_SYNC|AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, %p", &st);
	MUST(syscall(SYS_statx, -1, NULL, 0, 0x80000001, NULL), "statx(-1, NULL, AT_STATX_SYNC_AS_STAT, STATX_TYPE|0x80000000, NULL");
	MUST(syscall(SYS_statfs, "/none", buf), "statfs(\"/none\", %p", buf);
	MUST(syscall(SYS_truncate, "/none", -2L), "truncate(\"/none\", 18446744073709551614");
	MUST(syscall(SYS_utimensat, -100, "/none", ts, AT_SYMLINK_NOFOLLOW), "utimensat(AT_FDCWD, \"/none\", [UTIME_NOW, UTIME_OMIT], AT_SYMLINK_NOFOLLOW");
	ts[0] = (struct timespec){1, 2};
	MUST(syscall(SYS_utimensat, -100, "/none", ts, 0), "utimensat(AT_FDCWD, \"/none\", [{tv_sec=1, tv_nsec=2} /* 1970-01-01T00:00:01.000000002+0000 */, UTIME_OMIT], 0");
	MUST(syscall(SYS_utimensat, -1, NULL, NULL, 0x3), "utimensat(-1, NULL, NULL, 0x3 /* AT_??? */");
	MUST(syscall(SYS_removexattr, "/none", "user.x"), "removexattr(\"/none\", \"user.x\"");
	MUST(syscall(SYS_listxattr, "/none", buf, 8UL), "listxattr(\"/none\", %p, 8", buf);
	MUST(syscall(SYS_setxattr, "/none", "user.x", NULL, 0UL, 3), "setxattr(\"/none\", \"user.x\", NULL, 0, XATTR_CREATE|XATTR_REPLACE");
	MUST(syscall(SYS_name_to_handle_at, -1, "x", NULL, NULL, AT_SYMLINK_FOLLOW), "name_to_handle_at(-1, \"x\", NULL, NULL, AT_SYMLINK_FOLLOW");
	MUST(syscall(SYS_umask, 022), "umask(022");
	RESULT("0%lo", rc);
	MUST(syscall(SYS_chroot, "/none"), "chroot(\"/none\"");
	MUST(syscall(SYS_pivot_root, "/none", bad), "pivot_root(\"/none\", %p", bad);
	MUST(syscall(SYS_acct, NULL + 1), "acct(0x1");
	MUST(syscall(SYS_inotify_add_watch, -1, "/x", 0x80000001), "inotify_add_watch(-1, \"/x\", IN_ACCESS|IN_ONESHOT");
	MUST(syscall(SYS_fanotify_mark, -1, 1, 0x48000001UL, -1, "/x"), "fanotify_mark(-1, FAN_MARK_ADD, FAN_ACCESS|FAN_ONDIR|FAN_EVENT_ON_CHILD, FAN_NOFD, \"/x\"");
	MUST(syscall(SYS_fanotify_mark, -1, 0x11, 0x40000001UL, -100, "/x"), "fanotify_mark(-1, FAN_MARK_ADD|FAN_MARK_MOUNT, FAN_ACCESS|FAN_ONDIR, AT_FDCWD, \"/x\"");
	MUST(fd = syscall(SYS_memfd_create, "name", 3), "memfd_create(\"name\", MFD_CLOEXEC|MFD_ALLOW_SEALING");
	MUST(syscall(SYS_fallocate, fd, 3, 0L, 10L), "fallocate(%ld, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 10", fd);
	MUST(syscall(SYS_close, fd), "close(%ld", fd);
#ifdef __x86_64__ // newer architectures have other calls for these
	MUST(syscall(SYS_open, "/none/a\tb\"\\\x01", O_WRONLY | O_CREAT | O_EXCL, 0640), "open(\"/none/a\\tb\\\"\\\\\\1\", O_WRONLY|O_CREAT|O_EXCL, 0640");
	MUST(syscall(SYS_open, "/none", O_RDONLY, 0640), "open(\"/none\", O_RDONLY");
	MUST(syscall(SYS_open, bad, 3), "open(%p, O_ACCMODE", bad);
	MUST(syscall(SYS_open, NULL, O_RDWR | 0x20000000), "open(NULL, O_RDWR|0x20000000");
	MUST(syscall(SYS_creat, "/none/x", 04755), "creat(\"/none/x\", 04755");
	MUST(syscall(SYS_access, "/none", 0), "access(\"/none\", F_OK");
	MUST(syscall(SYS_access, "/none", 7), "access(\"/none\", R_OK|W_OK|X_OK");
	MUST(syscall(SYS_access, "/none", 8), "access(\"/none\", 0x8 /* ?_OK */");
	MUST(syscall(SYS_access, last("xyz", 3), 4), "access(%p, R_OK", edge - 3);
	MUST(syscall(SYS_chmod, "/none", 0), "chmod(\"/none\", 000");
	MUST(syscall(SYS_chmod, "/none", 07777), "chmod(\"/none\", 07777");
	MUST(syscall(SYS_chown, "/none", -1, 0), "chown(\"/none\", -1, 0");
	MUST(syscall(SYS_link, "/none", NULL), "link(\"/none\", NULL");
	MUST(syscall(SYS_symlink, "to", "/none/x"), "symlink(\"to\", \"/none/x\"");
	MUST(syscall(SYS_readlink, "/none", buf, 10), "readlink(\"/none\", %p, 10", buf);
	MUST(syscall(SYS_readlink, "/proc/self", buf, 1), "readlink(\"/proc/self\", \"%c\", 1", buf[0]);
	MUST(syscall(SYS_mknod, "/none/x", S_IFCHR | 0600, 0x103), "mknod(\"/none/x\", S_IFCHR|0600, makedev(0x1, 0x3)");
	MUST(syscall(SYS_mknod, "/none/x", S_IFCHR | 0600, 0xffffffffffL), "mknod(\"/none/x\", S_IFCHR|0600, makedev(0xfff, 0xfffff)");
	MUST(syscall(SYS_mknod, "/none/x", 0170000 | 1, 5), "mknod(\"/none/x\", 0170001");
	MUST(syscall(SYS_stat, "/none", &st), "stat(\"/none\", %p", &st);
	MUST(syscall(SYS_stat, "/dev/null", &st), "stat(\"/dev/null\", {st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}");
	MUST(syscall(SYS_stat, "/", bad), "stat(\"/\", %p", bad);
	MUST(syscall(SYS_utime, "/none", NULL), "utime(\"/none\", NULL");
#endif
}
