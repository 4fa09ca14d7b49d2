/* Sends messages to port 53 and elsewhere, and receives some; says which in the text of each. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static struct sockaddr_in at(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return a;
}

int main()
{
	struct sockaddr_in dns = at(53), other = at(54), from;
	socklen_t len = sizeof(from);
	char b[64];
	int server = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct iovec iov = { "names-sendmsg-end", 17 }, in = { b, sizeof(b) };
	struct msghdr m = { .msg_name = &dns, .msg_namelen = sizeof(dns), .msg_iov = &iov, .msg_iovlen = 1 };
	struct mmsghdr mm = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
	int sent;

	if (bind(server, (void *)&dns, sizeof(dns)))
		return 1;
	sendto(fd, "names-sendto-end", 16, 0, (void *)&dns, sizeof(dns));
	sendmsg(fd, &m, 0);
	sendto(fd, "elsewhere-sendto-end", 20, 0, (void *)&other, sizeof(other));
	connect(fd, (void *)&dns, sizeof(dns));
	send(fd, "names-send-end", 14, 0);
	write(fd, "names-write-end", 15);
	iov = (struct iovec){ "names-sendmmsg-end", 18 };
	sendmmsg(fd, &mm, 1, 0);
	getsockname(fd, (void *)&from, &len);
	sendto(server, "names-recvfrom-end", 18, 0, (void *)&from, sizeof(from));
	sendto(server, "names-read-end", 14, 0, (void *)&from, sizeof(from));
	sendto(server, "names-recvmsg-end", 17, 0, (void *)&from, sizeof(from));
	recvfrom(fd, b, sizeof(b), 0, (void *)&from, &len);
	read(fd, b, sizeof(b));
	m = (struct msghdr){ .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &in, .msg_iovlen = 1 };
	recvmsg(fd, &m, 0);
	/* What has the number now is a file. */
	close(fd);
	if (open("file", O_RDWR | O_CREAT, 0600) != fd)
		return 2;
	for (sent = 0; sent < 2; sent++)
		write(fd, "elsewhere-file-end", 18);
	/* And a connection to another port. */
	close(fd);
	if (socket(AF_INET, SOCK_DGRAM, 0) != fd)
		return 3;
	connect(fd, (void *)&other, sizeof(other));
	send(fd, "elsewhere-send-end", 18, 0);
	return 0;
}
