// Asks a server that does not answer.
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/srv/stock.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buf[512];
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return 1;
	write(1, "cart: asking for the stock\n", 27);
	write(fd, "GET /stock\n", 11);
	return read(fd, buf, sizeof buf) < 0;
}
