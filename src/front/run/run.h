/* SPDX-License-Identifier: MIT */
/* The launcher: `uiommufd run`. */
#ifndef FRONT_RUN_RUN_H
#define FRONT_RUN_RUN_H

/* argv[0] is "run"; returns the exit status. */
int cmd_run(int argc, char **argv);

#endif
