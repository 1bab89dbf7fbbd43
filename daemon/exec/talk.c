/* Commands that wait for a word. Owns the task and what it has printed. Must never give the word by itself. */
#include "talk.h"

#include <string.h>

#include "alloc.h"
#include "text.h"

#define OUTPUT_MAX ((size_t) 64 * 1024)

struct Talk {
        SshTask *task;
        Text out;     /* the first line as far as it has come; what followed it afterwards */
        bool greeted; /* it has come */
        talk_greeted_fn on_greeted;
        talk_ended_fn on_ended;
        void *userdata;
};

static void on_bytes(const void *bytes, size_t length, void *userdata)
{
        Talk *talk = userdata;
        size_t room = OUTPUT_MAX - talk->out.length;
        text_add_n(&talk->out, bytes, length < room ? length : room);
        const char *end = talk->greeted ? NULL : strchr(talk->out.data, '\n');
        if (!end)
                return;
        CLEANUP(mem_free) char *line = alloc_string_n(talk->out.data, (size_t) (end - talk->out.data));
        CLEANUP(mem_free) char *rest = alloc_string(end + 1);
        text_done(&talk->out);
        text_add(&talk->out, rest);
        talk->greeted = true;
        talk->on_greeted(talk, line, talk->userdata);
}

static void on_result(const SshResult *result, void *userdata)
{
        Talk *talk = userdata;
        talk->task = NULL;
        CLEANUP(mem_free) char *out = text_take(&talk->out);
        SshResult said = *result;
        said.out = talk->greeted ? out : "";
        talk->on_ended(talk, &said, talk->userdata);
}

Talk *talk_new(SshLink *link, const char *command, usec_t patience, talk_greeted_fn greeted, talk_ended_fn ended,
               void *userdata)
{
        Talk *talk = ALLOC(Talk);
        *talk = (Talk){ .on_greeted = greeted, .on_ended = ended, .userdata = userdata };
        talk->task = ssh_link_talk(link, command, patience, on_bytes, on_result, talk);
        return talk;
}

void talk_go(Talk *talk)
{
        if (talk->task)
                ssh_task_tell(talk->task, "go\n");
}

Talk *talk_free(Talk *talk)
{
        if (!talk)
                return NULL;
        ssh_task_abandon(talk->task);
        text_done(&talk->out);
        free(talk);
        return NULL;
}
