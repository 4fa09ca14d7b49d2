// A worker thread goes on without its configuration.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

struct conf { long version; char *limit; };

static struct conf *load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	close(fd);
	return NULL;
}

static void *work(void *arg)
{
	pthread_setname_np(pthread_self(), "worker");
	volatile struct conf *c = load("/etc/cart/cart.conf");
	usleep(3000);
	printf("limit %s\n", c->limit);
	return NULL;
}

int main(void)
{
	pthread_t t;
	write(1, "cart: starting\n", 15);
	pthread_create(&t, NULL, work, NULL);
	pthread_join(t, NULL);
	return 0;
}
