"""A primary dies: the best replica takes over, nothing that a living server received is lost, and the report says so."""

import re
import time

import pytest

from labkit import Writer
from labkit.process import until
from manager import DEAD, PATIENCE, Manager, rungs, states, steps

UNSAVED = {"rescue": {"enabled": False}}
STALE = {"failover": {"repoint_timeout": "3s"}}  # for a replica that cannot follow: do not wait long for it


def told_well(report, old="db1", new=None, row=DEAD):
    """What every report of a failover by itself must say."""
    assert report["procedure"] == "failover" and report["old_primary"] == old
    assert report["new_primary"] == (new or report["new_primary"])
    assert report["verdict"]["row"] in row and report["verdict"]["text"] and report["verdict"]["evidence"]
    assert report["loss"]["verdict"] in ("none", "unknown", "lost") and report["loss"]["proof"]
    assert [one["server"] for one in report["candidates"]][0] == report["new_primary"]
    assert all(one["why"] for one in report["candidates"])
    times = report["times"]
    names = ("last_good", "suspected", "verdict", "started", "opened", "ended")
    order = [times[name] for name in names if name in times]
    assert order == sorted(order) and "opened" in times, times
    assert report["run"] in report["text"] and report["new_primary"] in report["text"]
    return report


def load(lab, rows=200, **settings):
    """A writer that fills the tables fast, and has been stopped again."""
    writer = Writer(lab, interval_ms=0, **settings)
    writer.start(rows=rows, timeout=PATIENCE)
    writer.stop()
    return writer


def level(replica, primary):
    """Wait until a replica has received all of the primary's binary log."""
    until(lambda: replica.status()["read"] == primary.position(), PATIENCE, f"{replica.name}: all received")


# How it dies


def test_process_killed(lab):
    manager = Manager.start(lab)
    assert manager.status()["if_primary_died"]["candidate"] in ("db2", "db3")
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = told_well(manager.wait_run(), row=("D1", "D2"))
        writer.wait_elsewhere(PATIENCE)
        primary = manager.well([writer])
    assert rungs(report) == {"address": True, "process": True, "witnesses": True}
    assert states(report)["db1"] == "fenced" and states(report)[primary.name] == "primary"
    assert report["loss"]["verdict"] == "none" and report["times"]["address"], report["text"]
    history, = manager.history()
    assert history["run"] == report["run"] and history["outcome"] == "completed" and history["ended"]
    names = [event["event"] for event in manager.events()]
    assert names.index("suspect") < names.index("run-started") < names.index("run-completed")


def test_host_cut_off_and_back(lab):
    """It is fenced when it is back, though it never died and is writable."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].host.cut()
        report = told_well(manager.wait_run(), row=("D4", "D5"))
        writer.wait_elsewhere(PATIENCE)
        held = rungs(report)
        assert held == {"address": False, "process": False, "witnesses": True}
        assert "NOT FENCED" in report["text"] and states(report)["db1"] == "dead"
        assert report["loss"]["verdict"] != "none"

        db1 = lab["db1"]
        assert db1.writable() and lab.address in db1.host.addresses()
        db1.host.heal()
        until(lambda: not db1.writable() and lab.address not in db1.host.addresses(), PATIENCE, "db1 fenced")
        event, = manager.wait_event("fenced")
        assert event["server"] == "db1"
        assert manager.wait_state("steady")["primary"] == report["new_primary"]
        manager.well([writer])
    assert db1.host.addresses() == [db1.ip] and not db1.writable()
    if db1.flavour.has_super_read_only:
        assert int(db1.value("SELECT @@global.super_read_only"))


def test_process_frozen(lab):
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].freeze()
        report = told_well(manager.wait_run(), row=("D6", "D7"))
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert rungs(report) == {"address": True, "process": True, "witnesses": True}
    assert not lab["db1"].running(), "a frozen process that wakes up would be a second primary"


def test_down_at_start(lab):
    writer = load(lab)
    for replica in lab.replicas:
        level(replica, lab.primary)
    lab["db1"].kill()
    manager = Manager.start(lab, health=None)
    told_well(manager.wait_run())
    primary = manager.well()
    assert not writer.missing_on(primary)


@pytest.mark.also("mariadb11")
def test_host_powered_off(lab):
    """Nobody is there to refuse a connection, nor to be asked by SSH; then it boots, writable by its my.cnf."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].host.power_off()
        report = told_well(manager.wait_run())
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
        assert rungs(report)["process"] is False
        lab["db1"].host.power_on()
        until(lambda: not lab["db1"].writable(), PATIENCE, "db1 fenced")
    manager.well()


