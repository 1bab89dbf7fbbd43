"""Networks and hosts that are not the usual ones: IPv6, several servers on a host, several clusters on the same hosts, a
network of its own for SSH."""

import pytest
from labkit import Writer, folder
from labkit.check import canonical
from labkit.process import until
from manager import PATIENCE, Manager, rungs, states, steps
from test_failover import level, load, told_well
from test_switchover import switch

def acknowledge(manager):
    done = manager.order("acknowledge", manager.cluster.name)
    assert done.returncode == 0, done.stderr


def rejoin(manager, name):
    """A former primary that was started again is attached, as an operator would."""
    manager.lab[name].start()
    manager.wait(lambda status: manager.server(name)["evidence"] == "alive", f"{name} answers")
    until(lambda: not manager.lab[name].writable(), PATIENCE, f"{name} is read-only")
    done = manager.order("rejoin", manager.cluster.name, name)
    assert done.returncode == 0, done.stderr
    manager.wait_health("ok")


# IPv6


def test_ipv6(make_lab, flavour):
    """A cluster without IPv4: the primary dies with a tail that only its host has, is attached again, and gets its role
    back. db2 is called otherwise than replicas call it, db3 has a name with an IPv4 address where nobody is."""
    lab = make_lab(flavour=flavour, mode="gtid" if flavour.startswith("mysql") else "position", ipv6=True)
    spelled = lab["db2"].ip.replace("::", ":0:0:0:0:")
    manager = Manager.start(lab, servers={"db2": {"host": spelled}, "db3": {"host": "db3-both"}})
    assert manager.order("check", "app1").returncode == 0, manager.order("check", "app1").stdout
    assert manager.order("check", "replication", "app1").returncode == 0
    for replica in lab.replicas:
        replica.stop_io()
    writer = load(lab, 100)
    for replica in lab.replicas:
        assert writer.missing_on(replica)
    lab["db1"].kill()
    report = told_well(manager.wait_run())
    assert rungs(report) == {"address": True, "process": True, "witnesses": True}
    primary = manager.well([], complete=True)
    assert not writer.missing_on(primary) and report["loss"]["verdict"] == "none", report["text"]

    rejoin(manager, "db1")
    assert canonical(lab["db1"].status()["source"]) in primary.host.names()
    with Writer(lab) as writer:
        switch(manager, "--to", "db1")
        manager.wait_health("ok")
        well_again(manager, "db1", writer)
    acknowledge(manager)


def well_again(manager, primary, *writers):
    """After a switchover: no server is dead, nothing is missing."""
    for writer in writers:
        writer.wait_acknowledged(10, PATIENCE)
    assert manager.well(writers, dead=(), complete=True).name == primary


# Several servers on one host


