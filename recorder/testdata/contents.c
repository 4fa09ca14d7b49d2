// SPDX-License-Identifier: Apache-2.0
// Writes a line to standard output while that is open on one thing after the other. Its
// argument is a directory for files.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void on(const char *what, int fd)
{
	char line[64];
	struct iovec iov = {line, snprintf(line, sizeof(line), "contents-%s-end", what)};

	if (fd < 0 || dup2(fd, 1) != 1)
		die(what);
	if (write(1, iov.iov_base, iov.iov_len) < 0 || writev(1, &iov, 1) < 0)
		die(what);
	close(fd);
}

// A stream to somebody who listens at a path.
static int to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(addr.sun_path, path);
	if (bind(server, (void *)&addr, sizeof(addr)) || listen(server, 8) || connect(client, (void *)&addr, sizeof(addr)))
		die(path);
	return client;
}

static int tcp(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t n = sizeof(addr);

	if (bind(server, (void *)&addr, sizeof(addr)) || listen(server, 8) || getsockname(server, (void *)&addr, &n) ||
	    connect(client, (void *)&addr, sizeof(addr)))
		die("tcp");
	return client;
}

int main(int argc, char **argv)
{
	int pair[2], tty = posix_openpt(O_RDWR | O_NOCTTY);

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "/run", "tmpfs", 0, NULL) ||
	    mkdir("/run/systemd", 0755) || mkdir("/run/systemd/journal", 0755) || chdir(argv[1]))
		die("set up");
	if (pipe(pair))
		die("pipe");
	on("pipe", pair[1]);
	if (mkfifo("fifo", 0600))
		die("mkfifo");
	on("fifo", open("fifo", O_RDWR));
	if (tty < 0 || grantpt(tty) || unlockpt(tty))
		die("pty");
	on("pty", open(ptsname(tty), O_RDWR | O_NOCTTY));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair");
	on("pair", pair[1]);
	on("journal", to("/run/systemd/journal/stdout"));
	on("database", open("database", O_WRONLY | O_CREAT, 0600));
	on("null", open("/dev/null", O_WRONLY));
	on("memfd", memfd_create("x", 0));
	on("unix", to("/run/database"));
	on("tcp", tcp());
	return 0;
}
