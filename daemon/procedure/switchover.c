/* The runbook of a switchover: the table, nothing else. The address moves before the new primary is opened: nobody can
 * write then, so that two hosts may have it for a moment, and when it cannot be moved all of it is taken back. */
#include "switchover.h"

#include "block.h"
#include "check.h"
#include "closing.h"
#include "events.h"
#include "fence.h"
#include "gather.h"
#include "handover.h"
#include "hooks.h"
#include "promote.h"
#include "repoint.h"
#include "status.h"
#include "tiers.h"
#include "virtual_address.h"

#define SEC USEC_SEC

/* Once more, when the candidate was more than a moment behind. */
#define NEARER(n)                                                                                                      \
        { "sample-nearer-" n,   "where the primary is now is on record",                                               \
          ON_OLD_PRIMARY,       NEED_EVERY,                                                                            \
          THEN_ABORT,           5 * SEC,                                                                               \
          .skip = skip_nearer,  .ask = ask_sample,                                                                     \
          .judge = judge_sample },                                                                                     \
        {                                                                                                              \
                "catch-up-nearer-" n, "how far the candidate is behind is on record", ON_CANDIDATE, NEED_EVERY,        \
                        THEN_ABORT, .skip = skip_nearer, .ask = ask_caught_up, .judge = judge_nearer                   \
        }

