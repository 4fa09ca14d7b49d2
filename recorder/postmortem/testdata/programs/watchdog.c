// A child that kills its parent.
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(void)
{
	pid_t server = getpid();
	if (fork() == 0) {
		prctl(PR_SET_NAME, "watchdog");
		usleep(50000);
		write(2, "watchdog: no heartbeat, killing the server\n", 43);
		kill(server, SIGKILL);
		_exit(0);
	}
	for (;;)
		pause();
}
