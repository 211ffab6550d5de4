/* SPDX-License-Identifier: MIT */
/* The verbs of the command. Each gets its own name as argv[0] and returns an exit status. */
#ifndef TOOLS_CMD_H
#define TOOLS_CMD_H

#include "front/run/run.h"

int cmd_list(int argc, char **argv);
int cmd_pgtable(int argc, char **argv);

#endif
