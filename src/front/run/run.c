// SPDX-License-Identifier: MIT
/*
 * uiommufd run: starts a program under the preload and stays its parent.
 *
 * The run folder is made before the program starts, so a mistake in the options is found here
 * and told in words. Signals sent to us go on to the program; its end is our end.
 */
#include "front/run/run.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/why.h"
#include "front/lib/edge.h"
#include "front/lib/rundir.h"

#define OWN_FAILURE 125
#define PRELOAD     "libuiommufd-preload.so"

/* The linker splits LD_PRELOAD at the first two and expands the third. */
#define NOT_IN_LD_PRELOAD " :$"

static void usage(FILE *to)
{
	fprintf(to,
		"usage: uiommufd run [OPTION]... [--] PROGRAM [ARG]...\n\n"
		"Runs PROGRAM, unmodified and without privileges, on a machine that has an IOMMU and\n"
		"VFIO devices: /dev/iommu, /dev/vfio/devices/vfio0 and their sysfs are there for it,\n"
		"and DMA goes through real IO page tables.\n\n"
		"  --iommu KIND[,k=v]..   the IOMMU (default: vtd); vtd,levels=3|4|5 chooses its tables\n"
		"  --device MODEL[,k=v].. a device; again for more (default: one ioat). Keys of every\n"
		"                         device: addr=0000:01:00.0  group=N  bar0=trap|poll|fault\n"
		"                         The first is 0000:01:00.0 = vfio0, the next 0000:02:00.0 = vfio1\n"
		"  --privilege root|user  root (default): no limit applies to the program; user: it has\n"
		"                         the capabilities and RLIMIT_MEMLOCK that it really has\n"
		"  --explain              tell on standard error why each refused call was refused, and\n"
		"                         why each DMA fault happened\n"
		"  --picture              draw each IO address space on standard error when it is at its\n"
		"                         fullest (before the first unmap that follows a map)\n"
		"  --help                 this\n\n"
		"`uiommufd list` shows the models and kinds. Examples:\n"
		"  uiommufd run -- ls -l /sys/bus/pci/devices /dev/vfio/devices\n"
		"  uiommufd run --explain --device ioat --device ioat,group=0 -- ./my-driver\n\n"
		"Exit status: the program's (128 + N after signal N), 125 when we failed ourselves,\n"
		"126 when PROGRAM cannot be run, 127 when there is none.\n");
}

static int complain(const char *what)
{
	fprintf(stderr, "uiommufd run: %s: %s\n", what, why_last());
	return OWN_FAILURE;
}

/* Options up to PROGRAM; its place in argv, 0 when all is said, or -1. */
static int parse(int argc, char **argv, struct config *c)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		const char *opt = argv[i], *val;

		if (!strcmp(opt, "--"))
			return i + 1;
		if (!strcmp(opt, "--help") || !strcmp(opt, "-h")) {
			usage(stdout);
			return 0;
		}
		if (strncmp(opt, "--", 2)) {
			refuse(EINVAL, "'%s' is not an option (try: uiommufd run --help)", opt);
			return -1;
		}
		if (!strcmp(opt, "--explain") || !strcmp(opt, "--picture")) {
			if (config_set(c, opt + 2, "1"))
				return -1;
			continue;
		}
		val = strchr(opt, '=');
		if (!strncmp(opt, "--iommu", 7) || !strncmp(opt, "--device", 8) ||
		    !strncmp(opt, "--privilege", 11)) {
			char key[16];
			size_t n = val ? (size_t)(val - opt) - 2 : strlen(opt) - 2;

			if (val)
				val++;
			else if (i + 1 < argc)
				val = argv[++i];
			snprintf(key, sizeof(key), "%.*s", (int)n, opt + 2);
			if (!val) {
				refuse(EINVAL, "%s needs a value", opt);
				return -1;
			}
			if (config_set(c, key, val))
				return -1;
			continue;
		}
		refuse(EINVAL, "'%s' is not an option (try: uiommufd run --help)", opt);
		return -1;
	}
	return i;
}

/* The preload beside our own binary (build folder), or where it was installed. */
static int find_preload(char *out, size_t len)
{
	char self[PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = 0;
		slash = strrchr(self, '/');
		if (slash) {
			*slash = 0;
			snprintf(out, len, "%s/" PRELOAD, self);
			if (!access(out, R_OK))
				return 0;
		}
	}
	snprintf(out, len, "%s/" PRELOAD, UIOMMUFD_LIBDIR);
	if (!access(out, R_OK))
		return 0;
	return refuse(ENOENT, PRELOAD " lies neither beside this command nor in " UIOMMUFD_LIBDIR);
}

static int set_environment(const struct config *c, const char *preload)
{
	const char *others = getenv("LD_PRELOAD");
	char path[PATH_MAX], list[2 * PATH_MAX], link[PATH_MAX];

	if (strpbrk(preload, NOT_IN_LD_PRELOAD)) {
		snprintf(link, sizeof(link), "%s/" PRELOAD, c->root);
		if (strpbrk(link, NOT_IN_LD_PRELOAD) || symlink(preload, link))
			return refuse(EINVAL,
				      "%s: the dynamic linker cannot preload a path with a space, "
				      "colon or dollar sign",
				      preload);
		preload = link;
	}
	snprintf(path, sizeof(path), "%s/config", c->root);
	snprintf(list, sizeof(list), "%s%s%s", preload, others && *others ? ":" : "",
		 others ? others : "");
	if (setenv("LD_PRELOAD", list, 1) || setenv("UIOMMUFD", path, 1))
		return refuse(ENOMEM, "the environment cannot be set");
	return 0;
}

