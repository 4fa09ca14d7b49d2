// A server whose workers fail, one after the other.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	for (int i = 0; i < 6; i++) {
		pid_t child = fork();
		if (child == 0) {
			if (open("/var/lib/orders/orders.db", O_RDWR) < 0) {
				const char say[] = "worker: cannot open the database\n";
				write(2, say, strlen(say));
				_exit(3);
			}
			_exit(0);
		}
		int status;
		waitpid(child, &status, 0);
		dprintf(2, "master: worker ended with %d, starting another\n", WEXITSTATUS(status));
		usleep(20000);
	}
	pause();
}
