/* The primary does not answer: ask the others, judge, and act when the verdict has held long enough and nothing forbids
 * it. Owns the suspicion's members of the cluster; must never act while somebody sees the primary alive. */
#include "inside.h"

#include <string.h>

#include "text.h"

/* How long a finding about a primary that was never seen alive must hold. */
#define NEVER_SEEN_PATIENCE (3 * USEC_SEC)
/* And how long for the other clusters to be asked, too: before that nobody knows how many were lost together with it. */
#define OTHERS_PATIENCE (30 * USEC_SEC)

void suspect_begin(Cluster *cluster)
{
        ssize_t primary = cluster->suspect = cluster->topology.primary;
        cluster->suspected_at = loop_now(cluster->context.loop);
        cluster->suspected_real = loop_now_real(cluster->context.loop);
        cluster->last_good_real = watch_last_good_real(cluster->watches[primary]);
        cluster->row = NULL;
        cluster->lost_at = cluster->context.lose(cluster->config->name, cluster_primary_name(cluster),
                                                 cluster_primary_host(cluster), cluster->context.userdata);
        cluster_hurry(cluster, true);
        witnesses_ask(cluster->witnesses, (size_t) primary);
        scripts_ask(cluster->scripts);
        /* No more sessions than are needed first, or the witnesses' answers wait for the others' handshakes. */
        for (size_t i = 0; i < cluster->config->n_servers; i++)
                ((ssize_t) i == primary ? exec_warm : exec_warm_sql)(cluster->exec, cluster->config->servers[i].name);
}

void suspect_end(Cluster *cluster)
{
        witnesses_rest(cluster->witnesses);
        scripts_rest(cluster->scripts);
        cluster_hurry(cluster, false);
        cluster->row = NULL;
        cluster->suspected_at = cluster->gone_since = 0;
        free(cluster->row_text);
        cluster->row_text = NULL;
        free(cluster->told_held);
        cluster->told_held = NULL;
}

/* How old the last sign of a receiver's source may be to count as one. A heartbeat comes every period while nothing else
 * does, so a missed one tells sooner than the limit of the configuration. */
static usec_t fresh_for(const ClusterConfig *config, const ReplicaChannel *channel)
{
        usec_t limit = config->detection.heartbeat_stale;
        usec_t missed = channel->heartbeat_period + channel->heartbeat_period / 4 + 150 * USEC_MSEC;
        return channel->heartbeat_period && missed < limit ? missed : limit;
}

static Witness witness_of(const Cluster *cluster, size_t i)
{
        const ClusterConfig *config = cluster->config;
        bool observer = i >= config->n_servers;
        Witness witness = {
                .same_host = cluster_same_host(cluster, i, (size_t) cluster->topology.primary),
                .name = observer ? config->observers[i - config->n_servers].name : config->servers[i].name,
                .reachable = witnesses_ssh(cluster->witnesses, i) == 1,
                .pending = witnesses_is_pending(cluster->witnesses, i),
                .tunnel = witnesses_opinion(cluster->witnesses, i),
        };
        if (observer)
                return witness;
        const ServerView *view = watch_view(cluster->watches[i]);
        const ReplicaChannel *channel = server_view_channel(view);
        if (view->evidence != EVIDENCE_ALIVE)
                return witness;
        witness.reachable = true;
        witness.tunnel_is_newer = channel && witnesses_tried_at(cluster->witnesses, i) > channel->last_activity;
        if (channel && cluster->topology.entries[i].source == cluster->topology.primary)
                witness.receiver =
                        suspicion_receiver(channel, loop_now(cluster->context.loop), fresh_for(config, channel));
        return witness;
}

/* The suspicion as values; witnesses has room for all. */
static Suspicion gather(const Cluster *cluster, Witness *witnesses)
{
        size_t n = 0, primary = (size_t) cluster->topology.primary;
        for (size_t i = 0; i < witnesses_n(cluster->witnesses); i++)
                if (i != primary)
                        witnesses[n++] = witness_of(cluster, i);
        n += scripts_witness(cluster->scripts, &witnesses[n]);
        const ServerView *view = watch_view(cluster->watches[primary]);
        return (Suspicion){
                .own = view->evidence,
                .semi_sync_locked = server_view_is_locked(view),
                .witnesses = witnesses,
                .n_witnesses = n,
        };
}

