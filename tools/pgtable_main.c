// SPDX-License-Identifier: MIT
/* The verb alone, as a program. */
#include "cmd.h"

int main(int argc, char **argv)
{
	return cmd_pgtable(argc, argv);
}
