/* Who is primary and who follows whom. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "topology.h"

enum { MAX = 6 };

typedef struct Lab {
        Server servers[MAX];
        ServerView views[MAX];
        TopologyServer list[MAX];
        bool excused[MAX], fenced[MAX], fresh[MAX];
        size_t n;
        Topology topology;
} Lab;

static ReplicaChannel *add_channel(ServerView *view, const char *name, const char *host)
{
        view->channels = realloc(view->channels, (view->n_channels + 1) * sizeof(ReplicaChannel));
        ReplicaChannel *channel = &view->channels[view->n_channels++];
        *channel = (ReplicaChannel){ .name = alloc_string(name),
                                     .source_host = alloc_string(host),
                                     .source_port = 3306,
                                     .source_uuid = alloc_string(""),
                                     .filters = alloc_string(""),
                                     .receiver = RECEIVER_CONNECTED,
                                     .applier_running = true };
        return channel;
}

/* One word a server, called db0, db1, …: W writable, R read-only, D down, E answers with an error, U not asked, N
 * cannot be asked, Q answers but cannot be read, O an observer; after W or R the number of its source, or x for a stranger; f at its end: fenced, F: and
 * not seen read-only since. "W R0 Rf D". */
static Lab lab(const char *words)
{
        Lab lab = { 0 };
        for (const char *c = words; *c; c++) {
                if (*c == ' ')
                        continue;
                size_t i = lab.n++;
                ServerView *view = &lab.views[i];
                lab.servers[i] = (Server){ .name = text_format("db%zu", i),
                                           .host = text_format("10.0.0.%zu", i),
                                           .port = 3306,
                                           .observer = *c == 'O' };
                view->evidence = *c == 'D'                ? EVIDENCE_REFUSED
                                 : *c == 'E'              ? EVIDENCE_ERROR
                                 : *c == 'U' || *c == 'N' ? EVIDENCE_UNKNOWN
                                                          : EVIDENCE_ALIVE;
                if (*c == 'N')
                        view->evidence_text = alloc_string("its name is not known");
                if (*c == 'Q')
                        observation_note_refusal(view, OBSERVATION_REPLICA, "Access denied");
                view->identified = view->ticked = view->replica_read = *c == 'W' || *c == 'R';
                view->server_id = (uint32_t) i + 1;
                view->version = (Version){ FLAVOUR_MARIADB, 10, 11, 6 };
                view->log_bin = true;
                view->read_only = *c == 'R';
                if (c[1] && !strchr(" fF", c[1])) {
                        c++;
                        CLEANUP(mem_free) char *host = text_format("10.0.0.%c", *c == 'x' ? '9' : *c);
                        ReplicaChannel *channel = add_channel(view, "", host);
                        if (*c != 'x')
                                channel->source_id = (uint32_t) (*c - '0') + 1;
                }
                lab.fresh[i] = c[1] == 'F';
                lab.fenced[i] = c[1] == 'f' || lab.fresh[i];
                c += lab.fenced[i];
        }
        return lab;
}

static Topology *read_lab(Lab *lab, const char *known)
{
        for (size_t i = 0; i < lab->n; i++)
                lab->list[i] = (TopologyServer){ .server = &lab->servers[i],
                                                 .view = lab->servers[i].observer ? NULL : &lab->views[i],
                                                 .excused = lab->excused[i],
                                                 .fenced = lab->fenced[i],
                                                 .fresh = lab->fresh[i] };
        topology_done(&lab->topology);
        lab->topology = topology_read(lab->list, lab->n, known, 10);
        return &lab->topology;
}

static void lab_done(Lab *lab)
{
        for (size_t i = 0; i < lab->n; i++) {
                server_done(&lab->servers[i]);
                server_view_done(&lab->views[i]);
        }
        topology_done(&lab->topology);
}
#define LAB(words) __attribute__((cleanup(lab_done))) Lab lab_ = lab(words)

