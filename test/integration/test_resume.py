"""mhad dies in the middle: the next one goes on, and nothing is harmed by what is done twice."""

import signal

import pytest

from labkit import Writer
from labkit.host import BUILD
from labkit.process import until
from manager import PATIENCE, Manager, brief, rungs, steps
from test_detection import Crowd

POINTS = [  # a step and the record of it after which mhad is killed
    ("confirm-dead", "decided"), ("stop-receivers", "started"), ("stop-receivers", "intent"),
    ("fence-process", "settled"), ("fence-enough", "decided"), ("choose-candidate", "decided"),
    ("drain-candidate", "settled"), ("detach-candidate", "intent"), ("detach-candidate", "settled"),
    ("open-candidate", "intent"), ("open-candidate", "settled"), ("move-address", "intent"),
    ("repoint-replicas", "intent"), ("repoint-replicas", "settled"), ("set-read-only", "settled"),
]
SOME = [("stop-receivers", "intent"), ("choose-candidate", "decided"), ("open-candidate", "intent"),
        ("repoint-replicas", "intent")]


def names(points):
    return [f"{step}-{kind}" for step, kind in points]


def dying(**how):
    """The environment in which mhad dies by itself at a record of its journal (die-at.c)."""
    return {"LD_PRELOAD": f"{BUILD}/test/integration/libdie-at.so", **how}


def dead(lab):
    """Wait for it."""
    lab.mhad.wait(PATIENCE)
    lab.mhad = None


def killed_at(lab, point, number=signal.SIGKILL, **settings):
    manager = Manager.start(lab, environment=dying(MHAD_DIE_AT=" ".join(point), MHAD_DIE_BY=str(int(number))), **settings)
    writer = Writer(lab).start()
    lab["db1"].kill()
    dead(lab)
    return manager, writer


def completed(manager, writer, dead=("db1",)):
    report = manager.wait_run()
    writer.wait_elsewhere(PATIENCE)
    manager.well([writer], dead)
    assert len(manager.history()) == 1, "one run, however often it was begun"
    return report


def goes_on(lab, point):
    manager, writer = killed_at(lab, point)
    lab.start_mhad()
    completed(manager, writer)
    assert manager.events("run-resumed")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("point", POINTS, ids=names(POINTS))
def test_killed_at(lab, point):
    goes_on(lab, point)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.parametrize("point", SOME, ids=names(SOME))
def test_killed_at_by_position(lab, point):
    goes_on(lab, point)


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.parametrize("point", SOME, ids=names(SOME))
def test_killed_at_mysql(lab, point):
    goes_on(lab, point)


def test_killed_again_and_again(lab):
    """Each life of mhad gets a few records farther."""
    manager = Manager.start(lab, environment=dying(MHAD_DIE_AFTER="4"))
    with Writer(lab) as writer:
        lab["db1"].kill()
        for _ in range(7):
            dead(lab)
            lab.start_mhad(environment=dying(MHAD_DIE_AFTER="4"), wait=False)
        dead(lab)
        lab.start_mhad()
        completed(manager, writer)


@pytest.mark.modes("gtid")
@pytest.mark.parametrize("point", [("choose-candidate", "decided"), ("detach-candidate", "intent")],
                         ids=["chosen", "detaching"])
def test_old_primary_returns_before_the_opening(lab, point):
    """Nothing was opened: it stays the primary, with its address and its replicas."""
    manager, writer = killed_at(lab, point)
    lab["db1"].start()
    lab.start_mhad()
    manager.wait_run("aborted")
    manager.wait_health("ok")
    primary = manager.well([writer], dead=())
    assert primary is lab["db1"]
    assert not writer.missing_on(primary)


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
def test_old_primary_answers_with_an_error(lab):
    """Before the opening: it lives, so nothing is opened."""
    manager, writer = killed_at(lab, ("choose-candidate", "decided"))
    lab["db1"].start()
    with Crowd(lab["db1"]):
        lab.start_mhad()
        report = manager.wait_run("aborted")
        assert "db1 answers again, with an error" in report["why"], report["text"]
        assert [server.name for server in lab.replicas if server.writable()] == []
    manager.wait_health("ok")
    assert manager.well([writer], dead=()) is lab["db1"]


@pytest.mark.modes("gtid")
@pytest.mark.parametrize("point", [("open-candidate", "intent"), ("repoint-replicas", "intent")],
                         ids=["opening", "repointing"])
def test_old_primary_returns_after_the_opening(lab, point):
    """Both are writable for a moment, and nobody watches: the old one is fenced as soon as somebody does."""
    manager, writer = killed_at(lab, point)
    db1 = lab["db1"]
    db1.start()
    lab.start_mhad()
    until(lambda: not db1.writable() and lab.address not in db1.host.addresses(), PATIENCE, "db1 fenced")
    completed(manager, writer)
    assert not db1.writable()


@pytest.mark.modes("gtid")
def test_dies_before_the_run(lab):
    """Killed when it has the suspicion only, with a grace that is not over: the next one begins anew."""
    manager = Manager.start(lab, detection={"restart_grace": "3s"})
    with Writer(lab) as writer:
        lab["db1"].kill()
        manager.wait_event("suspect")
        lab.kill_mhad()
        lab.start_mhad()
        completed(manager, writer)
    assert not manager.events("run-resumed")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_candidate_dies_meanwhile(lab):
    """Before the opening: it is given up, and another is taken."""
    manager, writer = killed_at(lab, ("choose-candidate", "decided"), servers={"db2": {"promotion": "prefer"}},
                                failover={"apply_timeout": "5s"})
    lab["db2"].kill()
    lab.start_mhad()
    aborted = manager.wait_run("aborted")
    manager.wait_run(after=aborted["run"])
    writer.wait_elsewhere(PATIENCE)
    assert manager.well([writer], dead=("db1", "db2")) is lab["db3"]


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("order", [("run", "abandon"), ("cancel",)], ids=["abandoned", "cancelled"])
def test_people_at_work_meanwhile(lab, order):
    """Nobody is left of mhad, so they promote another replica by hand: the next daemon leaves it so, and asks."""
    manager, writer = killed_at(lab, ("drain-candidate", "settled"), servers={"db2": {"promotion": "prefer"}})
    writer.stop()
    db2, db3 = lab["db2"], lab["db3"]
    db3.sql(db3.word("stop"), db3.word("reset_replica"))
    db3.set_read_only(False)
    db2.sql(db2.word("stop"))
    db2.follow(db3)

    def as_they_left_it(status=None):
        return [one.name for one in lab.replicas if one.writable()] == ["db3"] and db2.status()["source"] == db3.ip

    lab.start_mhad()
    manager.wait_state("halted")
    told, = manager.events("run-halted")
    assert "db2 follows db3, db3 takes writes" in told["text"] and "mhactl run abandon app1" in told["text"], told
    manager.stays(as_they_left_it, 2, "the cluster was changed")
    done = manager.order(*order, "app1")
    assert done.returncode == 0, done.stderr
    manager.wait_run("aborted")
    status = manager.wait_state("steady")
    assert status["primary"] == "db3" and as_they_left_it(), brief(status)
    assert lab.address not in lab["db1"].host.addresses()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_told_to_end(lab):
    """SIGTERM, as by a restart of the service: the run is left to the next one."""
    manager, writer = killed_at(lab, ("choose-candidate", "decided"), signal.SIGTERM)
    lab.start_mhad()
    report = completed(manager, writer)
    assert rungs(report)["process"] and "open-candidate" in steps(report)
