/* Figures of this process out of /proc. Owns nothing. */
#include "resources.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t read_memory(void)
{
        unsigned long pages = 0;
        FILE *file = fopen("/proc/self/statm", "re");
        if (!file)
                return 0;
        if (fscanf(file, "%*u %lu", &pages) != 1)
                pages = 0;
        fclose(file);
        return (uint64_t) pages * (uint64_t) sysconf(_SC_PAGESIZE);
}

static unsigned count_fds(void)
{
        unsigned n = 0;
        DIR *directory = opendir("/proc/self/fd");
        if (!directory)
                return 0;
        for (const struct dirent *entry; (entry = readdir(directory));)
                n += entry->d_name[0] != '.';
        closedir(directory);
        return n - 1; /* less the one that this took */
}

static usec_t to_usec(struct timeval time)
{
        return (usec_t) time.tv_sec * USEC_SEC + (usec_t) time.tv_usec;
}

Resources resources_read(void)
{
        Resources resources = { .memory = read_memory(), .open_fds = count_fds() };
        struct rusage usage;
        struct rlimit limit;
        if (getrusage(RUSAGE_SELF, &usage) == 0)
                resources.cpu = to_usec(usage.ru_utime) + to_usec(usage.ru_stime);
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                resources.max_fds = (unsigned) limit.rlim_cur;
        return resources;
}
