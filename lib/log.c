/* Events to the journal or standard error. Owns the tap and the debug switch; must never block for long or fail its
 * caller: a record that cannot be written is lost. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "text.h"
#include "usec.h"

static const struct {
        const char *name;
        const char *message_id;
        int priority;
} events[_EVENT_MAX] = {
        [EVENT_STARTED] = { "started", "f70467abcad64a7aa3e5cc60a3ed3261", LOG_NOTICE },
        [EVENT_STOPPING] = { "stopping", "801edd0556664435afdf84722dbffe30", LOG_NOTICE },
        [EVENT_CONFIG_RELOADED] = { "config-reloaded", "ee205888ebbd4b719116038d946bb944", LOG_INFO },
        [EVENT_CONFIG_REJECTED] = { "config-rejected", "98cecfa48fcb498f944023ae40f49b30", LOG_ERR },
        [EVENT_PRIMARY_FOUND] = { "primary-found", "996121401e8747d8b8222faf811e8640", LOG_NOTICE },
        [EVENT_TOPOLOGY_PROBLEM] = { "topology-problem", "67887d9c22a9443daabd40ea901991bf", LOG_WARNING },
        [EVENT_TOPOLOGY_OK] = { "topology-ok", "4f6bf8d106ae413190beb7e1bcf78a96", LOG_INFO },
        [EVENT_SUSPECT] = { "suspect", "3b2ec462763d4b6e99840c6ad3782afb", LOG_WARNING },
        [EVENT_SUSPICION_CLEARED] = { "suspicion-cleared", "2613fe2425b4481680ce777704c8da54", LOG_NOTICE },
        [EVENT_DEAD] = { "dead", "7efc13d950a64de69bcad3cf91f1ad6c", LOG_CRIT },
        [EVENT_HELD] = { "held", "4e2deefb6dff463cba0b738c95bbaf86", LOG_CRIT },
        [EVENT_RUN_STARTED] = { "run-started", "1fc0d446ccc1481eb446afaa5acd6c21", LOG_NOTICE },
        [EVENT_RUN_RESUMED] = { "run-resumed", "797810c596664a84a6f6ce4c0fd6908e", LOG_NOTICE },
        [EVENT_STEP_STARTED] = { "step-started", "a29d6f6ebc4a4050b4b7fd009b2a8dfe", LOG_INFO },
        [EVENT_STEP_DONE] = { "step-done", "4caece4e40b548c98aa6a15b852e3d89", LOG_INFO },
        [EVENT_STEP_FAILED] = { "step-failed", "32326375055e4d9b9a620c0bd407cffa", LOG_ERR },
        [EVENT_RUN_COMPLETED] = { "run-completed", "6908a838f8a34cf5a31e8a90a4e8bb42", LOG_NOTICE },
        [EVENT_RUN_ABORTED] = { "run-aborted", "b0d23e874b6b42df98ecbcc2f8e604f0", LOG_ERR },
        [EVENT_RUN_HALTED] = { "run-halted", "2f7b5bde53d1442a89ae092d1d70e560", LOG_CRIT },
        [EVENT_FENCED] = { "fenced", "22af580d4b66423eaed748fbdcb7798d", LOG_WARNING },
        [EVENT_CLUSTER_STATE] = { "cluster-state", "2cbbff4c8e8a4960ae020be7ddfdf223", LOG_INFO },
        [EVENT_PAUSED] = { "paused", "850f30acc0ee42bfa60bbcb562e9c424", LOG_NOTICE },
        [EVENT_RESUMED] = { "resumed", "6a66d8ddd8994484ab1ffa8d7c0ce02f", LOG_NOTICE },
        [EVENT_ACKNOWLEDGED] = { "acknowledged", "670b8a3a138f4201a32689a05e3fb519", LOG_NOTICE },
        [EVENT_DOWNTIME] = { "downtime", "5d6f3a1c0b7e4f6f9a54c8f2b1e0d937", LOG_NOTICE },
        [EVENT_DOWNTIME_OVER] = { "downtime-over", "8c1b2e7f64d94a0db3f58a9e7c2d4610", LOG_NOTICE },
        [EVENT_STALL] = { "stall", "dc28dd822d98465f9a2961639d7959d4", LOG_WARNING },
        [EVENT_REPORT] = { "report", "29df038343714d5da5dc804dc6f08209", LOG_INFO },
        [EVENT_RESCUE_ORDERED] = { "rescue-ordered", "90df2bdc9f9244b8b1b03697b3ea8466", LOG_INFO },
        [EVENT_RESCUE_FETCHED] = { "rescue-fetched", "09cc3ad299b34d168a021147501068ae", LOG_INFO },
        [EVENT_RESCUE_REMOVED] = { "rescue-removed", "f675ad8179774b82a300285c94dd202d", LOG_NOTICE },
        [EVENT_WARNING] = { "warning", "161eb3f950a4483e856dacf5d9d16b2b", LOG_WARNING },
        [EVENT_ERROR] = { "error", "875eaa8081ff481193e837b2fa6fed1a", LOG_ERR },
        [EVENT_DEBUG] = { "debug", "491d8d3d41d64043a9059ddcfc07ff80", LOG_DEBUG },
};

static bool debug, debug_configured;
static log_tap_fn tap;
static void *tap_userdata;
static bool in_tap;

const char *event_to_string(EventId id)
{
        return id >= 0 && id < _EVENT_MAX ? events[id].name : "?";
}

EventId event_from_string(const char *name)
{
        for (int i = 0; name && i < _EVENT_MAX; i++)
                if (strcmp(events[i].name, name) == 0)
                        return (EventId) i;
        return _EVENT_INVALID;
}

const char *event_message_id(EventId id)
{
        return events[id].message_id;
}

int event_priority(EventId id)
{
        return events[id].priority;
}

void log_set_debug(bool on)
{
        debug = on;
}

void log_set_debug_from(bool configuration)
{
        debug_configured = configuration;
}

void log_set_tap(log_tap_fn new_tap, void *userdata)
{
        tap = new_tap;
        tap_userdata = userdata;
}

/* JOURNAL_STREAM names the device and inode of standard error when systemd connected it to the journal
 * (systemd.exec(5)). */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat status;
        return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
               status.st_dev == device && status.st_ino == inode;
}