/* Spellings of addresses, and several servers of one host. */
static void test_sources(void **state)
{
        LAB("W R0 R0 R0");
        static const char *const hosts[] = { "fd00:0:0::1", "fd00::1", "fd00::2", "fd00::3" };
        for (size_t i = 0; i < 4; i++) {
                free(lab_.servers[i].host);
                lab_.servers[i].host = alloc_string(hosts[i]);
                lab_.views[i].evidence = EVIDENCE_ALIVE;
        }
        lab_.servers[1].port = 3307;
        (void) read_lab(&lab_, NULL);
        ReplicaChannel channel = { .source_host = (char *) "FD00::0001", .source_port = 3306 };
        assert_int_equal(topology_match_source(lab_.list, 4, &channel), 0);
        channel.source_port = 3307;
        assert_int_equal(topology_match_source(lab_.list, 4, &channel), 1);
        channel.source_port = 3308;
        assert_int_equal(topology_match_source(lab_.list, 4, &channel), -1);
        const char *const resolved[] = { "10.0.0.9", "fd00::9" };
        lab_.list[2].addresses = resolved;
        lab_.list[2].n_addresses = 2;
        channel = (ReplicaChannel){ .source_host = (char *) "fd00:0::9", .source_port = 3306 };
        assert_int_equal(topology_match_source(lab_.list, 4, &channel), 2);
}

/* Who may need what a replica holds, and does not follow. */
static void test_apart(void **state)
{
        static const struct {
                const char *words, *left_out;
                ssize_t apart;
        } rows
                [] = {
                        { "W R0 R0", "000", -1 },
                        { "W R0 R1", "000", -1 }, /* through another one */
                        { "W R0 R0 O", "0000", -1 },
                        { "W R0 D", "000", 2 },
                        { "W R0 U", "000", 2 },
                        { "W R0 E", "000", 2 },
                        { "W R0 D", "001", -1 },
                        { "W R0 R", "000", 2 },  /* it follows nobody */
                        { "W R0 Rx", "000", 2 }, /* a stranger */
                        { "W R0 D R2", "0000", 2 },
                        { "W R0 D R2", "0010", 3 }, /* it follows one that is gone: it was not attached yet */
                        { "W R0 D R0", "0010", -1 },
                };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                LAB(rows[i].words);
                bool left_out[MAX] = { false };
                for (size_t k = 0; k < lab_.n; k++)
                        left_out[k] = rows[i].left_out[k] == '1';
                ssize_t apart = topology_find_apart(read_lab(&lab_, "db0"), left_out);
                if (apart != rows[i].apart)
                        fail_msg("%s: %zd, wanted %zd", rows[i].words, apart, rows[i].apart);
        }
}

static void test_place(void **state)
{
        Server server = { .host = (char *) "db1", .ssh_host = (char *) "db1", .ssh_port = 22 };
        CLEANUP(mem_free) char *by_name = server_place(&server, NULL), *by_address = server_place(&server, "fd00::1");
        assert_string_equal(by_name, "db1:22");
        assert_string_equal(by_address, "[fd00::1]:22");
        server.ssh_host =
                (char *) "fd01:0::1"; /* a network of its own for SSH: the address of the database is another's */
        server.ssh_port = 2222;
        CLEANUP(mem_free) char *apart = server_place(&server, "fd00::1");
        assert_string_equal(apart, "[fd01::1]:2222");
}

static void assert_roles(const Topology *topology, const char *roles)
{
        Text text = { 0 };
        for (size_t i = 0; i < topology->n_entries; i++) {
                text_separate(&text, " ");
                text_add(&text, role_to_string(topology->entries[i].role));
        }
        assert_string_equal(text.data, roles);
        text_done(&text);
}

static bool seen[_PROBLEM_MAX];

/* Names of all problems, those that block with an exclamation mark. */
static void assert_problems(const Topology *topology, const char *problems)
{
        Text text = { 0 };
        text_add(&text, "");
        for (size_t i = 0; i < topology->n_problems; i++) {
                text_separate(&text, " ");
                text_addf(&text, "%s%s", problem_to_string(topology->problems[i].id),
                          topology->problems[i].blocks ? "!" : "");
                assert_true(strlen(topology->problems[i].text) > 10);
                seen[topology->problems[i].id] = true;
        }
        assert_string_equal(text.data, problems);
        text_done(&text);
}

