// Catches SIGTERM and does not end.
#include <signal.h>
#include <unistd.h>

static void drain(int sig)
{
	(void)sig;
	write(1, "draining\n", 9);
}

int main(void)
{
	signal(SIGTERM, drain);
	write(1, "serving\n", 8);
	for (;;)
		pause();
}
