// Catches its SIGSEGV, reports it, looks for a file on the way, and aborts itself, as virtual machines do.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void report(int sig) {
  static const char text[] = "# A fatal error has been detected:\n#  SIGSEGV (0xb)\n";
  write(2, text, sizeof text - 1);
  open("/etc/system-release", O_RDONLY);
  abort();
}

int main(void) {
  signal(SIGSEGV, report);
  open("/etc/orders/optional.conf", O_RDONLY);
  *(volatile int *)16 = 1;
}