static void assert_picture(const char *words, const char *known, ssize_t primary, bool down, const char *roles,
                           const char *problems)
{
        LAB(words);
        Topology *topology = read_lab(&lab_, known);
        assert_int_equal(topology->primary, primary);
        assert_int_equal(topology->primary_down, down);
        assert_roles(topology, roles);
        assert_problems(topology, problems);
}

static void test_healthy(void **state)
{
        assert_picture("W R0 R0", NULL, 0, false, "primary replica replica", "");
        assert_picture("R1 W O", NULL, 1, false, "replica primary observer", "");
        assert_picture("W", NULL, 0, false, "primary", "");
        /* What the servers say outweighs the past. */
        assert_picture("W R0 R0", "db1", 0, false, "primary replica replica", "");
}

static void test_dead_primary(void **state)
{
        assert_picture("D R0 R0", NULL, 0, true, "primary replica replica", "");
        assert_picture("D R0 D", NULL, 0, true, "primary replica dead", "server_down");
        assert_picture("D R0 U", NULL, 0, true, "primary replica unknown", "");
        assert_picture("D R0 R1", NULL, 0, true, "primary replica sub_replica", "");
        assert_picture("D W0 R0", NULL, 0, true, "primary replica replica", "writable_replica");
        assert_picture("E R0 R0", NULL, 0, false, "primary replica replica", "server_error");
        assert_picture("U R0 R0", NULL, 0, false, "primary replica replica", "");
        assert_picture("N R0 D", NULL, 0, false, "primary replica dead", "server_unasked server_down");
        assert_picture("Q R0 R0", NULL, 0, false, "primary replica replica", "server_unreadable");
}

/* Whether it lives is not known, or nothing but that it does. */
static void test_unread(void **state)
{
        assert_picture("W R0 U", NULL, 0, false, "primary replica unknown", "");
        assert_picture("W R0 N", NULL, 0, false, "primary replica unknown", "server_unasked");
        assert_picture("W R0 Q", NULL, 0, false, "primary replica unknown", "server_unreadable");
        assert_picture("D R0 Q", NULL, 0, true, "primary replica unknown", "server_unreadable");
        LAB("W Q N");
        lab_.excused[1] = lab_.excused[2] = true;
        assert_problems(read_lab(&lab_, NULL), "");
}

static void test_chain(void **state)
{
        assert_picture("W R0 R1", NULL, 0, false, "primary replica sub_replica", "");
        assert_picture("W D R1 R0", NULL, 0, false, "primary dead sub_replica replica", "server_down other_source");
}

static void test_two_writable(void **state)
{
        assert_picture("W W", NULL, -1, false, "alone alone", "two_primaries! alone alone");
        assert_picture("W W", "db1", 1, false, "alone primary", "two_primaries! alone");
        assert_picture("W R0 W", "db2", 0, false, "primary replica alone", "two_primaries! alone");
        assert_picture("W1 W0 R0", "db0", 0, false, "primary co_primary replica", "two_primaries!");
}

static void test_circle(void **state)
{
        assert_picture("W1 R0 R0", NULL, 0, false, "primary co_primary replica", "");
        assert_picture("D R0 R0", NULL, 0, true, "primary replica replica", "");
        /* One half is gone, the other one writes and is followed: only the past tells. */
        assert_picture("D W0 R1", NULL, 0, true, "primary replica sub_replica", "ambiguous_primary! writable_replica");
        assert_picture("D W0 R1", "db1", 1, false, "dead primary replica", "server_down other_source writable_replica");
        assert_picture("D W0 R1", "db0", 0, true, "primary replica sub_replica", "writable_replica");
        assert_picture("R1 R0 R0", "db1", 1, false, "co_primary primary sub_replica", "all_read_only!");
}

