// Tries three times to reach a database that is not there.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(5432) };
	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	for (int i = 1; i <= 3; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
			return 0;
		fprintf(stderr, "orders: attempt %d: connect: %s\n", i, strerror(errno));
		close(fd);
		usleep(100000);
	}
	fprintf(stderr, "orders: no database, giving up\n");
	return 1;
}
