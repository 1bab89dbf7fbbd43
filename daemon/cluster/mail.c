/* Reports by mail, through the system's sendmail. Owns the programs that are under way; must never wait for one, nor let what
 * a report says become a header. */
#include "inside.h"

#include <string.h>
#include <time.h>

#include "hook.h"
#include "text.h"

struct Mail {
        Cluster *cluster;
        Hook *hook;
        Mail *next;
};

static void forget(Mail *mail)
{
        Mail **at = &mail->cluster->mails;
        while (*at != mail)
                at = &(*at)->next;
        *at = mail->next;
        free(mail);
}

static void on_done(const HookResult *result, void *userdata)
{
        Mail *mail = userdata;
        const ClusterConfig *config = mail->cluster->config;
        LogFields fields = cluster_fields(mail->cluster, NULL);
        const char *said = result->err ? result->err : "";
        if (result->failure.kind != FAILURE_NONE)
                log_event(EVENT_WARNING, &fields, "%s: the report could not be mailed to %s: %s%s%.*s", config->name,
                          config->mail.to, result->failure.text, *said ? ": " : "", (int) strcspn(said, "\n"), said);
        else
                log_event(EVENT_DEBUG, &fields, "%s: the report was mailed to %s", config->name, config->mail.to);
        forget(mail);
}

/* One line of ASCII. */
static void add_header(Text *text, const char *name, const char *value)
{
        text_addf(text, "%s: ", name);
        for (const char *c = value; *c; c++)
                text_add_n(text, (unsigned char) *c < 0x20 || (unsigned char) *c >= 0x7f ? "?" : c, 1);
        text_add(text, "\n");
}

static char *write_mail(const Cluster *cluster, const Json *report)
{
        const MailConfig *mail = &cluster->config->mail;
        const char *summary = json_get_string(report, "summary"), *body = json_get_string(report, "text");
        CLEANUP(mem_free)
        char *subject = text_format("[mhad] %s: %s %s: %s", cluster->config->name, json_get_string(report, "procedure"),
                                    json_get_string(report, "outcome"), summary ? summary : "");
        time_t now = (time_t) (loop_now_real(cluster->context.loop) / USEC_SEC);
        struct tm local;
        char date[64] = "";
        if (localtime_r(&now, &local))
                (void) strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S %z", &local);
        Text text = { 0 };
        if (mail->from)
                add_header(&text, "From", mail->from);
        add_header(&text, "To", mail->to);
        add_header(&text, "Subject", subject);
        add_header(&text, "Date", date);
        text_add(&text, "Auto-Submitted: auto-generated\n"
                        "MIME-Version: 1.0\n"
                        "Content-Type: text/plain; charset=utf-8\n"
                        "Content-Transfer-Encoding: 8bit\n"
                        "\n");
        text_addf(&text, "%s\n", body ? body : "");
        return text_take(&text);
}

void mail_report(Cluster *cluster, const Json *report)
{
        const MailConfig *config = &cluster->config->mail;
        if (!config->to)
                return;
        const char *const argv[] = { config->program, "-i", "-t", config->from ? "-f" : NULL, config->from, NULL };
        CLEANUP(mem_free) char *text = write_mail(cluster, report);
        Mail *mail = ALLOC(Mail);
        *mail = (Mail){ .cluster = cluster, .next = cluster->mails };
        cluster->mails = mail;
        mail->hook = hook_run(cluster->context.loop, "mail", argv, text, NULL,
                              usec_add(loop_now(cluster->context.loop), config->timeout), on_done, mail);
}

void mail_done(Cluster *cluster)
{
        for (Mail *mail = cluster->mails, *next; mail; mail = next) {
                next = mail->next;
                hook_leave(mail->hook);
                free(mail);
        }
        cluster->mails = NULL;
}