static void test_all_read_only(void **state)
{
        assert_picture("R R0 R0", NULL, 0, false, "primary replica replica", "all_read_only!");
        assert_picture("R R", NULL, -1, false, "alone alone", "no_primary! alone alone");
        assert_picture("R R0 R R2", NULL, -1, false, "alone replica alone replica", "ambiguous_primary! alone alone");
        assert_picture("R R0 R R2", "db2", 2, false, "alone sub_replica primary replica",
                       "all_read_only! alone other_source");
}

static void test_old_primary_returns(void **state)
{
        /* db0 was failed over to db1, and db1 died when db0 came back. */
        assert_picture("W D R1", NULL, 1, true, "alone primary replica", "ambiguous_primary! alone");
        assert_picture("W D D", "db1", 0, false, "primary dead dead", "ambiguous_primary! server_down server_down");
        /* Right after a failover to db1: nobody follows it yet. */
        assert_picture("D W R0", "db1", 1, false, "dead primary sub_replica", "server_down other_source");
        assert_picture("W W R1", "db1", 1, false, "alone primary replica", "two_primaries! alone");
        assert_picture("R W R1", "db1", 1, false, "alone primary replica", "alone");
}

/* It was replaced, whoever follows it still. */
static void test_fenced_returns(void **state)
{
        assert_picture("Wf R0 W", "db2", 2, false, "alone sub_replica primary", "two_primaries! alone other_source");
        assert_picture("Wf W R0", "db1", 1, false, "alone primary sub_replica", "two_primaries! alone other_source");
        assert_picture("Wf W R0", "db0", 1, false, "alone primary sub_replica", "two_primaries! alone other_source");
        assert_picture("Wf R0 Wf", NULL, 0, false, "primary replica alone", "two_primaries! alone");
        /* It was made read-only, or somebody made it the primary again. */
        assert_picture("Rf R0 W", "db2", 2, false, "alone sub_replica primary", "alone other_source");
        assert_picture("Wf R0 R", "db2", 0, false, "primary replica alone", "alone");
        assert_picture("Wf D", "db1", -1, false, "alone dead", "ambiguous_primary! alone server_down");
        assert_picture("Wf R0 E", "db2", -1, false, "alone replica unknown", "ambiguous_primary! alone server_error");
        assert_picture("Wf R0 E", NULL, 0, false, "primary replica unknown", "server_error");
        assert_picture("Wf Wf D", "db2", -1, false, "alone alone dead", "two_primaries! alone alone server_down");
        assert_picture("Wf R R1", "db1", 0, false, "primary alone sub_replica", "alone other_source");
        /* Both were down, and started as their files say. */
        assert_picture("WF R R1", "db1", -1, false, "alone alone replica", "ambiguous_primary! alone alone");
        assert_picture("WF R0 R", "db2", -1, false, "alone replica alone", "ambiguous_primary! alone alone");
        assert_picture("WF R", "db1", -1, false, "alone alone", "ambiguous_primary! alone alone");
        assert_picture("WF W", "db1", 1, false, "alone primary", "two_primaries! alone");
}

/* It was the primary after the one that is followed still, and is gone with what it took. */
static void test_known_is_gone(void **state)
{
        assert_picture("D D R0", "db1", -1, false, "dead dead replica", "ambiguous_primary! server_down server_down");
        assert_picture("D U R0", "db1", -1, false, "dead unknown replica", "ambiguous_primary! server_down");
        assert_picture("D R R0", "db1", -1, false, "dead alone replica", "ambiguous_primary! server_down alone");
        assert_picture("R D R0", "db1", -1, false, "alone dead replica", "ambiguous_primary! alone server_down");
        assert_picture("W D R3 D", "db1", -1, false, "alone dead replica dead",
                       "ambiguous_primary! ambiguous_primary! alone server_down server_down");
        /* It is followed itself; it follows; it was taken out; others write since. */
        assert_picture("D D R0 R1", "db1", 1, true, "dead primary sub_replica replica", "server_down other_source");
        assert_picture("D R0 R0", "db1", 0, true, "primary replica replica", "");
        assert_picture("D R0", "db2", 0, true, "primary replica", "");
        assert_picture("W D R0", "db1", 0, false, "primary dead replica", "server_down");
}

