"""What is death and what is not: a primary that lives is left alone, whoever cannot see it."""

import pymysql
import pytest

from labkit import Writer, invariants
from labkit.process import until
from manager import PATIENCE, QUICK, Manager, brief, check_read_only, states

WATCH = 4  # seconds in which a mistaken failover would have begun


def nothing_was_done(manager, writers=()):
    """The primary is the first server still, and everything is as it was."""
    for writer in writers:
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
    primary = invariants(manager.lab, cluster=manager.cluster, writers=writers)
    assert primary is manager.cluster.primary
    status = manager.wait_state("steady")
    assert status["primary"] == primary.name and "last_run" not in status, brief(status)
    assert not manager.events("run-started", "fenced"), manager.lab.mhad_log_tail()
    check_read_only(manager.cluster, primary, ())
    manager.secrets()


class Crowd:
    """Connections that leave no place for another, not even for an administrator."""

    def __init__(self, server):
        self.server = server
        self.connections = []

    def __enter__(self):
        self.server.sql("SET GLOBAL max_connections = 20")
        while self.connect("app"):
            pass
        # Who was refused holds the administrator's place for a moment.
        until(lambda: self.connect("lab"), PATIENCE, "the administrator's place", 0.01)
        while self.connect("lab"):
            pass
        self.sql("SET GLOBAL max_connections = 10")  # a place that becomes free is none
        return self

    def sql(self, statement):
        with self.connections[-1].cursor() as cursor:
            cursor.execute(statement)

    def connect(self, user):
        try:
            self.connections.append(self.server.connect(user=user, password=f"{user}-pw"))
        except pymysql.MySQLError as error:
            assert error.args[0] == 1040, error
            return False
        return True

    def __exit__(self, *_):
        self.sql("SET GLOBAL max_connections = 300")
        for connection in self.connections:
            connection.close()


