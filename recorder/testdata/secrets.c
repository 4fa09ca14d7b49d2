// SPDX-License-Identifier: Apache-2.0
// Passes a secret to the kernel in each of the ways that recorder/privacy lists (Secrets):
// a chdir to the name of the case, and the call with "hunter2-" and that name. Most fail,
// which changes nothing: what a call was given is read however it ends. Its argument is a
// directory for files.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char secret[128];

// Begins a case; format has a %s for the secret.
static char *begin(const char *name, const char *format)
{
	static char text[256];
	char dir[64];

	snprintf(dir, sizeof(dir), "/case-%s", name);
	snprintf(secret, sizeof(secret), "hunter2-%s", name);
	memset(text, 0, sizeof(text));
	snprintf(text, sizeof(text), format, secret);
	if (!chdir(dir))
		exit(1);
	return text;
}

static void option(const char *name, int level, int opt)
{
	char *key = begin(name, "%s");

	setsockopt(-1, level, opt, key, strlen(key) + 1);
}

static void control(const char *name, int after)
{
	char *key = begin(name, "%s"), buf[256] __attribute__((aligned(8))) = {};
	struct msghdr msg = {.msg_control = buf};
	struct cmsghdr *c = (void *)buf;

	if (after) {
		c->cmsg_len = CMSG_LEN(4);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c = (void *)(buf + CMSG_SPACE(4));
	}
	c->cmsg_len = CMSG_LEN(strlen(key) + 1);
	c->cmsg_level = 279; // SOL_ALG
	c->cmsg_type = 2;    // ALG_SET_IV
	strcpy((char *)CMSG_DATA(c), key);
	msg.msg_controllen = (char *)c + CMSG_SPACE(strlen(key) + 1) - buf;
	sendmsg(-1, &msg, 0);
}

static void run(char *arg, char *env)
{
	char *args[] = {"/bin/true", "--password", arg, NULL}, *envs[] = {env, NULL};
	pid_t pid = fork();

	if (!arg)
		args[1] = NULL;
	if (pid == 0) {
		execve(args[0], args, envs);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void contents(const char *name, const char *format, const char *file, int as)
{
	int fd = open(file, O_WRONLY | O_CREAT, 0600), old = as == 1 ? dup(1) : -1;
	char *text = begin(name, format);

	if (fd < 0 || dup2(fd, as) != as)
		exit(1);
	if (write(as, text, strlen(text)) < 0)
		exit(1);
	if (old >= 0)
		dup2(old, 1);
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct loop_info64 loop = {.lo_flags = 4};
	char *key;

	if (chdir(argv[1]))
		return 1;
	contents("stdout-file", "%s", "stdout", 1);
	contents("stdout-null", "%s", "/dev/null", 1);
	contents("file", "%s", "/dev/null", 20);

	option("alg-key", 279, 1);
	option("tls-tx", 282, 1);
	option("tls-rx", 282, 2);
	option("tcp-md5", 6, 14);
	option("tcp-ao", 6, 38);
	option("tcp-fastopen", 6, 33);
	option("sctp-auth", 132, 23);
	option("rxrpc", 272, 1);
	option("unknown-option", 4242, 1);
	control("control", 0);
	control("control-second", 1);
	key = begin("ioctl", "%s");
	ioctl(-1, _IOC(_IOC_READ | _IOC_WRITE, 'f', 23, 80), key);
	key = begin("loop-key", "%s");
	memcpy(loop.lo_encrypt_key, key, strlen(key));
	ioctl(-1, LOOP_SET_STATUS64, &loop);
	key = begin("add-key", "%s");
	syscall(SYS_add_key, "none", "description", key, strlen(key), 0);
	key = begin("keyctl-update", "%s");
	syscall(SYS_keyctl, KEYCTL_UPDATE, -1, key, strlen(key), 0);
	key = begin("request-key", "%s");
	syscall(SYS_request_key, "none", "description", key, 0);
	key = begin("xattr", "%s");
	syscall(SYS_setxattr, "/nonexistent/file", "user.x", key, strlen(key), 0);
	key = begin("env", "SECRET=%s");
	run(NULL, key);
	key = begin("mount", "user=x,password=%s");
	mount("none", "/nonexistent/dir", "none", 0, key);
	key = begin("fsconfig", "%s");
	syscall(SYS_fsconfig, -1, 1, "password", key, 0);
	key = begin("module", "dev=1 password=%s");
	syscall(SYS_finit_module, -1, key, 0);
	key = begin("kexec", "root=/dev/sda systemd.set_credential=db:%s quiet");
	syscall(SYS_kexec_file_load, -1, -1, strlen(key) + 1, key, 0);
	key = begin("argv", "%s");
	run(key, "A=b");
	key = begin("sun-path", "/nonexistent/token=%s");
	strcpy(addr.sun_path, key);
	connect(-1, (void *)&addr, sizeof(addr));
	key = begin("stdout", "password=%s\n");
	return write(1, key, strlen(key)) < 0;
}
