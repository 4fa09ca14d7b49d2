// SPDX-License-Identifier: Apache-2.0
// A program of this directory makes calls and says beside each which line must be shown
// for it. What it says is kept in memory and written at the end, so that nothing but the
// calls lies between the two marks. Per call two lines are written: the call up to its
// parenthesis, and the result; where that is empty, the first is the whole line.
#ifndef MUST_H
#define MUST_H
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char said[1 << 19];
static size_t at;
static long rc;

// The end of a page behind which there is nothing.
static char *edge;

// A literal that nobody has read may be in a page that is not there yet. The kernel need
// not read it either, where something else is wrong: only strace would see it.
__attribute__((unused)) static void *last(const void *p, size_t n) { return memcpy(edge - n, p, n); }

static void say(const char *fmt, va_list ap, const char *result)
{
	at += vsnprintf(said + at, sizeof(said) - at, fmt, ap);
	at += snprintf(said + at, sizeof(said) - at, "\n%s\n", result);
}

// MUST(call, format, ...): what it must look like up to the last parenthesis. The
// result is a number or an error.
__attribute__((unused, format(printf, 1, 2))) static void must(const char *fmt, ...)
{
	char result[256];
	va_list ap;

	if (rc == -1)
		snprintf(result, sizeof(result), "-1 %s (%s)", strerrorname_np(errno), strerror(errno));
	else
		snprintf(result, sizeof(result), "%ld", rc);
	va_start(ap, fmt);
	say(fmt, ap, result);
	va_end(ap);
}

#define MUST(call, ...) do { errno = 0; rc = (call); must(__VA_ARGS__); } while (0)

// RESULT(text): how the result of the call before must be shown.
__attribute__((unused, format(printf, 1, 2))) static void RESULT(const char *fmt, ...)
{
	va_list ap;
	char *line;

	if (rc == -1)
		return;
	said[--at] = 0;
	line = strrchr(said, '\n') + 1;
	at = line - said;
	va_start(ap, fmt);
	at += vsnprintf(said + at, sizeof(said) - at, fmt, ap);
	va_end(ap);
	at += snprintf(said + at, sizeof(said) - at, "\n");
}

// SAY(result, format, ...): a call that the program does not make itself, or with an
// empty result a line that is no call.
__attribute__((unused, format(printf, 2, 3))) static void SAY(const char *result, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap, result);
	va_end(ap);
}

static void tests(void);

int main(void)
{
	edge = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	edge += 2 * 4096;
	mprotect(edge, 4096, PROT_NONE); // a hole would be used for the next mmap
	memset(edge - 8192, 0, 8192);
	syscall(SYS_chdir, "/must-begin");
	tests();
	syscall(SYS_chdir, "/must-end");
	printf("@%d\n", getpid());
	fflush(stdout);
	return write(1, said, at) == (ssize_t)at ? 0 : 1;
}
#endif
