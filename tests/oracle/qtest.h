/* SPDX-License-Identifier: MIT */
/*
 * How does a test talk to a QEMU that runs no guest?
 *
 * One text line per command, one "OK [value]" line per reply (QEMU docs/devel/testing, "QTest
 * protocol"). Commands are queued and sent together; qtest_flush() waits for all of their replies.
 */
#ifndef ORACLE_QTEST_H
#define ORACLE_QTEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QTEST_BATCH 64

struct qtest {
	pid_t pid;
	int to, from;
	int err; /* what QEMU said on stderr, a memfd */
	char out[QTEST_BATCH * 96];
	size_t outlen;
	unsigned int pending;
	char in[16384];
	size_t inpos, inlen;
};

/**
 * qtest_start() - run argv[0] with its qtest channel on stdin and stdout
 *
 * The process dies with the caller.
 *
 * Return: 0; -errno when pipe or fork fails. A program that cannot be run shows at the first flush.
 */
int qtest_start(struct qtest *q, char *const argv[]);

/** qtest_stop() - kill the process, wait for it; does nothing when none was started */
void qtest_stop(struct qtest *q);

/** qtest_cmd() - queue one command (printf style, no newline); at most QTEST_BATCH before a flush
 */
void qtest_cmd(struct qtest *q, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * qtest_flush() - send what is queued and wait for every reply
 * @vals: one value per queued command in order (0 where the reply has none), or NULL
 *
 * Return: 0; -EPIPE when QEMU has gone; -ETIMEDOUT after 30 s without a reply; -EPROTO at a
 * refusal. After a failure the channel is out of step: stop it.
 */
int qtest_flush(struct qtest *q, uint64_t *vals);

#endif