# Who takes over, and what the others have


@pytest.mark.parametrize("prefer", [False, True])
def test_replicas_apart(lab, prefer):
    """db3 has received less. Nothing is lost, whoever is promoted."""
    manager = Manager.start(lab, servers={"db3": {"promotion": "prefer"}} if prefer else None)
    load(lab, 50)
    lab["db3"].stop_io()
    writer = load(lab)
    level(lab["db2"], lab.primary)
    lab["db1"].kill()
    report = told_well(manager.wait_run(), new="db3" if prefer else "db2")
    primary = manager.well()
    assert states(report)["db3"] == ("primary" if prefer else "replica")
    assert not writer.missing_on(primary)


@pytest.mark.parametrize("prefer", [False, True])
def test_replicas_apart_and_no_logs_saved(lab, prefer):
    """By GTID nothing is lost, whoever is promoted; by position db3 is not attached."""
    manager = Manager.start(lab, servers={"db3": {"promotion": "prefer"}} if prefer else None, **STALE, **UNSAVED)
    load(lab, 50)
    lab["db3"].stop_io()
    writer = load(lab)
    level(lab["db2"], lab.primary)
    lab["db1"].kill()
    report = told_well(manager.wait_run(), new="db3" if prefer and lab.mode == "gtid" else "db2")
    if lab.mode == "gtid":
        primary = manager.well()
        assert states(report)["db3"] == ("primary" if prefer else "replica")
    else:
        assert states(report)["db3"] == "not attached"
        primary = manager.well(dead=("db1", "db3"))
        db3 = lab["db3"].status()
        assert db3["io"] == "No" and db3["source"] == lab["db1"].ip, "attached with a hole in it"
        assert not lab["db3"].writable()
        assert any(problem.get("server") == "db3" for problem in manager.status()["problems"])
        assert "db3" in report["text"] and writer.missing_on(lab["db3"])
    assert not writer.missing_on(primary)


def test_preferred(lab):
    """With equal data the preferred one, though it stands last."""
    manager = Manager.start(lab, servers={"db3": {"promotion": "prefer"}})
    assert manager.status()["if_primary_died"]["candidate"] == "db3"
    writer = load(lab)
    for replica in lab.replicas:
        level(replica, lab.primary)
    lab["db1"].kill()
    told_well(manager.wait_run(), new="db3")
    assert not writer.missing_on(manager.well())


def test_never(lab):
    """It may have the most: it is not promoted; by GTID it gives what it has."""
    manager = Manager.start(lab, servers={"db2": {"promotion": "never"}})
    if lab.mode == "gtid":
        lab["db3"].stop_io()
    writer = load(lab)
    for replica in lab.replicas[:1] if lab.mode == "gtid" else lab.replicas:
        level(replica, lab.primary)
    assert lab["db3"].status()["io"] == ("No" if lab.mode == "gtid" else "Yes")
    lab["db1"].kill()
    report = told_well(manager.wait_run(), new="db3")
    assert "never" in next(one["why"] for one in report["candidates"] if one["server"] == "db2")
    assert not writer.missing_on(manager.well())


@pytest.mark.modes("position")
def test_never_and_nobody_else_has_it(lab):
    """By position, and no logs are saved: the one with the most must not be promoted. Nothing is done, until an operator
    accepts the loss."""
    manager = Manager.start(lab, servers={"db2": {"promotion": "never"}}, **STALE, **UNSAVED)
    load(lab, 50)
    lab["db3"].stop_io()
    writer = load(lab)
    level(lab["db2"], lab.primary)
    lab["db1"].kill()
    status = manager.wait_state("held")
    assert "candidate" not in status["if_primary_died"] and status["if_primary_died"]["why"]
    manager.untouched(1)
    assert not lab["db2"].writable() and not lab["db3"].writable()
    done = manager.order("failover", manager.cluster.name, "--to", "db2", "--yes")
    assert done.returncode == 1, "never is never, whoever says it"
    assert "promotion: never" in manager.report()["why"]
    done = manager.order("failover", manager.cluster.name, "--yes", "--accept-loss", "unknown")
    assert done.returncode == 1 and not lab["db3"].writable(), "it is known"
    word = re.search(r"--accept-loss '(.*?)'", manager.report()["why"])[1]
    done = manager.order("failover", manager.cluster.name, "--yes", "--accept-loss", word)
    assert done.returncode == 0, done.stderr
    report = manager.report()
    assert report["loss"]["verdict"] == "lost" and report["loss"]["details"], report["text"]
    assert report["new_primary"] == "db3" and states(report)["db2"] == "not attached"
    assert writer.missing_on(lab["db3"])
    manager.well(dead=("db1", "db2"))