static bool may_act_on(const Cluster *cluster, Finding finding)
{
        switch (finding) {
        case FINDING_DEAD:
                return true;
        case FINDING_STALLED:
                return cluster->config->detection.on_stalled == DETECTION_ACTION_FAILOVER;
        case FINDING_LOCKED: /* it answers; the time-out of semi-sync ends the waiting */
        case FINDING_ALIVE:
        case FINDING_SUSPECT:
        case FINDING_UNREACHABLE_FROM_HERE:
        case FINDING_ISOLATED:
        case _FINDING_MAX:
        case _FINDING_INVALID:
                break;
        }
        return false;
}

bool cluster_is_paused(const Cluster *cluster)
{
        const Json *paused = json_get(cluster->state.root, "paused");
        int64_t until = json_get_int(paused, "until", 0);
        return paused && (until <= 0 || (usec_t) until > loop_now_real(cluster->context.loop));
}

void pause_watch(Cluster *cluster)
{
        LogFields fields = cluster_fields(cluster, NULL);
        if (!json_has(cluster->state.root, "paused") || cluster_is_paused(cluster))
                return;
        json_set(cluster->state.root, "paused", NULL);
        cluster_save(cluster);
        log_event(EVENT_RESUMED, &fields, "%s: the pause is over; automatic failover is possible again",
                  cluster->config->name);
        cluster->context.changed(cluster->context.userdata);
}

/* A replica that would be left behind; NULL when there is none, or when that is allowed. */
static const char *unreachable_replica(const Cluster *cluster)
{
        const ClusterConfig *config = cluster->config;
        if (config->failover.on_unreachable_replica != FAILOVER_UNREACHABLE_ABORT)
                return NULL;
        for (size_t i = 0; i < config->n_servers; i++) {
                const ServerView *view = watch_view(cluster->watches[i]);
                if ((ssize_t) i != cluster->topology.primary && !downtime_holds(cluster, config->servers[i].name) &&
                    (view->evidence != EVIDENCE_ALIVE || server_view_refusal(view)))
                        return config->servers[i].name;
        }
        return NULL;
}

GuardReasons suspect_guards(const Cluster *cluster, bool with_candidate)
{
        const Json *last = json_get(cluster->state.root, "last_failover");
        usec_t now = loop_now_real(cluster->context.loop), then = (usec_t) json_get_int(last, "time", 0);
        const Problem *blocker = topology_blocker(&cluster->topology);
        CLEANUP(json_free) Json *would = with_candidate ? runs_if_primary_died(cluster) : NULL;
        const char *candidate = json_get_string(would, "candidate");
        void *userdata = cluster->context.userdata;
        usec_t lost_at = cluster->suspected_at ? cluster->lost_at : loop_now(cluster->context.loop);
        size_t own_limit = cluster->config->failover.storm_limit;
        CLEANUP(mem_free) char *names = NULL;
        GuardInput input = {
                .cluster = cluster->config->name,
                .paused = cluster_is_paused(cluster),
                .pause_reason = json_get_string(json_get(cluster->state.root, "paused"), "reason"),
                .monitor_only = cluster->config->failover.mode == FAILOVER_MODE_MONITOR,
                .had_failover = last != NULL,
                .since_failover = usec_sub(now, then),
                .flap_window = cluster->config->failover.flap_window,
                .acknowledged = json_get_bool(cluster->state.root, "acknowledged", false),
                .hosts_lost = cluster->context.lost(lost_at, &names, userdata),
                .lost_names = names,
                .storm_limit = own_limit ? own_limit : cluster->context.storm_limit(userdata),
                .stalled = cluster->context.stalled(userdata),
                .problem = blocker ? blocker->text : NULL,
                .primary_known = cluster_primary_name(cluster) != NULL,
                .halted = cluster->now == CLUSTER_HALTED,
                .unreachable = unreachable_replica(cluster),
                .no_candidate = with_candidate && !candidate ? json_get_string(would, "why") : NULL,
                .secondary = scripts_veto(cluster->scripts),
        };
        return guard_check(&input);
}

static void hold(Cluster *cluster, const char *why)
{
        cluster_transition(cluster, CLUSTER_ACT_FORBIDDEN, why);
        if (text_equal(cluster->told_held, why))
                return;
        free(cluster->told_held);
        cluster->told_held = alloc_string(why);
        LogFields fields = cluster_fields(cluster, cluster_primary_name(cluster));
        log_event(EVENT_HELD, &fields, "%s: no automatic failover: %s", cluster->config->name, why);
}

