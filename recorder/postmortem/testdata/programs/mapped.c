// Reads a page of a mapped file behind its end.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
  int fd = open("/srv/restart.bin", O_RDWR | O_CREAT, 0600);
  volatile char *p = mmap(0, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
  return p[8192];
}