@pytest.mark.lab(replicas=1)
def test_everybody_never(lab):
    manager = Manager.start(lab, health=None, servers={"db2": {"promotion": "never"}})
    manager.wait_state("steady")
    assert manager.order("check", manager.cluster.name).returncode == 1
    lab["db1"].kill()
    manager.wait_state("held")
    manager.untouched(1)
    assert not lab["db2"].writable()


def test_unapplied_relay_log(lab):
    """Received and not applied: applied before it is opened."""
    manager = Manager.start(lab)
    for replica in lab.replicas:
        replica.stop_sql()
    writer = load(lab, 1500, size=9)
    for replica in lab.replicas:
        level(replica, lab.primary)
    assert all(writer.missing_on(replica) for replica in lab.replicas)
    lab["db1"].kill()
    report = told_well(manager.wait_run(timeout=180))
    assert not writer.missing_on(manager.well())
    assert "applied everything" in steps(report)["drain-candidate"]["targets"][report["new_primary"]]["why"]


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("position")
def test_undone_with_unapplied_relay_logs(lab):
    """The replicas follow an address, the configuration names names; what they have received survives a run that is undone."""
    manager = Manager.start(lab, servers={name: {"host": name} for name in ("db1", "db2", "db3")},
                            hooks={"stop": ["/bin/false"]})
    db1 = lab["db1"]
    db1.sql("CREATE TABLE app.kept (id INT PRIMARY KEY)")
    until(lambda: all(replica.status()["executed"] == db1.position() for replica in lab.replicas), PATIENCE, "level")
    for replica in lab.replicas:
        replica.stop_sql()
    for i in range(50):
        db1.sql(f"INSERT INTO app.kept VALUES ({i})")
    end = db1.position()
    until(lambda: all(replica.status()["read"] == end for replica in lab.replicas), PATIENCE, "received")
    source = lab["db2"].status()["source"]
    db1.host.power_off()
    manager.wait_run("aborted")
    for replica in lab.replicas:
        until(lambda: replica.status()["executed"] == end, PATIENCE, "applied")
        assert replica.status()["source"] == source and replica.value("SELECT COUNT(*) FROM app.kept") == 50


def test_replica_dead_too(lab):
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db3"].host.power_off()
        manager.wait_health("warning")
        lab["db1"].kill()
        report = told_well(manager.wait_run(), new="db2")
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer], dead=("db1", "db3"))
    assert states(report)["db3"] in ("left out", "not attached")
    assert any("db3" in one for one in report["loss"]["details"])


def test_replica_dies_with_it(lab):
    """Both at the same moment: the dead replica holds nobody up."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db3"].kill()
        lab["db1"].kill()
        told_well(manager.wait_run(), new="db2")
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer], dead=("db1", "db3"))


@pytest.mark.lab(replicas=1)
def test_only_one_replica(lab):
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].kill()
        told_well(manager.wait_run(), new="db2")
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.lab(semisync=True)
def test_semi_sync(lab):
    """The role follows, and with it the proof that nothing is lost."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = told_well(manager.wait_run())
        writer.wait_elsewhere(PATIENCE)
        primary = manager.well([writer], complete=True)
    assert report["loss"]["verdict"] == "none", report["loss"]
    for server in lab.replicas:
        source = primary.word("semisync_source" if server is primary else "semisync_replica")
        assert int(server.value(f"SELECT @@global.{source}")) == 1, server.name
    until(lambda: "1" in [row["Value"] for row in primary.sql("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_%_clients'")],
          PATIENCE, "a replica that acknowledges")


