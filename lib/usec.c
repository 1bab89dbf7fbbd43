/* Durations and times. Owns nothing; must never wrap. */
#include "usec.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text.h"

static usec_t now(clockid_t clock)
{
        struct timespec time;
        clock_gettime(clock, &time);
        return (usec_t) time.tv_sec * USEC_SEC + (usec_t) time.tv_nsec / 1000;
}

usec_t usec_now_monotonic(void)
{
        return now(CLOCK_MONOTONIC);
}

usec_t usec_now_real(void)
{
        return now(CLOCK_REALTIME);
}

usec_t usec_add(usec_t a, usec_t b)
{
        return b > USEC_INFINITY - a ? USEC_INFINITY : a + b;
}

usec_t usec_sub(usec_t a, usec_t b)
{
        if (a == USEC_INFINITY)
                return USEC_INFINITY;
        return a > b ? a - b : 0;
}

static const struct {
        const char *name;
        usec_t length;
} units[] = {
        { "d", USEC_DAY }, { "h", USEC_HOUR },  { "m", USEC_MINUTE },
        { "s", USEC_SEC }, { "ms", USEC_MSEC }, { "us", 1 },
};

static usec_t unit_length(const char *name, size_t length)
{
        for (size_t i = 0; i < ARRAY_LENGTH(units); i++)
                if (strlen(units[i].name) == length && strncmp(units[i].name, name, length) == 0)
                        return units[i].length;
        return (length == 3 && strncmp(name, "min", 3) == 0) ? USEC_MINUTE : 0;
}

int usec_parse(const char *text, usec_t *ret)
{
        if (!text || !*text)
                return -EINVAL;
        if (strcmp(text, "0") == 0) {
                *ret = 0;
                return 0;
        }
        usec_t sum = 0;
        while (*text) {
                size_t digits = strspn(text, "0123456789."),
                       letters = strspn(text + digits, "abcdefghijklmnopqrstuvwxyz");
                if (digits == 0 || digits > 15 || letters == 0)
                        return -EINVAL;
                usec_t unit = unit_length(text + digits, letters);
                char *end;
                double number = strtod(text, &end);
                double product = number * (double) unit;
                if (unit == 0 || end != text + digits || product > 1e17)
                        return -EINVAL;
                sum = usec_add(sum, (usec_t) llround(product));
                text += digits + letters;
        }
        *ret = sum;
        return 0;
}

char *usec_format(usec_t duration)
{
        if (duration == 0)
                return alloc_string("0");
        if (duration == USEC_INFINITY)
                return alloc_string("infinity");
        Text out = { 0 };
        for (size_t i = 0; i < ARRAY_LENGTH(units); i++)
                if (duration >= units[i].length) {
                        text_addf(&out, "%" PRIu64 "%s", duration / units[i].length, units[i].name);
                        duration %= units[i].length;
                }
        return text_take(&out);
}

char *usec_format_human(usec_t duration)
{
        if (duration == USEC_INFINITY)
                return alloc_string("for ever");
        if (duration < USEC_SEC)
                return text_format("%" PRIu64 " ms", duration / USEC_MSEC);
        if (duration < USEC_MINUTE)
                return text_format("%.1f s", (double) duration / (double) USEC_SEC);
        if (duration < USEC_HOUR)
                return text_format("%" PRIu64 " min %" PRIu64 " s", duration / USEC_MINUTE,
                                   duration % USEC_MINUTE / USEC_SEC);
        if (duration < USEC_DAY)
                return text_format("%" PRIu64 " h %" PRIu64 " min", duration / USEC_HOUR,
                                   duration % USEC_HOUR / USEC_MINUTE);
        return text_format("%" PRIu64 " d %" PRIu64 " h", duration / USEC_DAY, duration % USEC_DAY / USEC_HOUR);
}

char *usec_format_time(usec_t real)
{
        time_t seconds = (time_t) (real / USEC_SEC);
        struct tm parts;
        char date[32] = "?";
        if (localtime_r(&seconds, &parts))
                strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
        return text_format("%s.%03u", date, (unsigned) (real % USEC_SEC / USEC_MSEC));
}