static void test_nobody_answers(void **state)
{
        assert_picture("D D D", "db1", 1, true, "dead primary dead", "server_down server_down");
        assert_picture("D D", NULL, -1, false, "dead dead", "no_primary! server_down server_down");
        assert_picture("U U", NULL, -1, false, "unknown unknown", "no_primary!");
        assert_picture("D R", "db0", 0, true, "primary alone", "no_primary! alone");
        assert_picture("D O", NULL, 0, true, "primary observer", "");
        assert_picture("O", NULL, -1, false, "observer", "no_primary!");
}

static void test_stranger(void **state)
{
        assert_picture("W Rx R0", NULL, 0, false, "primary stray replica", "unknown_source!");
        assert_picture("Wx R0", NULL, 0, false, "primary replica", "unknown_source! writable_replica");
}

static void test_alone(void **state)
{
        assert_picture("W R R0", NULL, 0, false, "primary alone replica", "alone");
}

static void assert_replica_problem(void (*change)(Lab *), const char *problems)
{
        LAB("W R0 R0");
        change(&lab_);
        assert_problems(read_lab(&lab_, NULL), problems);
}

static void stop_receiver(Lab *lab)
{
        lab->views[1].channels[0].receiver = RECEIVER_STOPPED;
}
static void break_receiver(Lab *lab)
{
        lab->views[1].channels[0].receiver = RECEIVER_CONNECTING;
        lab->views[1].channels[0].receiver_errno = 1045;
}
static void stop_applier(Lab *lab)
{
        lab->views[1].channels[0].applier_running = false;
}
static void break_applier(Lab *lab)
{
        lab->views[1].channels[0].applier_running = false;
        lab->views[1].channels[0].applier_errno = 1062;
}
static void lag(Lab *lab)
{
        lab->views[1].channels[0].lag = 10;
}
static void delay(Lab *lab)
{
        lab->views[1].channels[0].delay = 3600;
        lab->views[1].channels[0].lag = 3600;
}
static void no_binlog(Lab *lab)
{
        lab->views[1].log_bin = false;
}
static void filter(Lab *lab)
{
        free(lab->views[2].channels[0].filters);
        lab->views[2].channels[0].filters = alloc_string("do_db=a");
}
static void second_channel(Lab *lab)
{
        add_channel(&lab->views[1], "other", "10.0.0.0");
}
static void named_channel(Lab *lab)
{
        free(lab->views[1].channels[0].name);
        lab->views[1].channels[0].name = alloc_string("one");
}
static void writable(Lab *lab)
{
        lab->views[1].read_only = false;
}
static void same_id(Lab *lab)
{
        lab->views[1].server_id = 1;
}
static void same_uuid(Lab *lab)
{
        lab->views[1].server_uuid = alloc_string("3e11fa47-71ca-11e1-9e33-c80aa9429562");
        lab->views[2].server_uuid = alloc_string("3E11FA47-71CA-11E1-9E33-C80AA9429562");
}
static void mix(Lab *lab)
{
        lab->views[2].version.flavour = FLAVOUR_MYSQL;
}

static void test_replica_problems(void **state)
{
        assert_replica_problem(stop_receiver, "receiver_stopped");
        assert_replica_problem(break_receiver, "receiver_error");
        assert_replica_problem(stop_applier, "applier_stopped");
        assert_replica_problem(break_applier, "applier_error");
        assert_replica_problem(lag, "lag");
        assert_replica_problem(delay, "delayed");
        assert_replica_problem(no_binlog, "no_binlog");
        assert_replica_problem(filter, "filters_differ");
        assert_replica_problem(second_channel, "several_channels!");
        assert_replica_problem(named_channel, "several_channels!");
        assert_replica_problem(writable, "writable_replica");
        assert_replica_problem(same_id, "duplicate_id!");
        assert_replica_problem(same_uuid, "duplicate_id!");
        assert_replica_problem(mix, "mixed_flavours!");
}