def hang_up(server, connection):
    """End every connection of mhad's: it has to log in anew."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE user = 'mhad'")
        for row in cursor.fetchall():
            try:
                cursor.execute(f"KILL {next(iter(row.values()))}")
            except pymysql.MySQLError as error:
                assert error.args[0] == 1094, f"{server}: {error}"  # it has gone by itself


@pytest.mark.modes("gtid")
def test_too_many_connections(lab):
    """An error is an answer."""
    with Writer(lab) as writer:
        manager = Manager.start(lab, detection={"ping": "connect"})
        with Crowd(lab["db1"]) as crowd:
            manager.untouched(1)  # a new connection is refused, the one that it keeps works
            hang_up(lab["db1"], crowd.connections[-1])
            manager.wait_row("A2")
            manager.untouched(WATCH)
            server = manager.server("db1")
            assert server["evidence"] == "error" and "onnections" in server["evidence_text"], server
            assert "alive" in manager.order("failover", manager.cluster.name, "--yes").stderr
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.modes("gtid")
def test_too_many_connections_at_start(lab):
    with Crowd(lab["db1"]):
        manager = Manager.start(lab, health=None)
        manager.wait_row("A2")
        manager.untouched(WATCH / 2)
    manager.wait_health("ok")
    nothing_was_done(manager)


@pytest.mark.modes("gtid")
def test_access_denied(lab):
    """Somebody has changed our password on the primary."""
    def password(words):
        change = (f"SET PASSWORD FOR 'mhad'@'%' = PASSWORD('{words}')" if lab.flavour.name == "mysql56"
                  else f"ALTER USER 'mhad'@'%' IDENTIFIED BY '{words}'")
        lab["db1"].sql("SET SESSION sql_log_bin = 0", change)

    with Writer(lab) as writer:
        manager = Manager.start(lab, detection={"ping": "connect"})
        password("another")
        hang_up(lab["db1"], lab["db1"].connect())
        manager.wait_row("A2")
        manager.untouched(WATCH)
        server = manager.server("db1")
        assert server["evidence"] == "error" and "mhad-pw" not in server["evidence_text"]
        password("mhad-pw")
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_not_read(lab):
    """A replica that cannot be asked, then one that does not say whom it follows: both are told, and nothing waits for
    them, neither a start nor a failover; the report says that it was left out."""
    def told(problem):
        manager.wait(lambda status: [one["id"] for one in status["problems"]] == [problem] and
                     (status["state"], status["health"]) == ("steady", "warning"), problem)
        shown = manager.order("status", name)
        assert shown.returncode != 0 and "db3 " in shown.stdout, shown.stdout
        assert any(event.get("server") == "db3" for event in manager.events("topology-problem"))
        assert manager.order("server", "down", name, "db3").returncode == 0
        assert not manager.status()["problems"]
        assert manager.order("server", "up", name, "db3").returncode == 0

    rights = "SLAVE MONITOR, SUPER ON *.*"
    manager = Manager.start(lab, health=None, servers={"db3": {"host": "nosuch.invalid"}})
    name = manager.cluster.name
    told("server_unasked")
    lab.mhad_config(**QUICK)
    assert manager.order("reload").returncode == 0
    manager.wait_health("ok")

    db3 = lab["db3"]
    db3.sql("SET sql_log_bin = 0", f"REVOKE {rights} FROM 'mhad'@'%'")
    lab.kill_mhad()
    lab.start_mhad()
    told("server_unreadable")
    assert "privilege" in manager.server("db3")["problems"][0] and manager.server("db3")["evidence"] == "alive"
    assert "cannot be read" in manager.order("switch", name, "--to", "db3", "--yes").stderr
    db3.sql("SET sql_log_bin = 0", f"GRANT {rights} TO 'mhad'@'%'")
    manager.wait_health("ok")  # without a word to the daemon

    for server in lab["db1"], db3:
        server.sql("SET sql_log_bin = 0", f"REVOKE {rights} FROM 'mhad'@'%'")
        hang_up(server, server.connect())
    status = manager.wait(lambda status: len(status["problems"]) == 2, "both are told")
    assert {one["id"] for one in status["problems"]} == {"server_unreadable"} and status["primary"] == "db1"
    manager.stays(lambda status: (status["state"], status["primary"]) == ("steady", "db1"), 1, "it answers")
    lab["db1"].kill()
    report = manager.wait_run()
    assert report["new_primary"] == "db2" and states(report)["db3"] == "not attached", report["text"]


@pytest.mark.modes("gtid")
def test_manager_cut_off(lab):
    """From everybody: we are the ones who are cut off."""
    with Writer(lab) as writer:
        manager = Manager.start(lab)
        lab.mgr.cut()
        manager.wait_row("I1")
        manager.untouched(WATCH)
        assert manager.status()["health"] in ("held", "suspect")
        lab.mgr.heal()
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.modes("gtid")
def test_manager_cut_off_at_start(lab):
    lab.mgr.cut()
    manager = Manager.start(lab, health=None)
    manager.untouched(WATCH)
    lab.mgr.heal()
    manager.wait_health("ok")
    nothing_was_done(manager)


def test_unreachable_from_the_manager_only(lab):
    with Writer(lab) as writer:
        manager = Manager.start(lab)
        lab["db1"].host.cut("mgr")
        manager.wait_row("U1")
        manager.untouched(WATCH)
        lab["db1"].host.heal("mgr")
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.modes("gtid")
def test_seen_by_the_observer_only(lab):
    """Neither we nor any replica reaches it, but the observer's host does: it serves its clients."""
    with Writer(lab) as writer:
        manager = Manager.start(lab)
        for name in ("mgr", "db2", "db3"):
            lab["db1"].host.cut(name)
        manager.wait_row("U1")
        manager.untouched(WATCH)
        for name in ("mgr", "db2", "db3"):
            lab["db1"].host.heal(name)
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.modes("gtid")
def test_replica_cut_off_from_the_primary(lab):
    with Writer(lab) as writer:
        manager = Manager.start(lab)
        lab["db1"].host.cut("db2")
        until(lambda: lab["db2"].status()["io"] == "Connecting", PATIENCE, "db2 notices")
        manager.wait(lambda status: any(problem.get("server") == "db2" for problem in status["problems"]), "a problem")
        manager.untouched(WATCH / 2)
        assert manager.status()["primary"] == "db1" and not manager.events("dead")
        lab["db1"].host.heal("db2")
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.modes("gtid")
def test_replicas_cut_off(lab):
    """All replicas are gone, the primary answers: nothing can be done, and nothing is."""
    with Writer(lab) as writer:
        manager = Manager.start(lab)
        for replica in lab.replicas:
            replica.host.cut()
        manager.wait_health("warning")
        manager.untouched(WATCH / 2)
        assert manager.status()["state"] == "steady"
        assert manager.order("check", manager.cluster.name).returncode == 1
        for replica in lab.replicas:
            replica.host.heal()
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.modes("gtid")
@pytest.mark.lab(supervised=300)
def test_restarted_within_the_grace(lab):
    """Its service manager brings it back in time."""
    manager = Manager.start(lab, detection={"restart_grace": "60s"})
    with Writer(lab) as writer:
        lab["db1"].kill()
        manager.wait_event("suspect")
        manager.wait_event("suspicion-cleared")
        manager.wait_health("ok")
        manager.untouched(1)
        nothing_was_done(manager, [writer])


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
def test_restarted_by_hand(lab):
    """A clean restart takes as long as the grace allows."""
    manager = Manager.start(lab, detection={"restart_grace": "60s"})
    with Writer(lab) as writer:
        lab["db1"].restart()
        manager.wait_event("suspicion-cleared")
        nothing_was_done(manager, [writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_short_freeze(lab):
    """A primary that stands still for a moment is suspected, not replaced."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].freeze()
        manager.wait_event("suspect")
        lab["db1"].thaw()
        manager.wait_health("ok")
        manager.untouched(1)
        nothing_was_done(manager, [writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_stalled(lab):
    """It greets and its storage hangs: reported, and by default not acted on."""
    manager = Manager.start(lab, detection={"ping": "insert"})
    lab["db1"].sql("CREATE DATABASE IF NOT EXISTS infra")
    manager.wait_health("ok")
    connection = lab["db1"].connect()
    with connection.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        manager.wait_row("T1")
        manager.untouched(WATCH)
    connection.close()
    manager.wait_health("ok")
    nothing_was_done(manager)


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
@pytest.mark.lab(semisync=True)
def test_locked(lab):
    """Its writers wait for an acknowledgement that nobody gives: reported, and nothing else."""
    manager = Manager.start(lab)
    lab["db1"].sql(f"SET GLOBAL {lab['db1'].word('semisync_source').replace('enabled', 'timeout')} = 3600000")
    with Writer(lab) as writer:
        for replica in lab.replicas:
            replica.stop_io()
        manager.wait(lambda status: any(one["id"] == "locked" and not one["blocks"] for one in status["problems"]),
                     "a problem")
        assert any("locked by semi-sync" in event["text"] for event in manager.events("topology-problem"))
        manager.untouched(WATCH)
        for replica in lab.replicas:
            replica.start_io()
        manager.wait_health("ok")
        nothing_was_done(manager, [writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_restarted_after_a_stall(lab):
    """It stalled for longer than the grace, and somebody restarts it: the grace begins when it is gone."""
    manager = Manager.start(lab, detection={"ping": "insert", "restart_grace": "20s"})
    connection = lab["db1"].connect()
    with connection.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        manager.wait_row("T1")
        manager.untouched(21)
        lab["db1"].kill()
        manager.wait_row("D1", "D2")
    lab["db1"].start()
    manager.wait_health("ok")
    nothing_was_done(manager)


def move_out_of_sight(lab, manager):
    """People move the role from one that cannot be seen from here to another such."""
    db1, db2, _ = lab.clusters[0].servers
    for server in (db1, db2):
        server.host.cut("mgr")
    manager.wait_row("U1")
    db1.set_read_only(True)
    until(lambda: db2.status()["executed"] == db1.position(), PATIENCE, "db2 level")
    db2.sql(db2.word("stop"), db2.word("reset_replica"))
    db2.set_read_only(False)
    return db1, db2


def turn_to(server, source):
    server.sql(server.word("stop"))
    server.follow(source)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_moved_out_of_sight(lab):
    """What the others said of the first is no evidence against the second, and when that dies, they are asked about it."""
    manager = Manager.start(lab)
    db1, db2 = move_out_of_sight(lab, manager)
    db1.follow(db2)
    db1.host.heal("mgr")
    manager.wait(lambda status: status.get("primary") == "db2", "db2 is the primary")
    turn_to(lab["db3"], db2)
    manager.wait_row("U1")
    manager.untouched(WATCH)
    db2.kill()
    report = manager.wait_run()
    assert report["old_primary"] == "db2", report["text"]


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_moved_out_of_sight_for_good(lab):
    """The first is gone, and the second was never seen to be the primary: nothing is done before it is."""
    manager = Manager.start(lab)
    db1, db2 = move_out_of_sight(lab, manager)
    turn_to(lab["db3"], db2)
    db1.stop()
    manager.untouched(WATCH)
    db2.host.heal("mgr")
    assert manager.wait_state("steady")["primary"] == "db2"
    manager.untouched(1)
    assert db2.writable()


# What is not a cluster that may be acted on


@pytest.mark.modes("gtid")
def test_two_writable_primaries(lab):
    """Reported, and in the way of every automatic act."""
    manager = Manager.start(lab)
    db3 = lab["db3"]
    db3.sql(db3.word("stop"), db3.word("reset_replica"))
    db3.set_read_only(False)
    status = manager.wait(lambda status: any(one["blocks"] for one in status["problems"]), "a problem that blocks")
    assert manager.order("check", manager.cluster.name).returncode == 1
    assert status["if_primary_died"]["hold"]
    lab["db1"].kill()
    manager.wait_state("held")
    manager.untouched(1)
    assert not lab["db2"].writable()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_replica_of_a_stranger(make_lab, flavour, mode):
    """db3 follows a server that is in no configuration."""
    lab = make_lab(flavour=flavour, mode=mode, replicas=3)
    stranger = lab["db4"]
    db3 = lab["db3"]
    db3.sql(db3.word("stop"))
    db3.follow(stranger)
    lab.clusters[0].servers.remove(stranger)
    manager = Manager.start(lab, health=None)
    status = manager.wait(lambda status: any(one["id"] == "unknown_source" for one in status["problems"]), "a problem")
    assert any(one["blocks"] and one.get("server") == "db3" for one in status["problems"]), brief(status)


# What an operator and the guards hold back


@pytest.mark.modes("gtid")
def test_fence_required(lab):
    """The host is cut off, so nothing can be proved: held, undone, and as before when it is back."""
    manager = Manager.start(lab, fence={"policy": "required", "timeout": "1s"})
    with Writer(lab) as writer:
        lab["db1"].host.cut()
        report = manager.wait_run("aborted")
        assert "required" in report["why"] and not report.get("new_primary")
        assert not lab["db2"].writable() and not lab["db3"].writable()
        lab["db1"].host.heal()
        manager.wait_health("ok")
        for replica in lab.replicas:
            until(replica.replicating, PATIENCE, f"{replica.name} follows")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
    assert invariants(lab, writers=[writer]) is lab.primary
    manager.secrets()
