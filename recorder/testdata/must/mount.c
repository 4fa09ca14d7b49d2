// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <linux/mount.h>

static void tests(void)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC, .attr_clr = MOUNT_ATTR_NODEV, .propagation = 1 << 19};
	uint64_t dq[9] = {1, 2, 3, 4, 5, 6, 7, 8, 0x3f};
	char *bad = edge;

	MUST(syscall(SYS_mount, "src", "/none", "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV, "a=b"), "mount(\"src\", \"/none\", \"ext4\", MS_RDONLY|MS_NOSUID|MS_NODEV, \"a=b\"");
	MUST(syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0xc0ed0000 | 6, "size=1M"), "mount(\"none\", \"/nonexistent\", \"tmpfs\", MS_MGC_VAL|MS_NOSUID|MS_NODEV, \"size=1M\"");
	MUST(syscall(SYS_mount, "none", "/nonexistent", "tmpfs", 0xc0ed0000, NULL), "mount(\"none\", \"/nonexistent\", \"tmpfs\", MS_MGC_VAL, NULL");
	MUST(syscall(SYS_mount, "none", "/none", NULL, MS_REC | MS_PRIVATE, NULL), "mount(\"none\", \"/none\", NULL, MS_REC|MS_PRIVATE, NULL");
	MUST(syscall(SYS_umount2, "/none", 3 | 16), "umount2(\"/none\", MNT_FORCE|MNT_DETACH|0x10");
	MUST(syscall(SYS_fsopen, "none", 1), "fsopen(\"none\", FSOPEN_CLOEXEC");
	MUST(syscall(SYS_fspick, -100, "/none", 0x21), "fspick(AT_FDCWD, \"/none\", FSPICK_CLOEXEC|0x20");
	MUST(syscall(SYS_fsconfig, -1, FSCONFIG_SET_STRING, "key", "value", 0), "fsconfig(-1, FSCONFIG_SET_STRING, \"key\", \"value\", 0");
	MUST(syscall(SYS_fsconfig, -1, FSCONFIG_SET_FLAG, "ro", NULL, 0), "fsconfig(-1, FSCONFIG_SET_FLAG, \"ro\", NULL, 0");
	MUST(syscall(SYS_fsconfig, -1, FSCONFIG_SET_PATH, "key", "/x", -100), "fsconfig(-1, FSCONFIG_SET_PATH, \"key\", \"/x\", AT_FDCWD");
	MUST(syscall(SYS_fsconfig, -1, FSCONFIG_CMD_CREATE, NULL, NULL, 0), "fsconfig(-1, FSCONFIG_CMD_CREATE, NULL, NULL, 0");
	MUST(syscall(SYS_fsmount, -1, 1, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME), "fsmount(-1, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID|MOUNT_ATTR_NOATIME");
	MUST(syscall(SYS_move_mount, -1, last("", 1), -100, "/none", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS), "move_mount(-1, \"\", AT_FDCWD, \"/none\", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_SYMLINKS");
	MUST(syscall(SYS_open_tree, -100, "/none", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE), "open_tree(AT_FDCWD, \"/none\", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE");
	MUST(syscall(SYS_mount_setattr, -1, "x", AT_RECURSIVE, &a, sizeof(a)), "mount_setattr(-1, \"x\", AT_RECURSIVE, {attr_set=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOEXEC, attr_clr=MOUNT_ATTR_NODEV, propagation=MS_SLAVE, userns_fd=0}, 32");
	MUST(syscall(SYS_mount_setattr, -1, bad, 0, bad, 32L), "mount_setattr(-1, %p, 0, %p, 32", bad, bad);
	MUST(syscall(SYS_swapon, "/none", 0x8000 | 5), "swapon(\"/none\", SWAP_FLAG_PREFER|5");
	MUST(syscall(SYS_quotactl, (int)0x80000700, "/none", 1000, &dq), "quotactl(QCMD(Q_GETQUOTA, USRQUOTA), \"/none\", 1000, %p", dq);
	MUST(syscall(SYS_quotactl, (int)0x80000801, "/none", -1, last(dq, 72)), "quotactl(QCMD(Q_SETQUOTA, GRPQUOTA), \"/none\", -1, {dqb_bhardlimit=1, dqb_bsoftlimit=2, dqb_curspace=3, dqb_ihardlimit=4, dqb_isoftlimit=5, dqb_curinodes=6, ...}");
	MUST(syscall(SYS_quotactl, (int)0x80000802, "/none", 5, bad), "quotactl(QCMD(Q_SETQUOTA, PRJQUOTA), \"/none\", 5, %p", bad);
	MUST(syscall(SYS_quotactl, (int)0x80000200, "/none", 2, "/aquota"), "quotactl(QCMD(Q_QUOTAON, USRQUOTA), \"/none\", QFMT_VFS_V0, \"/aquota\"");
	MUST(syscall(SYS_quotactl, 0x7707, bad, 2, NULL), "quotactl(QCMD(0x77 /* Q_??? */, 0x7 /* ???QUOTA */), %p, 2, NULL", bad);
}
