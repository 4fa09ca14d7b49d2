// Ends by SIGKILL in ways in which no call sends it, or one whose sender is easily mistaken.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void timer(void) {
  struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
  struct itimerspec s = {.it_value.tv_nsec = 50000000};
  timer_t t;
  timer_create(CLOCK_MONOTONIC, &e, &t);
  timer_settime(t, 0, &s, 0);
  for (;;) pause();
}

static void setsig(void) {
  int p[2];
  pipe(p);
  fcntl(p[0], F_SETOWN, getpid());
  fcntl(p[0], F_SETSIG, SIGKILL);
  fcntl(p[0], F_SETFL, O_ASYNC);
  write(p[1], "x", 1);
  for (;;) pause();
}

static void limit(void) {
  struct rlimit r = {1, 1};
  setrlimit(RLIMIT_CPU, &r);
  for (;;) ;
}

static void tracer(void) {
  pid_t self = getpid();
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  if (!fork()) {
    ptrace(PTRACE_SEIZE, self, 0, PTRACE_O_EXITKILL);
    _exit(0);
  }
  for (;;) pause();
}

static void strict(void) {
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  syscall(SYS_getpid);
}

static void byself(void) {
  int fd = syscall(SYS_pidfd_open, getpid(), 0);
  syscall(SYS_pidfd_send_signal, fd, SIGKILL, 0, 0);
}

// A child that says that process 1 sends it.
static void forged(void) {
  pid_t self = getpid();
  if (!fork()) {
    siginfo_t i = {.si_signo = SIGABRT, .si_code = SI_QUEUE, .si_pid = 1};
    syscall(SYS_rt_tgsigqueueinfo, self, self, SIGABRT, &i);
    _exit(0);
  }
  for (;;) pause();
}

int main(int argc, char **argv) {
  static const struct { const char *name; void (*f)(void); } all[] = {
    {"timer", timer}, {"setsig", setsig}, {"limit", limit}, {"tracer", tracer}, {"strict", strict}, {"byself", byself}, {"forged", forged},
  };
  for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
    if (argc > 1 && !strcmp(argv[1], all[i].name)) all[i].f();
  return 3;
}
