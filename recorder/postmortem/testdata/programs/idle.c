// A server with nothing to do.
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int ep;

static void *wait_for(void *arg)
{
	struct epoll_event ev;
	for (;;)
		epoll_wait(ep, &ev, 1, -1);
	return arg;
}

int main(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "idle.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pthread_t t;
	bind(fd, (struct sockaddr *)&a, sizeof a);
	listen(fd, 5);
	ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN };
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	write(1, "idle: listening\n", 16);
	pthread_create(&t, NULL, wait_for, NULL);
	wait_for(NULL);
}
