// Two threads wait for each other's mutex; two have nothing to do, and the main one goes on.
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER, q = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;

static void *one(void *x) { pthread_mutex_lock(&a); usleep(100000); pthread_mutex_lock(&b); return x; }
static void *two(void *x) { pthread_mutex_lock(&b); usleep(100000); pthread_mutex_lock(&a); return x; }
static void *idle(void *x) { pthread_mutex_lock(&q); for (;;) pthread_cond_wait(&work, &q); return x; }

int main(void) {
  pthread_t t;
  pthread_create(&t, 0, idle, 0);
  pthread_create(&t, 0, idle, 0);
  pthread_create(&t, 0, one, 0);
  pthread_create(&t, 0, two, 0);
  for (;;) poll(0, 0, 200);
}