static void to_journal(EventId id, const LogFields *fields, const char *message)
{
        const char *names[] = { "CLUSTER", "SERVER", "RUN", "STEP" };
        const char *values[] = { fields->cluster, fields->server, fields->run, fields->step };
        char *entries[8];
        size_t n = 0;
        entries[n++] = text_format("MESSAGE=%s", message);
        entries[n++] = text_format("PRIORITY=%d", events[id].priority);
        entries[n++] = text_format("EVENT=%s", events[id].name);
        entries[n++] = text_format("MESSAGE_ID=%s", events[id].message_id);
        for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
                if (values[i])
                        entries[n++] = text_format("%s=%s", names[i], values[i]);
        struct iovec vectors[8];
        for (size_t i = 0; i < n; i++)
                vectors[i] = (struct iovec){ entries[i], strlen(entries[i]) };
        (void) sd_journal_sendv(vectors, (int) n);
        for (size_t i = 0; i < n; i++)
                free(entries[i]);
}

static void to_stderr(EventId id, const LogFields *fields, const char *message)
{
        Text line = { 0 };
        CLEANUP(mem_free) char *time = usec_format_time(usec_now_real());
        text_addf(&line, "%s %s", time, events[id].name);
        if (fields->cluster)
                text_addf(&line, " cluster=%s", fields->cluster);
        if (fields->server)
                text_addf(&line, " server=%s", fields->server);
        if (fields->run)
                text_addf(&line, " run=%s", fields->run);
        if (fields->step)
                text_addf(&line, " step=%s", fields->step);
        text_addf(&line, ": %s\n", message);
        (void) !write(STDERR_FILENO, line.data, line.length);
        text_done(&line);
}

/* A record is one line, whatever a server or a client says that stands in it. */
static void flatten(char *message)
{
        for (char *c = message; *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f)
                        *c = ' ';
}

void log_event(EventId id, const LogFields *fields, const char *format, ...)
{
        static int journal = -1;
        static const LogFields none;
        if (id == EVENT_DEBUG && !debug && !debug_configured)
                return;
        if (journal < 0)
                journal = stderr_is_journal();
        if (!fields)
                fields = &none;
        va_list arguments;
        va_start(arguments, format);
        CLEANUP(mem_free) char *message = text_vformat(format, arguments);
        va_end(arguments);
        flatten(message);
        if (journal)
                to_journal(id, fields, message);
        else
                to_stderr(id, fields, message);
        if (tap && !in_tap && id != EVENT_DEBUG) {
                in_tap = true;
                tap(id, fields, message, tap_userdata);
                in_tap = false;
        }
}
