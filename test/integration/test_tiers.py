"""Switchovers where not everybody follows the primary: replicas of replicas, and a pair that follows each other."""

import pytest
from labkit import Writer
from labkit.process import until
from manager import PATIENCE, states
from test_switchover import only_writable, start, switch, well


def sources(lab):
    """Who follows whom, as the servers say."""
    names = {server.ip: server.name for server in lab.servers}
    return {server.name: names[server.status()["source"]] if server.status() else None for server in lab.servers}


def indent(tree, name):
    line, = [line for line in tree.split("\n") if line.split("(")[0].strip(" |`-├└─│").strip() == name]
    return line.index(name) if "(" not in line else 0


def everywhere(lab, writer):
    """All that was acknowledged is on every server."""
    writer.wait_acknowledged(10, PATIENCE)
    writer.stop()
    for server in lab.servers:
        until(lambda one=server: not writer.missing_on(one), PATIENCE, f"{server.name} has all rows")


def put_below(lab, replica, source):
    """Before anybody writes."""
    server, above = lab[replica], lab[source]
    until(lambda: above.replicating() and above.status()["executed"] == lab["db1"].position(), PATIENCE, "all is level")
    server.sql(server.word("stop"))
    server.follow(above, coordinates=above.position())
    until(server.replicating, PATIENCE, f"{replica} follows {source}")


@pytest.mark.lab(topology="chain")
def test_chain(lab):
    """db1, db2, db3 in a row: db2 takes over, and db3 goes on following it."""
    manager = start(lab)
    with Writer(lab) as writer:
        done = switch(manager, "--to", "db3", status=23)
        assert "db3 does not replicate from the primary db1 itself" in done.stderr
        switch(manager, "--to", "db2")
        assert states(manager.report()) == {"db1": "replica", "db2": "primary", "db3": "stays"}
        assert sources(lab) == {"db1": "db2", "db2": None, "db3": "db2"}
        well(manager, "db2", [writer])


@pytest.mark.lab(replicas=3)
@pytest.mark.parametrize("tier", ["stay", "follow"])
def test_replica_of_a_replica(lab, tier):
    put_below(lab, "db4", "db3")
    manager = start(lab, switchover={"multi_tier": tier})
    with Writer(lab) as writer:
        done = manager.order("switch", "app1", "--check", "--to", "db2")
        assert done.returncode == 0, done.stdout
        now, then = (part.split("\n\n")[0] for part in done.stdout.split("now:")[1].split("then:"))
        assert indent(now, "db4") > indent(now, "db3") == indent(now, "db2") > indent(now, "db1"), done.stdout
        assert (indent(then, "db4") > indent(then, "db3")) == (tier == "stay"), done.stdout
        assert indent(then, "db3") == indent(then, "db1"), done.stdout
        switch(manager, "--to", "db2")
        assert states(manager.report()) == {"db1": "replica", "db2": "primary", "db3": "replica",
                                            "db4": "stays" if tier == "stay" else "replica"}
        assert sources(lab) == {"db1": "db2", "db2": None, "db3": "db2", "db4": "db3" if tier == "stay" else "db2"}
        manager.wait_health("ok")
        assert only_writable(lab) == ["db2"]
        everywhere(lab, writer)


@pytest.mark.lab(replicas=4)
@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("position")
def test_deep(lab):
    """By position, three below each other are brought up one after the other; the command line overrules."""
    put_below(lab, "db4", "db3")
    put_below(lab, "db5", "db4")
    manager = start(lab)
    with Writer(lab) as writer:
        switch(manager, "--to", "db2", "--multi-tier", "follow")
        assert sources(lab) == {"db1": "db2", "db2": None, "db3": "db2", "db4": "db2", "db5": "db2"}
        manager.wait_health("ok")
        everywhere(lab, writer)


def test_pair(lab):
    """db1 and db2 follow each other, db2 is read-only, db3 follows db1; there and back."""
    db1, db2 = lab["db1"], lab["db2"]
    until(lambda: db2.status()["executed"] == db1.position(), PATIENCE, "all is level")
    if lab.flavour.like == "mariadb" and lab.mode == "gtid":
        db1.sql("SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos")
    db1.follow(db2, coordinates=db2.position())
    until(db1.replicating, PATIENCE, "db1 follows db2")
    manager = start(lab)
    assert {server["name"]: server["role"] for server in manager.status()["servers"]} == {
        "db1": "primary", "db2": "co_primary", "db3": "replica"}
    with Writer(lab) as writer:
        for there, other in (("db2", "db1"), ("db1", "db2")):
            switch(manager, "--to", there)
            assert sources(lab) == {there: other, other: there, "db3": there}
            assert only_writable(lab) == [there]
            assert manager.wait_health("ok")["primary"] == there
            writer.wait_acknowledged(10, PATIENCE)
        everywhere(lab, writer)
    switch(manager, "--to", "db2", "--no-demote")
    assert sources(lab) == {"db1": None, "db2": None, "db3": "db2"}, manager.report()["text"]
    assert only_writable(lab) == ["db2"] and states(manager.report())["db1"] == "detached"
