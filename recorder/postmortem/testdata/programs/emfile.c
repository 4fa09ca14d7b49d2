// Leaks descriptors, and then accepts in vain for ever.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
	struct rlimit limit = { 64, 64 };
	setrlimit(RLIMIT_NOFILE, &limit);
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "shop.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(fd, (struct sockaddr *)&a, sizeof a);
	listen(fd, 5);
	while (open("/etc/hostname", O_RDONLY) >= 0)
		;
	for (long i = 0;; i++) {
		if (accept(fd, NULL, NULL) < 0 && i == 0)
			fprintf(stderr, "shop: accept: %s\n", strerror(errno));
		usleep(200);
	}
}
