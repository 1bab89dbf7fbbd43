/* The runbook of a failover: the table, nothing else. */
#include "virtual_address.h"
#include "events.h"
#include "failover.h"
#include "fed.h"
#include "fence.h"
#include "gather.h"
#include "hooks.h"
#include "meanwhile.h"
#include "promote.h"
#include "proof.h"
#include "relays.h"
#include "repoint.h"
#include "status.h"
#include "tail.h"

#define SEC USEC_SEC

static const Step steps[] = {
        /* Why we are here, on record before anything is touched. */
        { "confirm-dead", "the old primary is dead, and the evidence is on record", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .decide = decide_dead },
        { "prepare-hook", "the prepare hook agrees", ON_DAEMON, NEED_EVERY, THEN_ABORT, .skip = skip_prepare_hook,
          .ask = ask_prepare_hook, .judge = judge_prepare_hook },

        /* Fence, and freeze what the replicas have, at the same time. */
        { "fence-address", "the old primary's host does not have the address", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, .skip = address_skip, .act_first = true, .act_shows = true, .ask = ask_address,
          .judge = judge_address_absent, .act = act_address_remove, .parallel_with_next = true },
        { "fence-process", "no process of the old primary's database is left on its host", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, .skip = skip_fence_process, .ask = ask_process, .judge = judge_process_gone,
          .act = act_process_stop, .parallel_with_next = true },
        { "stop-receivers", "no replica receives further events, and what each has is on record", ON_REPLICAS, NEED_ONE,
          THEN_ABORT, .ask = ask_status, .judge = judge_receiver_stopped, .act = act_stop_receiver },
        { "stop-hook", "the stop hook has taken the clients off the old primary", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .skip = skip_stop_hook, .ask = ask_stop_hook, .judge = judge_stop_hook },
        { "shutdown-hook", "the old primary's host is off", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_shutdown_hook, .ask = ask_shutdown_hook, .judge = judge_shutdown_hook },
        { "fence-enough", "what keeps the old primary from being written to is enough to go on", ON_DAEMON, NEED_EVERY,
          THEN_ABORT, .decide = decide_fence_is_enough },

        /* What only it had. */
        { "find-tail", "what the old primary's own binary log holds is known", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, .skip = skip_find_tail, .ask = ask_tail, .judge = judge_tail_found },

        /* Elect: the one decision, taken once, with its reasons on record. */
        { "choose-candidate", "one replica is chosen, and why is on record", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .decide = decide_candidate },

        /* Save what it lacks. */
        { "collect-tail", "what the candidate lacks of the old primary's log is saved", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, .skip = skip_collect_tail, .ask = ask_collected, .judge = judge_tail_collected,
          .act = act_collect_tail },
        { "collect-relay-logs", "what a replica has received and another has not is saved", ON_REPLICAS, NEED_NONE,
          THEN_CONTINUE, .skip = skip_collect_relays, .ask = ask_relays, .judge = judge_relays_collected,
          .act = act_collect_relays },
        { "weigh-saved", "what the saved logs hold for each replica is on record", ON_REPLICAS, NEED_NONE,
          THEN_CONTINUE, .skip = skip_weigh, .ask = ask_weigh, .judge = judge_weighed },
        { "choose-again", "the candidate lacks nothing that another replica has and that could not be saved", ON_DAEMON,
          NEED_EVERY, THEN_ABORT, .skip = skip_choose_again, .decide = decide_candidate_again },
        { "tail-enough", "what is saved is enough to go on", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .skip = skip_tail_is_enough, .decide = decide_tail_is_enough },

        /* Bring it to the end of everything that anybody received, or that the old primary had. */
        { "drain-donor", "the most advanced replica has applied all it received", ON_DONOR, NEED_EVERY, THEN_ABORT,
          .skip = skip_without_donor, .ask = ask_status_twice, .judge = judge_drained, .act = act_start_applier },
        { "feed-candidate", "the candidate has received all that the most advanced replica has", ON_CANDIDATE,
          NEED_EVERY, THEN_ABORT, .skip = skip_without_donor, .ask = ask_status, .judge = judge_fed, .act = act_feed },
        { "settle-candidate", "the candidate has applied what it has before it is fed", ON_CANDIDATE, NEED_EVERY,
          THEN_ABORT, .skip = skip_settle, .ask = ask_status_twice, .judge = judge_drained, .act = act_start_applier },
        { "open-feed", "a feed of what the candidate lacks waits for it", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE,
          12 * SEC, .skip = skip_rescue, .ask = ask_feed, .judge = judge_feed_waits, .act = act_order_feed },
        { "rescue-candidate", "the candidate has received all that was saved", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_without_feed, .ask = ask_rescued, .judge = judge_rescued, .act = act_rescue },
        { "drain-candidate", "the candidate has applied all it received", ON_CANDIDATE, NEED_EVERY, THEN_ABORT,
          .ask = ask_status_twice, .judge = judge_drained, .act = act_start_applier },
        { "verify-candidate", "the candidate lacks nothing that can be had, and what is lost is on record", ON_DAEMON,
          NEED_EVERY, THEN_ABORT, .decide = decide_nothing_missing },
        { "detach-candidate", "the candidate follows nobody, and where its log ends is on record", ON_CANDIDATE,
          NEED_EVERY, THEN_ABORT, .ask = ask_status, .judge = judge_detached, .act = act_detach },

        /* Open: from here there is no way back. */
        { "open-candidate", "the new primary takes writes", ON_CANDIDATE, NEED_EVERY, THEN_HALT, 10 * SEC,
          .ask = ask_read_only, .judge = judge_writable, .act = act_open },
        { "move-address", "the new primary's host has the address", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE, 20 * SEC,
          .skip = address_skip, .act_first = true, .act_shows = true, .ask = ask_address,
          .judge = judge_address_present, .act = act_address_add, .parallel_with_next = true },
        { "start-hook", "the start hook has sent the clients to the new primary", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_start_hook, .ask = ask_start_hook, .judge = judge_start_hook, .parallel_with_next = true },
        { "start-events", "the events that ran on the old primary run on the new one", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 10 * SEC, .ask = ask_events, .judge = judge_events_run, .act = act_events_run,
          .parallel_with_next = true },

        /* The others: none waits for another. */
        { "repoint-replicas", "every other replica follows the new primary", ON_OTHERS, NEED_NONE, THEN_CONTINUE,
          .ask = ask_repoint, .judge = judge_follows_candidate, .act = act_follow_candidate,
          .parallel_with_next = true },
        { "repoint-late", "every replica that could not be asked in time follows the new primary, too", ON_LEFT_OUT,
          NEED_NONE, THEN_CONTINUE, 5 * SEC, .ask = ask_repoint, .judge = judge_follows_candidate,
          .act = act_follow_candidate },
        { "semi-sync", "the new primary waits for acknowledgements as the old one did", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 10 * SEC, .skip = skip_semi_sync, .ask = ask_semi_sync, .judge = judge_semi_sync_source,
          .act = act_semi_sync_source },
        { "set-read-only", "every replica is read-only", ON_OTHERS, NEED_NONE, THEN_CONTINUE, 10 * SEC,
          .skip = skip_read_only, .ask = ask_read_only, .judge = judge_read_only, .act = act_read_only },
        { "verify-replication", "every other replica has what the new primary had when it was opened", ON_OTHERS,
          NEED_NONE, THEN_CONTINUE, .ask = ask_status, .judge = judge_level },
};

