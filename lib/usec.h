/* Time, always in microseconds; a name says what it is (timeout, deadline, interval), never the unit. */
#pragma once

#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_MSEC ((usec_t) 1000)
#define USEC_SEC ((usec_t) 1000000)
#define USEC_MINUTE (60 * USEC_SEC)
#define USEC_HOUR (60 * USEC_MINUTE)
#define USEC_DAY (24 * USEC_HOUR)
#define USEC_INFINITY UINT64_MAX

/* The two clocks, for the programs' outermost layers only: what decides is handed a time, it never asks for it. */
usec_t usec_now_monotonic(void);
usec_t usec_now_real(void);

/* Sum that stays at USEC_INFINITY instead of wrapping; difference that stays at 0. */
usec_t usec_add(usec_t a, usec_t b);
usec_t usec_sub(usec_t a, usec_t b);

/* "500ms", "3s", "1m30s", "8h", "2d", "1.5s", "0": -EINVAL for anything else, also for a number without a unit. */
int usec_parse(const char *text, usec_t *ret);
/* The shortest exact form of the same: "1m30s", "500ms", "0". Free with free(). */
char *usec_format(usec_t duration);
/* For people: "3.2 s", "480 ms", "2 h 5 min". Free with free(). */
char *usec_format_human(usec_t duration);
/* A wall-clock time in the local zone, to the millisecond: "2026-11-22 09:15:02.123". Free with free(). */
char *usec_format_time(usec_t real);