static void test_same_problem(void **state)
{
        const Problem silent = { PROBLEM_SERVER_DOWN, 1, (char *) "db1 does not answer: no answer within 1.0 s",
                                 false },
                      no_way = { PROBLEM_SERVER_DOWN, 1, (char *) "db1 does not answer: there is no way to it", false },
                      other = { PROBLEM_SERVER_DOWN, 2, silent.text, false },
                      error = { PROBLEM_SERVER_ERROR, 1, silent.text, false },
                      two = { PROBLEM_TWO_PRIMARIES, -1, (char *) "db0 and db1", true },
                      others = { PROBLEM_TWO_PRIMARIES, -1, (char *) "db0 and db2", true };
        assert_true(problem_is_same(&silent, &no_way) && problem_is_same(&two, &two));
        assert_false(problem_is_same(&silent, &other) || problem_is_same(&silent, &error));
        assert_false(problem_is_same(&two, &others));
}

static void test_receivers_of_a_dead_primary(void **state)
{
        LAB("D R0 R0");
        break_receiver(&lab_);
        assert_problems(read_lab(&lab_, NULL), "");
        stop_receiver(&lab_);
        assert_problems(read_lab(&lab_, NULL), "receiver_error");
}

static void test_match(void **state)
{
        LAB("W R0 R0");
        read_lab(&lab_, NULL);
        const char *addresses[] = { "192.168.1.1", "fe80::1" };
        lab_.list[0].addresses = addresses;
        lab_.list[0].n_addresses = 2;
        char uuid[] = "3e11fa47-71ca-11e1-9e33-c80aa9429562", upper[] = "3E11FA47-71CA-11E1-9E33-C80AA9429562";
        char host[32] = "192.168.1.1";
        ReplicaChannel channel = { .source_host = host, .source_port = 3306 };
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 0);
        strcpy(host, "FE80::1");
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 0);
        channel.source_port = 3307;
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), -1);
        /* Through the cluster's virtual address. */
        channel.source_id = 2;
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 1);
        channel.source_uuid = uuid;
        lab_.views[2].server_uuid = upper;
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 2);
        lab_.views[0].server_uuid = lab_.views[1].server_uuid = (char[]){ "other" };
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 2);
        /* Pointed elsewhere and not yet connected: the id is of the past. */
        strcpy(host, "10.0.0.0");
        channel.source_port = 3306;
        channel.receiver = RECEIVER_CONNECTING;
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 0);
        channel.receiver = RECEIVER_CONNECTED;
        assert_int_equal(topology_match_source(lab_.list, 3, &channel), 2);
        for (int i = 0; i < 3; i++)
                lab_.views[i].server_uuid = NULL;
}

static void test_queries(void **state)
{
        LAB("W W R0");
        lab_.views[2].log_bin = false;
        Topology *topology = read_lab(&lab_, NULL);
        assert_int_equal(topology_blocker(topology)->id, PROBLEM_TWO_PRIMARIES);
        assert_int_equal(topology_find(topology, PROBLEM_NO_BINLOG)->server, 2);
        assert_null(topology_find(topology, PROBLEM_LAG));
        Topology empty = topology_read(NULL, 0, "db1", 0);
        assert_int_equal(empty.primary, -1);
        assert_null(topology_blocker(&empty));
        topology_done(&empty);
}

static void test_names(void **state)
{
        for (int i = 0; i < _ROLE_MAX; i++)
                assert_int_equal(role_from_string(role_to_string((Role) i)), i);
        for (int i = 0; i < _PROBLEM_MAX; i++)
                assert_int_equal(problem_from_string(problem_to_string((ProblemId) i)), i);
}