/* The file that execvp() would run, for a look at it before. */
static bool find_program(const char *name, char *out, size_t len)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/')) {
		snprintf(out, len, "%s", name);
		return true;
	}
	for (path = path ? path : "/bin:/usr/bin"; *path; path += path[0] == ':') {
		size_t n = strcspn(path, ":");

		snprintf(out, len, "%.*s/%s", (int)n, path, name);
		if (!access(out, X_OK))
			return true;
		path += n;
	}
	return false;
}

/* A static program never loads us: say so instead of letting it fail in a puzzling way. */
static void warn_if_static(const char *name)
{
	char path[PATH_MAX];
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	bool dynamic = false;
	int fd = find_program(name, path, sizeof(path)) ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	if (read(fd, &eh, sizeof(eh)) == sizeof(eh) && !memcmp(eh.e_ident, ELFMAG, SELFMAG) &&
	    eh.e_ident[EI_CLASS] == ELFCLASS64) {
		for (unsigned i = 0; i < eh.e_phnum; i++)
			if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))) ==
				    sizeof(ph) &&
			    ph.p_type == PT_INTERP)
				dynamic = true;
		if (!dynamic)
			fprintf(stderr,
				"uiommufd run: warning: %s is statically linked, so the preload cannot reach "
				"it: it will see the host's devices\n",
				path);
	}
	close(fd);
}

static pid_t start(char **argv, const sigset_t *mask, const struct sigaction *chld)
{
	pid_t pid = fork();
	int err;

	if (pid)
		return pid;
	sigaction(SIGCHLD, chld, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	err = errno;
	fprintf(stderr, "uiommufd run: %s: %s\n", argv[0], strerror(err));
	_exit(err == ENOENT ? 127 : 126);
}

/* Buries what has died; @pid's wait status in *@status and true when it is among them. */
static bool reap(pid_t pid, int *status)
{
	bool ended = false;
	int st;
	pid_t p;

	while ((p = waitpid(-1, &st, WNOHANG | WUNTRACED)) > 0) {
		if (p != pid)
			continue; /* a program's orphan, see run() */
		if (WIFSTOPPED(st)) {
			raise(SIGSTOP); /* stop with the program; both are continued together */
			kill(pid, SIGCONT);
		} else {
			*status = st;
			ended = true;
		}
	}
	return ended;
}

/* Passes signals on until the program ends; its wait status. */
static int attend(pid_t pid, const sigset_t *waited)
{
	siginfo_t si;
	int status;

	for (;;) {
		if (sigwaitinfo(waited, &si) < 0)
			continue;
		if (si.si_signo == SIGCHLD) {
			if (reap(pid, &status))
				return status;
		} else if (si.si_code != SI_KERNEL) {
			/* A terminal's signals reach the whole group by themselves. */
			kill(pid, si.si_signo);
		}
	}
}

/*
 * The folder goes with the last process that uses it, in a process of its own: whoever waits for
 * us need not wait for the file system too. With descendants left it waits until nobody holds
 * the lock, and some time more: between an exec and its first instruction of ours a process
 * holds nothing.
 */
static void leave_root(const char *root, int held)
{
	struct timespec grace = { .tv_nsec = 500000000 };
	char path[300];
	bool alone;
	pid_t pid;
	int fd;

	fd_close_hidden(held);
	snprintf(path, sizeof(path), "%s/lock", root);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	alone = fd < 0 || (waitpid(-1, NULL, WNOHANG) < 0 && !flock(fd, LOCK_EX | LOCK_NB));
	pid = fork();
	if (pid < 0 && alone)
		rundir_remove(root);
	if (pid)
		return;
	setsid();
	/* Whoever reads from a pipe that was handed to us must see its end. */
	if (fd > 0)
		close_range(0, (unsigned)fd - 1, 0);
	close_range(fd < 0 ? 0 : (unsigned)fd + 1, ~0u, 0);
	if (chdir("/"))
		_exit(0);
	while (!alone) {
		flock(fd, LOCK_EX);
		flock(fd, LOCK_UN);
		nanosleep(&grace, NULL);
		alone = !flock(fd, LOCK_EX | LOCK_NB);
	}
	rundir_remove(root);
	_exit(0);
}

static int run(struct config *c, char **argv)
{
	static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1,
					 SIGUSR2, SIGCONT, SIGWINCH, SIGALRM };
	/* Whoever started us may ignore it; then we would never hear of the program's end. */
	struct sigaction dfl = { .sa_handler = SIG_DFL }, chld;
	char preload[PATH_MAX];
	sigset_t waited, mask;
	int status, held;
	pid_t pid;

	if (find_preload(preload, sizeof(preload)) || config_resolve(c) || rundir_create(c))
		return complain("cannot set up the run");
	if (set_environment(c, preload)) {
		rundir_remove(c->root);
		return complain("cannot set up the run");
	}
	held = rundir_hold(c->root);
	warn_if_static(argv[0]);
	sigemptyset(&waited);
	sigaddset(&waited, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&waited, forwarded[i]);
	sigprocmask(SIG_BLOCK, &waited, &mask);
	sigaction(SIGCHLD, &dfl, &chld);
	/* What the program leaves behind becomes ours, so that we know whether there is something.
	 */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	pid = start(argv, &mask, &chld);
	if (pid < 0) {
		refuse(errno, "no process can be made");
		rundir_remove(c->root);
		return complain("cannot start the program");
	}
	status = attend(pid, &waited);
	leave_root(c->root, held);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int cmd_run(int argc, char **argv)
{
	struct config c;
	int at, rc;

	config_init(&c);
	at = parse(argc, argv, &c);
	if (at < 0)
		rc = complain("wrong arguments");
	else if (!at)
		rc = 0;
	else if (at >= argc) {
		usage(stderr);
		rc = OWN_FAILURE;
	} else
		rc = run(&c, argv + at);
	config_finish(&c);
	return rc;
}
