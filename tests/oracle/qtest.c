// SPDX-License-Identifier: MIT
/* How does a test talk to a QEMU that runs no guest? (see qtest.h) */
#include "qtest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPLY_TIMEOUT_MS 30000

static void run_child(int in, int out, int err, char *const argv[], pid_t parent)
{
	/* QEMU does not leave at end of file on its channel, so it must be told. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(125);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

int qtest_start(struct qtest *q, char *const argv[])
{
	pid_t parent = getpid();
	int down[2], up[2];

	memset(q, 0, sizeof(*q));
	/* Written at its death otherwise; -EPIPE says more. */
	signal(SIGPIPE, SIG_IGN);
	q->err = memfd_create("qemu-stderr", MFD_CLOEXEC);
	if (q->err < 0 || pipe(down))
		return -errno;
	if (pipe(up)) {
		close(down[0]);
		close(down[1]);
		return -EMFILE;
	}
	q->pid = fork();
	if (q->pid == 0) {
		close(down[1]);
		close(up[0]);
		run_child(down[0], up[1], q->err, argv, parent);
	}
	close(down[0]);
	close(up[1]);
	q->to = down[1];
	q->from = up[0];
	if (q->pid < 0) {
		close(q->to);
		close(q->from);
		q->pid = 0;
		return -EAGAIN;
	}
	return 0;
}

void qtest_stop(struct qtest *q)
{
	if (q->pid <= 0)
		return;
	kill(q->pid, SIGKILL);
	while (waitpid(q->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(q->to);
	close(q->from);
	close(q->err);
	q->pid = 0;
}

static void complain(struct qtest *q)
{
	char text[2048], *line, *save;
	ssize_t n = pread(q->err, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return;
	text[n] = 0;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		printf("# qemu: %s\n", line);
}

void qtest_cmd(struct qtest *q, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (q->pending >= QTEST_BATCH) {
		fprintf(stderr, "oracle: more than %d commands queued\n", QTEST_BATCH);
		exit(1);
	}
	va_start(ap, fmt);
	n = vsnprintf(q->out + q->outlen, 95, fmt, ap);
	va_end(ap);
	if (n < 0 || n > 94) {
		fprintf(stderr, "oracle: command too long: %s\n", fmt);
		exit(1);
	}
	q->outlen += (size_t)n;
	q->out[q->outlen++] = '\n';
	q->pending++;
}

static int send_all(struct qtest *q)
{
	size_t done = 0;

	while (done < q->outlen) {
		ssize_t n = write(q->to, q->out + done, q->outlen - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		done += (size_t)n;
	}
	q->outlen = 0;
	return 0;
}

/* The next line, NUL-terminated in place; valid until the next call. */
static int read_line(struct qtest *q, char **line)
{
	for (;;) {
		char *start = q->in + q->inpos;
		char *nl = memchr(start, '\n', q->inlen - q->inpos);
		struct pollfd pfd = { .fd = q->from, .events = POLLIN };
		ssize_t n;
		int rc;

		if (nl) {
			*nl = 0;
			q->inpos = (size_t)(nl + 1 - q->in);
			*line = start;
			return 0;
		}
		memmove(q->in, start, q->inlen - q->inpos);
		q->inlen -= q->inpos;
		q->inpos = 0;
		if (q->inlen == sizeof(q->in))
			return -EPROTO;
		rc = poll(&pfd, 1, REPLY_TIMEOUT_MS);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return -ETIMEDOUT;
		n = read(q->from, q->in + q->inlen, sizeof(q->in) - q->inlen);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		q->inlen += (size_t)n;
	}
}

int qtest_flush(struct qtest *q, uint64_t *vals)
{
	unsigned int want = q->pending, got = 0;
	int rc = send_all(q);

	q->pending = 0;
	while (!rc && got < want) {
		char *line;

		rc = read_line(q, &line);
		if (rc)
			break;
		if (!strncmp(line, "IRQ ", 4))
			continue;
		if (strncmp(line, "OK", 2)) {
			fprintf(stderr, "oracle: QEMU answered: %s\n", line);
			rc = -EPROTO;
			break;
		}
		if (vals)
			vals[got] = line[2] == ' ' ? strtoull(line + 3, NULL, 0) : 0;
		got++;
	}
	if (rc)
		complain(q);
	return rc;
}
