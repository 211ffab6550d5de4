/* SPDX-License-Identifier: MIT */
/* The compiler extensions the rest of the tree may use, under names of our own. */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)                     __builtin_expect(!!(x), 1)
#define unlikely(x)                   __builtin_expect(!!(x), 0)
#define PRINTF(f, a)                  __attribute__((format(printf, f, a)))
#define NOINLINE                      __attribute__((noinline))
#define COLD                          __attribute__((cold, noinline))
#define ALWAYS_INLINE                 inline __attribute__((always_inline))
#define ALIGNED(n)                    __attribute__((aligned(n)))
#define CACHELINE                     64
#define MUST_CHECK                    __attribute__((warn_unused_result))
#define API                           __attribute__((visibility("default")))
#define ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#if defined(__clang__) && defined(UIOMMUFD_TSA)
#define GUARDED_BY(x) __attribute__((guarded_by(x)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define NO_TSA        __attribute__((no_thread_safety_analysis))
#else
#define GUARDED_BY(x)
#define REQUIRES(...)
#define NO_TSA
#endif

#if defined(__SANITIZE_THREAD__)
#define BUILT_WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BUILT_WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define BUILT_WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BUILT_WITH_ASAN 1
#endif
#endif
#ifndef BUILT_WITH_TSAN
#define BUILT_WITH_TSAN 0
#endif
#ifndef BUILT_WITH_ASAN
#define BUILT_WITH_ASAN 0
#endif

/* Our own mistakes: abort in debug builds, a logged refusal otherwise. The caller handles true. */
bool bug_at(const char *file, int line, const char *what);
#define BUG_ON(cond) (unlikely(cond) && bug_at(__FILE__, __LINE__, #cond))

#endif