static const Step undo[] = {
        { "restore-receivers", "every replica follows the old primary again", ON_REPLICAS, NEED_NONE, THEN_CONTINUE,
          10 * SEC, .ask = ask_status, .judge = judge_receiver_restored, .act = act_restore_receiver,
          .parallel_with_next = true },
        { "restore-left-out", "every replica that was too slow to stop follows the old primary again", ON_LEFT_OUT,
          NEED_NONE, THEN_CONTINUE, 5 * SEC, .ask = ask_left_out, .judge = judge_left_out_restored,
          .act = act_restore_left_out, .parallel_with_next = true },
        { "restore-address", "the old primary's host has the address again", ON_OLD_PRIMARY, NEED_NONE, THEN_CONTINUE,
          5 * SEC, .skip = skip_restore_address, .ask = ask_address, .judge = judge_address_present,
          .act = act_address_add },
        { "abort-stop-hook", "what the stop hook did is taken back", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_take_stop_back, .ask = ask_abort_stop_hook, .judge = judge_stop_hook },
        { "abort-prepare-hook", "what the prepare hook did is taken back", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_abort_prepare_hook, .ask = ask_abort_prepare_hook, .judge = judge_prepare_hook },
};

const Procedure failover = {
        .name = "failover",
        .version = 3,
        .steps = steps,
        .n_steps = sizeof steps / sizeof *steps,
        .no_return = "open-candidate",
        .undo = undo,
        .n_undo = sizeof undo / sizeof *undo,
};
