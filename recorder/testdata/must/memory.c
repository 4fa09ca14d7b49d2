// SPDX-License-Identifier: Apache-2.0
#include "must.h"
#include <linux/mempolicy.h>

static void tests(void)
{
	void *pages[2] = {edge - 1, NULL};
	int nodes[2] = {0, 5}, status[2];
	char *bad = edge;

	MUST(syscall(SYS_mmap, NULL, 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0L), "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0");
	RESULT("%#lx", rc);
	MUST(syscall(SYS_mmap, 0x10L, 0L, PROT_NONE, 0, 5, 0x1000L), "mmap(0x10, 0, PROT_NONE, MAP_FILE, 5, 0x1000");
	MUST(syscall(SYS_mmap, 0L, 4096L, 0x100 | PROT_EXEC, MAP_SHARED | MAP_FIXED_NOREPLACE, -1, 0L), "mmap(NULL, 4096, PROT_EXEC|0x100, MAP_SHARED|MAP_FIXED_NOREPLACE, -1, 0");
	MUST(syscall(SYS_munmap, 1L, 4096L), "munmap(0x1, 4096");
	MUST(syscall(SYS_mprotect, 0x1000L, 4096L, PROT_READ | PROT_GROWSDOWN), "mprotect(0x1000, 4096, PROT_READ|PROT_GROWSDOWN");
	MUST(syscall(SYS_mprotect, 0x1000L, 4096L, 0xdead000000000000 | PROT_READ), "mprotect(0x1000, 4096, PROT_READ|0xdead000000000000");
	MUST(syscall(SYS_mremap, 0x1000L, 1L, 2L, MREMAP_MAYMOVE, 0x5000L), "mremap(0x1000, 1, 2, MREMAP_MAYMOVE");
	MUST(syscall(SYS_mremap, 0x1000L, 1L, 2L, MREMAP_MAYMOVE | MREMAP_FIXED, 0x5000L), "mremap(0x1000, 1, 2, MREMAP_MAYMOVE|MREMAP_FIXED, 0x5000");
	MUST(syscall(SYS_madvise, 1L, 4096L, MADV_DONTNEED), "madvise(0x1, 4096, MADV_DONTNEED");
	MUST(syscall(SYS_madvise, 0L, 4096L, 999), "madvise(NULL, 4096, 0x3e7 /* MADV_??? */");
	MUST(syscall(SYS_msync, 1L, 2L, MS_SYNC | MS_INVALIDATE), "msync(0x1, 2, MS_SYNC|MS_INVALIDATE");
	MUST(syscall(SYS_mlock2, 0L, 0L, 3), "mlock2(NULL, 0, MLOCK_ONFAULT|0x2");
	MUST(syscall(SYS_mlockall, 8), "mlockall(0x8 /* MCL_??? */");
	MUST(syscall(SYS_brk, 1L), "brk(0x1");
	RESULT("%#lx", rc);
	MUST(syscall(SYS_pkey_alloc, 0L, 3L), "pkey_alloc(0, PKEY_DISABLE_ACCESS|PKEY_DISABLE_WRITE");
	MUST(syscall(SYS_pkey_mprotect, 0L, 0L, PROT_WRITE, -1), "pkey_mprotect(NULL, 0, PROT_WRITE, -1");
	MUST(syscall(SYS_mbind, 0L, 0L, MPOL_BIND, NULL, 0L, MPOL_MF_STRICT), "mbind(NULL, 0, MPOL_BIND, NULL, 0, MPOL_MF_STRICT");
	MUST(syscall(SYS_set_mempolicy, 99, NULL, 0L), "set_mempolicy(0x63 /* MPOL_??? */, NULL, 0");
	MUST(syscall(SYS_move_pages, 0, 2L, pages, nodes, status, 0x80), "move_pages(0, 2, [%p, NULL], [0, 5], %p, 0x80 /* MPOL_??? */", pages[0], status);
	MUST(syscall(SYS_move_pages, 0, 1L, bad, NULL, status, 2), "move_pages(0, 1, %p, NULL, %p, MPOL_MF_MOVE", bad, status);
	MUST(syscall(SYS_process_madvise, -1, NULL, 0L, MADV_COLD, 0), "process_madvise(-1, NULL, 0, MADV_COLD, 0");
	MUST(syscall(SYS_remap_file_pages, 0L, 0L, 0, 0L, 0), "remap_file_pages(NULL, 0, PROT_NONE, 0, MAP_FILE");
	MUST(syscall(SYS_process_vm_readv, 0, NULL, 0L, NULL, 0L, 1L), "process_vm_readv(0, NULL, 0, NULL, 0, 1");
	MUST(syscall(SYS_userfaultfd, 0x1000), "userfaultfd(0x1000 /* UFFD_??? */");
}