def answers(server):
    """The process that it is, for as long as it is the same one."""
    process, = server.processes()
    return process.pid


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("position")
@pytest.mark.lab(hosts=2, replicas=3)
def test_neighbour_takes_over(lab):
    """db1 and db3 are on one host. Its pid file names db3's process, as after a reboot it may: db3 is not ended with db1, but
    takes its place, there; and the address stays on that host when db1 has its role again."""
    manager = Manager.start(lab, servers={"db3": {"promotion": "prefer"}})
    db1, db3 = lab["db1"], lab["db3"]
    assert db1.host is db3.host and db1.port != db3.port
    pids = {server.name: answers(server) for server in lab.replicas}
    for replica in lab.replicas:
        replica.stop_io()
    writer = load(lab, 100)
    with open(f"{db3.data}/mysqld.pid", encoding="utf-8") as file:
        folder.write(f"{db1.data}/mysqld.pid", file.read())
    db1.freeze()
    report = told_well(manager.wait_run(), new="db3")
    assert rungs(report) == {"address": True, "process": True, "witnesses": True}
    assert not db1.running(), "a frozen process that wakes up would be a second primary"
    assert {server.name: answers(server) for server in lab.replicas} == pids
    assert not writer.missing_on(manager.well([], complete=True))
    assert db3.host.addresses() == [db3.ip, lab.address]

    rejoin(manager, "db1")
    assert lab.address in db3.host.addresses(), "the address is the new primary's, on the same host"
    with Writer(lab) as writer:
        switch(manager, "--to", "db1")
        well_again(manager, "db1", writer)
    assert steps(manager.report())["take-address"]["state"] == "skipped", manager.report()["text"]


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(hosts=2, replicas=3)
def test_host_of_two_cut_off(lab):
    """db1 and db3 vanish together: db3 is no witness of its own, and the verdict does not wait for it."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].host.cut()
        report = told_well(manager.wait_run(), row=("D4",))
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer], dead=("db1", "db3"))
    assert states(report)["db3"] in ("left out", "not attached")
    lab["db1"].host.heal()
    until(lambda: not lab["db1"].writable() and lab.address not in lab["db1"].host.addresses(), PATIENCE, "db1 fenced")
    assert not lab["db3"].writable()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(hosts=2, replicas=3, supervised=200)
def test_stop_command_of_one(lab):
    """fence.command is told which of the servers is meant."""
    manager = Manager.start(lab, fence={"timeout": "20s"})
    pids = {server.name: answers(server) for server in lab.replicas}
    lab["db1"].freeze()
    report = told_well(manager.wait_run())
    assert rungs(report)["process"] and not lab["db1"].running()
    assert {server.name: answers(server) for server in lab.replicas} == pids
    manager.well()


# Clusters that share hosts


@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("gtid")
@pytest.mark.lab(hosts=3, clusters=2)
def test_clusters_share_hosts(lab):
    """One fails over: the other notices nothing. Then the host with both primaries dies: both fail over."""
    one = Manager.start(lab, failover={"storm_limit": 2})
    two = Manager(lab, lab.clusters[1])
    db1, db4 = lab["db1"], lab["db4"]
    assert db1.host is db4.host and one.cluster.address != two.cluster.address
    pids = {server.name: answers(server) for server in two.cluster.servers}
    with Writer(lab) as first, Writer(lab, two.cluster) as second:
        db1.kill()
        report = told_well(one.wait_run())
        first.wait_elsewhere(PATIENCE)
        assert rungs(report)["process"] and rungs(report)["address"]
        two.untouched(1)
        assert {server.name: answers(server) for server in two.cluster.servers} == pids
        assert two.cluster.address in db4.host.addresses() and one.cluster.address not in db4.host.addresses()
        rejoin(one, "db1")
        switch(one, "--to", "db1")
        assert not second.account().errors, second.account().error_kinds
        acknowledge(one)
        last = one.history()[-1]["run"] if one.history() else None
        before = {one.report()["run"], last}

        db1.host.power_off()
        for manager, writer, dead in ((one, first, "db1"), (two, second, "db4")):
            manager.wait(lambda status: status.get("last_run", {}).get("run") not in before
                         and status["state"] == "steady", "the end of a run")
            assert manager.report()["outcome"] == "completed" and manager.report()["old_primary"] == dead
            writer.wait_acknowledged(20, PATIENCE)
        one.well([first], dead=("db1",))
        two.well([second], dead=("db4",))
        db1.host.power_on()
        until(lambda: not db1.writable() and not db4.writable(), PATIENCE, "both are fenced")
    until(lambda: db1.host.addresses() == [db1.ip], PATIENCE, "no address is left there")


# SSH has a network of its own


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
@pytest.mark.lab(management=True)
def test_network_for_ssh(lab):
    """The primary's way to the clients breaks, SSH to its host does not: its process is ended, its log saved."""
    manager = Manager.start(lab)
    assert manager.order("check", "app1").returncode == 0, manager.order("check", "app1").stdout
    for replica in lab.replicas:
        replica.stop_io()
    kept = load(lab, 100)
    with Writer(lab) as writer:
        for replica in lab.replicas:
            replica.start_io()
        for replica in lab.replicas:
            level(replica, lab.primary)
        lab.switch.cut("db1")
        lab.note_fault("the network of the clients is cut off from db1")
        report = told_well(manager.wait_run())
        writer.wait_elsewhere(PATIENCE)
        assert rungs(report) == {"address": True, "process": True, "witnesses": True}
        primary = manager.well([writer], complete=True)
    assert not kept.missing_on(primary) and report["loss"]["verdict"] == "none", report["text"]
    assert {replica.status()["source"] for replica in lab.replicas if replica is not primary} == {primary.ip}
    lab.switch.heal("db1")
    assert not lab["db1"].running()
    rejoin(manager, "db1")
    with Writer(lab) as writer:
        switch(manager, "--to", "db1")
        well_again(manager, "db1", writer)