static void act(Cluster *cluster, const Conclusion *conclusion)
{
        if (!may_act_on(cluster, conclusion->row->finding)) {
                CLEANUP(mem_free) char *why = text_format("%s (%s)", conclusion->row->sentence, cluster->row_text);
                hold(cluster, why);
                return;
        }
        if (loop_now(cluster->context.loop) < cluster->retry_at || scripts_are_asked(cluster->scripts))
                return;
        GuardReasons reasons = suspect_guards(cluster, true);
        if (reasons.n_items == 0) {
                Failure failure = { 0 };
                if (runs_failover(cluster, NULL, &failure) < 0)
                        hold(cluster, failure.text);
                return;
        }
        Text why = { 0 };
        for (size_t i = 0; i < reasons.n_items; i++) {
                text_separate(&why, "; ");
                text_add(&why, reasons.items[i].text);
        }
        hold(cluster, why.data);
        text_done(&why);
}

static void note(Cluster *cluster, const Suspicion *suspicion, const Conclusion *conclusion)
{
        free(cluster->row_text);
        cluster->row_text = suspicion_describe(suspicion);
        cluster->unanimous = conclusion->n_voices[VOICE_ALIVE] == 0 && conclusion->n_voices[VOICE_STALE] == 0 &&
                             conclusion->n_voices[VOICE_GONE] + conclusion->n_voices[VOICE_LOST] > 0;
        if (conclusion->row == cluster->row)
                return;
        cluster->row = conclusion->row;
        cluster->row_since = loop_now(cluster->context.loop);
        LogFields fields = cluster_fields(cluster, cluster_primary_name(cluster));
        log_event(conclusion->row->finding == FINDING_DEAD ? EVENT_DEAD : EVENT_SUSPECT, &fields, "%s: %s: %s [%s]: %s",
                  cluster->config->name, cluster_primary_name(cluster), conclusion->row->sentence, conclusion->row->id,
                  cluster->row_text);
}

/* What it did before may have been long, and was no restart. */
static void note_gone(Cluster *cluster, Evidence own)
{
        bool gone = own == EVIDENCE_REFUSED || own == EVIDENCE_SILENT || own == EVIDENCE_FROZEN;
        if (!gone)
                cluster->gone_since = 0;
        else if (!cluster->gone_since)
                cluster->gone_since = loop_now(cluster->context.loop);
}

/* One that this daemon has never seen alive may be alive and only slow to answer it: while it starts, it asks much. */
static usec_t patience_at_start(const Cluster *cluster)
{
        usec_t now = loop_now(cluster->context.loop);
        if (cluster->last_good_real)
                return 0;
        usec_t patience = usec_sub(NEVER_SEEN_PATIENCE, usec_sub(now, cluster->row_since));
        usec_t others = cluster->context.starting(cluster->context.userdata)
                                ? usec_sub(OTHERS_PATIENCE, usec_sub(now, cluster->suspected_at))
                                : 0;
        return patience > others ? patience : others;
}

void suspect_judge(Cluster *cluster)
{
        /* What the others said of one is no evidence against another, which people put in its place meanwhile. */
        if (cluster->suspect != cluster->topology.primary) {
                suspect_end(cluster);
                suspect_begin(cluster);
        }
        CLEANUP(mem_free) Witness *witnesses = ALLOC_ARRAY(Witness, witnesses_n(cluster->witnesses) + 1);
        Suspicion suspicion = gather(cluster, witnesses);
        Conclusion conclusion = suspicion_judge(&suspicion);
        const DetectionConfig *detection = &cluster->config->detection;
        note(cluster, &suspicion, &conclusion);
        note_gone(cluster, suspicion.own);
        PersistenceTimes times = { .grace = detection->restart_grace };
        usec_t now = loop_now(cluster->context.loop);
        /* The grace counts from when it was gone: that is when a service manager began to restart it. */
        usec_t from = conclusion.row->persistence == PERSISTENCE_GRACE ? cluster->gone_since : cluster->row_since;
        usec_t remaining = suspicion_remaining(&conclusion, &times, usec_sub(now, from));
        usec_t patience = patience_at_start(cluster);
        remaining = patience > remaining ? patience : remaining;
        /* The others need a moment to notice, too: until then it is no news that nothing can be done. */
        if (!may_act_on(cluster, conclusion.row->finding))
                remaining = usec_sub(detection->confirm_timeout, usec_sub(now, cluster->row_since));
        bool wait = conclusion.row->finding == FINDING_SUSPECT || remaining > 0;
        if (!wait)
                act(cluster, &conclusion);
        if (cluster->now != CLUSTER_SUSPECT && cluster->now != CLUSTER_HELD)
                return;
        /* Time alone changes what the others' silence means. */
        bool recent = usec_sub(now, cluster->suspected_at) < 10 * USEC_SEC;
        usec_t next = recent ? 100 * USEC_MSEC : USEC_SEC;
        timer_set_in(cluster->evaluation, wait && remaining > 0 && remaining < next ? remaining : next);
}