def test_delayed_replica(lab):
    """Never promoted, whatever it has; it keeps its delay."""
    lab["db2"].delay(3600)
    manager = Manager.start(lab, health=None, servers={"db2": {"promotion": "prefer"}}, **STALE)
    manager.wait_state("steady")
    writer = load(lab)
    for replica in lab.replicas:
        level(replica, lab.primary)
    lab["db1"].kill()
    report = told_well(manager.wait_run(), new="db3")
    primary = manager.well(dead=("db1", "db2"))
    assert not writer.missing_on(primary)
    status = lab["db2"].status()
    assert int(status["delay"]) == 3600 and not lab["db2"].writable()
    if lab.mode == "gtid":
        assert states(report)["db2"] == "replica" and status["source"] == primary.ip and status["sql"] == "Yes"
    else:
        assert states(report)["db2"] == "not attached" and status["source"] == lab["db1"].ip


@pytest.mark.lab(topology="chain")
def test_chain(lab):
    """db3 follows db2 and goes on doing so."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        before = lab["db3"].status()["source"]
        lab["db1"].kill()
        told_well(manager.wait_run(), new="db2")
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer], direct=True)
    assert before == lab["db2"].ip == lab["db3"].status()["source"]


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("current_pos")
def test_current_pos(lab):
    manager = Manager.start(lab, servers={"db2": {"promotion": "prefer"}})
    with Writer(lab) as writer:
        lab["db1"].kill()
        told_well(manager.wait_run(), new="db2")
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert lab["db3"].status()["raw"]["Using_Gtid"] == "Current_Pos"


@pytest.mark.modes("gtid")
def test_two_clusters_at_once(make_lab, flavour):
    lab = make_lab(flavour=flavour, clusters=2, replicas=1)
    one = Manager.start(lab)
    two = Manager(lab, lab.clusters[1])
    two.wait_health("ok")
    with Writer(lab) as first, Writer(lab, two.cluster) as second:
        lab["db1"].kill()
        lab["db3"].kill()
        told_well(one.wait_run(), "db1", "db2")
        told_well(two.wait_run(), "db3", "db4")
        one.well([first], dead=("db1",))
        two.well([second], dead=("db3",))


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
def test_no_address(make_lab, flavour, mode):
    """Without an address and without hooks it is only opened."""
    lab = make_lab(flavour=flavour, mode=mode, address=False)
    manager = Manager.start(lab)
    with Writer(lab, address=False) as writer:
        lab["db1"].kill()
        report = told_well(manager.wait_run())
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert "address" not in rungs(report)


# The old primary


@pytest.mark.modes("gtid")
def test_old_primary_returns_writable(lab):
    """Started by hand, with its address and without read_only: fenced at once, and reported."""
    manager = Manager.start(lab)
    lab["db1"].kill()
    report = manager.wait_run()
    db1 = lab["db1"]
    db1.start(wait=False)
    db1.host.add_address(lab.address)
    db1.wait_ready()
    until(lambda: not db1.writable() and lab.address not in db1.host.addresses(), PATIENCE, "db1 fenced")
    manager.wait_state("steady")
    assert manager.well().name == report["new_primary"]
    db1.set_read_only(False)
    db1.sql("SET GLOBAL event_scheduler = ON")
    until(lambda: not db1.writable(), PATIENCE, "db1 fenced again")
    until(lambda: db1.value("SELECT @@GLOBAL.event_scheduler") == "OFF", PATIENCE, "no event runs")
    manager.stays(lambda status: status["primary"] == report["new_primary"], 1, "the primary changed")


@pytest.mark.modes("gtid")
@pytest.mark.lab(supervised=200)
def test_supervised_is_stopped_for_good(lab):
    """Frozen, and something restarts it whenever it ends: fence.command stops that too."""
    manager = Manager.start(lab, fence={"timeout": "20s"})  # the command is patient with what does not hear
    with Writer(lab) as writer:
        lab["db1"].freeze()
        report = told_well(manager.wait_run())
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert rungs(report)["process"]
    time.sleep(1)
    assert not lab["db1"].running()


@pytest.mark.modes("gtid")
@pytest.mark.lab(supervised=2500)
def test_supervised_comes_back_late(lab):
    """Dead for longer than the grace, and its supervisor would start it again."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].kill()
        told_well(manager.wait_run())
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    time.sleep(3)
    if lab["db1"].running():
        lab["db1"].wait_ready()
        until(lambda: not lab["db1"].writable(), PATIENCE, "db1 fenced")
    manager.well()
