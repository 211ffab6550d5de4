/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the engine's own, in a program that counts its descriptors.
 *
 * They live at high numbers, so that the program gets the low numbers it would get without us,
 * close-on-exec, and are remembered, so that a program that closes every number it can think of
 * does not close ours (the preload asks fd_is_ours()).
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include "base/compiler.h"

/* Takes: @fd >= 0. Moves it to a high number; that number, or -errno with @fd closed. */
int fd_hide(int fd);
/* A hidden duplicate of the program's @fd; -errno (-EBADF: not open). */
int fd_dup_hidden(int fd);
void fd_close_hidden(int fd); /* @fd < 0: nothing */
bool fd_is_ours(int fd);

#endif
