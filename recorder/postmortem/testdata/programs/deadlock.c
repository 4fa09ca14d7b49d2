// Two threads take two locks in two orders.
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t cart = PTHREAD_MUTEX_INITIALIZER, stock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void *buy(void *arg)
{
	pthread_setname_np(pthread_self(), "buy");
	pthread_mutex_lock(&cart);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&stock);
	return arg;
}

static void *restock(void *arg)
{
	pthread_setname_np(pthread_self(), "restock");
	pthread_mutex_lock(&stock);
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&cart);
	return arg;
}

int main(void)
{
	pthread_t a, b;
	pthread_barrier_init(&both, NULL, 2);
	write(1, "shop: open\n", 11);
	pthread_create(&a, NULL, buy, NULL);
	pthread_create(&b, NULL, restock, NULL);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	return 0;
}