/* Another manager: on a replica as long as that answers, on the primary also when it is dead. */
static void test_other_manager(void **state)
{
        LAB("W R0 R0");
        lab_.views[0].manager = alloc_string("session 8 of mha from 10.0.0.9:1");
        assert_problems(read_lab(&lab_, NULL), "other_manager!");
        assert_non_null(strstr(lab_.topology.problems[0].text, "session 8 of mha"));
        lab_.views[0].evidence = EVIDENCE_REFUSED;
        assert_problems(read_lab(&lab_, "db0"), "other_manager!");
        free(lab_.views[0].manager);
        lab_.views[0].manager = NULL;
        lab_.views[0].evidence = EVIDENCE_ALIVE;
        lab_.views[1].manager = alloc_string("session 9");
        assert_problems(read_lab(&lab_, NULL), "other_manager!");
        lab_.views[1].evidence = EVIDENCE_REFUSED;
        assert_problems(read_lab(&lab_, NULL), "server_down");
}

/* On the primary only, and not what it said before it died. */
static void test_locked(void **state)
{
        LAB("W R0 R0");
        ServerView *view = &lab_.views[0];
        view->semi_sync_active = true;
        view->semi_sync_waiting = view->semi_sync_wait_count = 2;
        view->semi_sync_clients = 1;
        assert_problems(read_lab(&lab_, NULL), "locked");
        assert_string_equal(lab_.topology.problems[0].text,
                            "db0 is locked by semi-sync: its writers wait for 2 replicas to acknowledge, and 1 can");
        view->semi_sync_clients = 2;
        assert_problems(read_lab(&lab_, NULL), "");
        view->semi_sync_clients = 1;
        view->semi_sync_waiting = 0;
        assert_problems(read_lab(&lab_, NULL), "");
        view->semi_sync_waiting = 1;
        view->evidence = EVIDENCE_REFUSED;
        assert_problems(read_lab(&lab_, NULL), "");
}

/* What is wrong with it alone is no problem; what endangers the others is one. */
static void test_excused(void **state)
{
        LAB("W R0 D W1 Rx");
        for (size_t i = 1; i < lab_.n; i++)
                lab_.excused[i] = true;
        lab_.views[1].channels[0].applier_running = false;
        assert_problems(read_lab(&lab_, NULL), "");
        assert_int_equal(lab_.topology.primary, 0);
        lab_.views[1].server_id = 1;
        assert_problems(read_lab(&lab_, NULL), "duplicate_id!");
        /* A primary is one whatever is said of it. */
        lab_.views[1].server_id = 2;
        lab_.excused[0] = true;
        lab_.views[0].evidence = EVIDENCE_REFUSED;
        Topology *topology = read_lab(&lab_, "db0");
        assert_int_equal(topology->primary, 0);
        assert_true(topology->primary_down);
}

/* The last test: each problem was found by one before it, which had planted it and expected nothing else. */
static void test_each_was_planted(void **state)
{
        for (int i = 0; i < _PROBLEM_MAX; i++)
                if (!seen[i])
                        fail_msg("no test plants %s", problem_to_string((ProblemId) i));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_healthy),
                cmocka_unit_test(test_sources),
                cmocka_unit_test(test_apart),
                cmocka_unit_test(test_place),
                cmocka_unit_test(test_dead_primary),
                cmocka_unit_test(test_unread),
                cmocka_unit_test(test_same_problem),
                cmocka_unit_test(test_chain),
                cmocka_unit_test(test_two_writable),
                cmocka_unit_test(test_circle),
                cmocka_unit_test(test_all_read_only),
                cmocka_unit_test(test_old_primary_returns),
                cmocka_unit_test(test_fenced_returns),
                cmocka_unit_test(test_known_is_gone),
                cmocka_unit_test(test_nobody_answers),
                cmocka_unit_test(test_stranger),
                cmocka_unit_test(test_alone),
                cmocka_unit_test(test_replica_problems),
                cmocka_unit_test(test_receivers_of_a_dead_primary),
                cmocka_unit_test(test_match),
                cmocka_unit_test(test_locked),
                cmocka_unit_test(test_excused),
                cmocka_unit_test(test_other_manager),
                cmocka_unit_test(test_queries),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_each_was_planted),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