static const Step steps[] = {
        /* Checks: nothing is changed, and all that is wrong is told at once. */
        { "check-servers", "every server of the cluster answers", ON_DAEMON, NEED_EVERY, THEN_ABORT, .check = true,
          .decide = decide_everybody_is_there },
        { "check-replicas", "every replica's threads run, and it is not far behind", ON_REPLICAS, NEED_EVERY,
          THEN_ABORT, 5 * SEC, .check = true, .ask = ask_replica_fit, .judge = judge_replica_fit,
          .parallel_with_next = true },
        { "check-sub-replicas", "the same of the replicas of replicas that are to follow the new primary",
          ON_SUB_REPLICAS, NEED_EVERY, THEN_ABORT, 5 * SEC, .check = true, .ask = ask_replica_fit,
          .judge = judge_replica_fit, .parallel_with_next = true },
        { "check-primary", "the primary takes writes, and nothing long runs on it", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_ABORT, 5 * SEC, .check = true, .ask = ask_primary_fit, .judge = judge_primary_fit,
          .parallel_with_next = true },
        { "check-events", "which events run on the primary is on record", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT,
          5 * SEC, .check = true, .ask = ask_events, .judge = judge_events_known, .parallel_with_next = true },
        { "check-address", "the primary's host has the address", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 5 * SEC,
          .check = true, .skip = address_skip, .ask = ask_address, .judge = judge_address_in_place },
        { "choose-candidate", "one replica is chosen, and why is on record", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .check = true, .decide = decide_successor },
        { "check-first-log", "where the candidate's binary logs begin is on record", ON_CANDIDATE, NEED_EVERY,
          THEN_ABORT, 5 * SEC, .check = true, .skip = skip_first_log, .ask = ask_first_log, .judge = judge_first_log },
        { "check-candidate", "nothing long runs on the candidate, and it has the binary logs that others need",
          ON_CANDIDATE, NEED_EVERY, THEN_ABORT, 5 * SEC, .check = true, .ask = ask_candidate_fit,
          .judge = judge_candidate_fit, .parallel_with_next = true },
        { "check-candidate-host", "the candidate's host can be given the address", ON_CANDIDATE, NEED_EVERY, THEN_ABORT,
          5 * SEC, .check = true, .skip = address_skip_moving, .ask = ask_address, .judge = judge_address_elsewhere,
          .parallel_with_next = true },
        { "check-candidate-events", "the events of the primary can run on the candidate", ON_CANDIDATE, NEED_EVERY,
          THEN_ABORT, 5 * SEC, .check = true, .ask = ask_events, .judge = judge_events_possible,
          .parallel_with_next = true },
        { "check-errant", "no replica has what the primary lacks", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 5 * SEC,
          .check = true, .skip = skip_errant, .ask = ask_errant, .judge = judge_errant, .parallel_with_next = true },
        { "check-hooks", "the status hook says that the hooks would work", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .check = true, .skip = skip_status_hook, .ask = ask_status_hook, .judge = judge_status_hook },
        { "approve", "all checks have passed", ON_DAEMON, NEED_EVERY, THEN_ABORT, .decide = decide_approved },
        { "prepare-hook", "the prepare hook agrees", ON_DAEMON, NEED_EVERY, THEN_ABORT, .skip = skip_prepare_hook,
          .ask = ask_prepare_hook, .judge = judge_prepare_hook },

        /* All that is slow, while clients write. */
        { "premove-replicas", "the other replicas follow the candidate", ON_OTHERS, NEED_EVERY, THEN_ABORT, 30 * SEC,
          .skip = skip_premove, .ask = ask_status, .judge = judge_premoved, .act = act_premove },
        { "look-at-pace", "how often the candidate tells its position is on record", ON_CANDIDATE, NEED_EVERY,
          THEN_ABORT, 5 * SEC, .skip = skip_pace, .ask = ask_pace, .judge = judge_pace_known },
        { "quicken", "the candidate tells its position at once", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE, 5 * SEC,
          .skip = skip_pace_back, .ask = ask_pace, .judge = judge_pace_quick, .act = act_pace_quick },
        /* One that was behind halves that each time. */
        { "sample", "where the primary is now is on record", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 5 * SEC,
          .ask = ask_sample, .judge = judge_sample },
        { "catch-up", "the candidate has applied that much", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, .ask = ask_caught_up,
          .judge = judge_caught_up },
        { "sample-once-more", "where the primary is now is on record", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 5 * SEC,
          .ask = ask_sample, .judge = judge_sample },
        { "catch-up-once-more", "the candidate has applied that much", ON_CANDIDATE, NEED_EVERY, THEN_ABORT,
          .ask = ask_caught_up, .judge = judge_caught_up },
        NEARER("1"),
        NEARER("2"),
        { "open-circle", "the old primary does not receive from the candidate for now", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_ABORT, 10 * SEC, .skip = skip_circle, .ask = ask_status, .judge = judge_circle_open,
          .act = act_circle_open },
        { "stop-events", "no event runs on the old primary", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 10 * SEC,
          .ask = ask_events, .judge = judge_events_rest, .act = act_events_rest },
        { "stop-hook", "the stop hook has taken the clients off the old primary", ON_DAEMON, NEED_EVERY, THEN_ABORT,
          .skip = skip_stop_hook, .ask = ask_stop_hook, .judge = judge_stop_hook },
        { "ready-address", "the candidate's host takes the address at a word", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE,
          5 * SEC, .skip = address_skip, .ask = ask_address_ready, .judge = judge_address_ready },
        { "sample-again", "where the primary is now is on record", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, 5 * SEC,
          .ask = ask_sample, .judge = judge_sample },
        { "catch-up-again", "the candidate is not more than a moment behind", ON_CANDIDATE, NEED_EVERY, THEN_ABORT,
          .ask = ask_caught_up, .judge = judge_caught_up },
        NEARER("3"),
        NEARER("4"),

        /* The block. */
        { "block-writes", "nobody writes, whatever his privileges, and the end of the log is on record", ON_OLD_PRIMARY,
          NEED_EVERY, THEN_ABORT, .burst = 1, .act_first = true, .act_shows = true, .ask = ask_blocked,
          .judge = judge_blocked, .act = act_block, .parallel_with_next = true },
        { "give-address", "the candidate's host has the address", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, .burst = 1,
          .skip = skip_give_early, .act_first = true, .act_shows = true, .ask = ask_address,
          .judge = judge_address_present, .act = act_address_add },
        { "end-clients", "no client session is left that logs something when it ends", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_ABORT, .burst = 1, .act_shows = true, .skip = skip_end_clients, .ask = ask_blocked,
          .judge = judge_clients_ended, .act = act_end_clients },
        { "end-waiting", "no client waits for the lock", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, .burst = 1,
          .skip = skip_unlock, .ask = ask_waiting, .judge = judge_nobody_waits, .act = act_end_waiting,
          .parallel_with_next = true },
        { "reach-end", "the candidate has applied everything", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, .burst = 1,
          .ask = ask_reached_end, .judge = judge_reached_end },
        { "give-address-late", "the candidate's host has the address", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, .burst = 1,
          .skip = skip_give_late, .act_first = true, .act_shows = true, .ask = ask_address,
          .judge = judge_address_present, .act = act_address_add },
        { "still-blocked", "nobody has written since the end", ON_OLD_PRIMARY, NEED_EVERY, THEN_ABORT, .burst = 1,
          .ask = ask_blocked, .judge = judge_still_blocked },

        /* Open: when that is confirmed there is no way back; as long as it is not, only by way of making sure. */
        { "open-candidate", "the new primary takes writes", ON_CANDIDATE, NEED_EVERY, THEN_ABORT, 10 * SEC,
          .act_first = true, .ask = ask_read_only, .judge = judge_writable, .act = act_open },

        /* What nobody waits for. The lock is held until the old primary's host has lost the address. */
        { "end-sessions", "no client session of before is left on the old primary", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, 10 * SEC, .skip = skip_end_sessions, .ask = ask_sessions, .judge = judge_sessions_ended,
          .act = act_end_sessions, .parallel_with_next = true },
        { "detach-candidate", "the new primary follows nobody", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE, 60 * SEC,
          .skip = skip_let_go, .ask = ask_status, .judge = judge_let_go, .act = act_detach },
        { "take-address", "the old primary's host does not have the address", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE,
          20 * SEC, .skip = address_skip_moving, .act_first = true, .act_shows = true, .ask = ask_address,
          .judge = judge_address_absent, .act = act_address_remove, .parallel_with_next = true },
        { "start-hook", "the start hook has sent the clients to the new primary", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_start_hook, .ask = ask_start_hook, .judge = judge_start_hook },
        { "unlock", "no lock is held on the old primary", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE, 10 * SEC,
          .skip = skip_unlock, .ask = ask_waiting, .judge = judge_unlocked, .act = act_unlock },
        { "detach-old-primary", "the old primary follows nobody", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE, 60 * SEC,
          .skip = skip_let_go_old, .ask = ask_status, .judge = judge_let_go, .act = act_detach },
        { "start-events", "the events that ran on the old primary run on the new one", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 10 * SEC, .ask = ask_events, .judge = judge_events_run, .act = act_events_run },
        { "note-replicas", "where the log of each replica ends is on record", ON_OTHERS, NEED_NONE, THEN_CONTINUE,
          .skip = skip_tier_end, .ask = ask_status, .judge = judge_tier_end, .parallel_with_next = true },
        { "note-sub-replicas", "the same of the replicas of replicas", ON_SUB_REPLICAS, NEED_NONE, THEN_CONTINUE,
          .skip = skip_tier_end, .ask = ask_status, .judge = judge_tier_end },
        { "raise-sub-replicas", "replicas of replicas follow the new primary itself", ON_SUB_REPLICAS, NEED_NONE,
          THEN_CONTINUE, .ask = ask_status, .judge = judge_raised, .act = act_raise },
        { "repoint-replicas", "every other replica follows the new primary", ON_OTHERS, NEED_NONE, THEN_CONTINUE,
          .ask = ask_follow_on, .judge = judge_follows_on, .act = act_follow_on },
        { "semi-sync", "the new primary waits for acknowledgements as the old one did", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 10 * SEC, .skip = skip_semi_sync, .ask = ask_semi_sync, .judge = judge_semi_sync_source,
          .act = act_semi_sync_source },
        { "demote", "the old primary follows the new one", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE, .patient = true,
          .skip = skip_demote, .ask = ask_status, .judge = judge_demoted, .act = act_demote },
        { "set-read-only", "every replica is read-only", ON_OTHERS, NEED_NONE, THEN_CONTINUE, 10 * SEC,
          .skip = skip_read_only, .ask = ask_read_only, .judge = judge_read_only, .act = act_read_only },
        { "verify-replication", "every other replica has what the new primary had when it was opened", ON_OTHERS,
          NEED_NONE, THEN_CONTINUE, .ask = ask_status, .judge = judge_level },
        { "verify-sub-replicas", "replicas of replicas have what the new primary had when it was opened",
          ON_SUB_REPLICAS, NEED_NONE, THEN_CONTINUE, .ask = ask_status, .judge = judge_level },
        { "hand-scheduler", "the old primary's event scheduler is as the new one's was", ON_OLD_PRIMARY, NEED_NONE,
          THEN_CONTINUE, 10 * SEC, .skip = skip_scheduler, .ask = ask_events, .judge = judge_scheduler,
          .act = act_scheduler },
        { "verify-demoted", "the old primary has what the new one had when it was opened", ON_OLD_PRIMARY, NEED_NONE,
          THEN_CONTINUE, 60 * SEC, .skip = skip_demote, .ask = ask_status, .judge = judge_level },
        { "slow-down", "how often the new primary would tell its position is as it was", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 5 * SEC, .skip = skip_pace_back, .ask = ask_pace, .judge = judge_pace_back,
          .act = act_pace_back },
        { "end-late-sessions", "no client session of before is left on the old primary", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, .skip = skip_end_late_sessions, .ask = ask_sessions, .judge = judge_sessions_ended,
          .act = act_end_sessions },
};

static const Step undo[] = {
        { "close-candidate", "the candidate takes no writes", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE, 2 * SEC,
          .skip = skip_close, .ask = ask_closed, .judge = judge_closed, .act = act_close },
        { "end-candidate", "no database process is left on the candidate's host", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, .skip = skip_end_candidate, .ask = ask_process, .judge = judge_process_gone,
          .act = act_process_stop },
        { "candidate-closed", "it is certain that the candidate takes no writes", ON_CANDIDATE, NEED_EVERY, THEN_HALT,
          3 * SEC, .skip = skip_close, .ask = ask_closed, .judge = judge_closed, .act = act_close },
        { "unblock-writes", "the old primary takes writes again", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE, 10 * SEC,
          .skip = skip_undo, .ask = ask_blocked, .judge = judge_unblocked, .act = act_unblock,
          .parallel_with_next = true },
        { "withdraw-address", "the candidate's host does not have the address", ON_CANDIDATE, NEED_EVERY, THEN_CONTINUE,
          10 * SEC, .skip = skip_undo_address, .ask = ask_address_withdrawn, .judge = judge_address_withdrawn,
          .act = act_address_withdraw },
        { "keep-address", "the old primary's host has the address, and the network knows it", ON_OLD_PRIMARY,
          NEED_EVERY, THEN_CONTINUE, 10 * SEC, .skip = skip_undo_address, .act_first = true, .act_shows = true,
          .ask = ask_address, .judge = judge_address_present, .act = act_address_keep },
        { "weigh-candidate", "what the candidate has taken since it was told to open is known", ON_CANDIDATE,
          NEED_EVERY, THEN_CONTINUE, 5 * SEC, .skip = skip_weigh_candidate, .ask = ask_weigh_candidate,
          .judge = judge_candidate_weighed },
        { "abort-stop-hook", "what the stop hook did is taken back", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_abort_stop_hook, .ask = ask_abort_stop_hook, .judge = judge_stop_hook },
        { "close-circle", "the old primary receives from the candidate as before", ON_OLD_PRIMARY, NEED_EVERY,
          THEN_CONTINUE, 10 * SEC, .skip = skip_circle_undo, .ask = ask_status, .judge = judge_circle_closed,
          .act = act_circle_close },
        { "restart-events", "the events of the old primary run as before", ON_OLD_PRIMARY, NEED_EVERY, THEN_CONTINUE,
          10 * SEC, .skip = skip_undo, .ask = ask_events, .judge = judge_events_back, .act = act_events_back },
        { "slow-down-again", "how often the candidate tells its position is as it was", ON_CANDIDATE, NEED_EVERY,
          THEN_CONTINUE, 5 * SEC, .skip = skip_pace_back, .ask = ask_pace, .judge = judge_pace_back,
          .act = act_pace_back },
        { "restore-replicas", "the other replicas follow the old primary again", ON_OTHERS, NEED_NONE, THEN_CONTINUE,
          30 * SEC, .skip = skip_undo, .ask = ask_status, .judge = judge_receiver_restored,
          .act = act_restore_receiver },
        { "abort-prepare-hook", "what the prepare hook did is taken back", ON_DAEMON, NEED_EVERY, THEN_CONTINUE,
          .skip = skip_abort_prepare_hook, .ask = ask_abort_prepare_hook, .judge = judge_prepare_hook },
};

const Procedure switchover = {
        .name = "switchover",
        .version = 4,
        .steps = steps,
        .n_steps = sizeof steps / sizeof *steps,
        .no_return = "open-candidate",
        .undo = undo,
        .n_undo = sizeof undo / sizeof *undo,
        .back_on_resume = true,
};
