"""An account of SSH that is not root: what etc/sudoers.example lets it run and what its group lets it read is enough for all
that is done on hosts, and without it nothing is claimed."""

import os

import pytest

from labkit import Writer
from manager import PATIENCE, Manager, rungs
from test_check import check
from test_purge import fill, relay_logs
from test_rejoin import back, rejoin
from test_rescue import all_applied, equal_to_the_dead, last_writer, proved, write_mixed

pytestmark = [pytest.mark.modes("gtid"), pytest.mark.lab(ssh_user="mhad")]


@pytest.mark.also("mariadb11")
def test_all(lab):
    """Checks, a purge, the address, a dead primary, what only its disk has, and that it comes back."""
    fill(lab)
    manager = Manager.start(lab)
    assert check(manager, "ssh", status=0) == {}
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
        done = manager.order("purge-relay-logs", manager.cluster.name)
        assert done.returncode == 0, done.stdout + done.stderr
        for replica in lab.replicas:
            assert sum(relay_logs(replica).values()) < 4000000, f"{replica.name}: {relay_logs(replica)}\n{done.stdout}"
        for there in ("db2", "db1"):
            done = manager.order("switch", manager.cluster.name, "--to", there, "--yes")
            assert done.returncode == 0, done.stdout + done.stderr
            assert lab.address in lab[there].host.addresses()
            assert "the network was told by arping" in done.stdout, done.stdout
            manager.wait_health("ok")
    all_applied(lab)
    last = manager.status()["last_run"]["run"]
    for replica in lab.replicas:
        replica.stop_io()
    write_mixed(lab, lab.primary, rounds=1, big=False)
    with last_writer(lab) as writer:
        lab.primary.kill()
        report = manager.wait_run(after=last)
        writer.stop()
    assert rungs(report)["process"] and rungs(report)["address"], report["text"]
    proved(report, lab)
    manager.well()
    assert not lab["db1"].running()
    equal_to_the_dead(lab)
    lab["db1"].stop()
    lab["db1"].host.heal()
    back(lab, manager)
    status, report, said = rejoin(manager)
    assert status == 0, said + report["text"]


@pytest.mark.flavours("mariadb")
@pytest.mark.lab(ssh_user="mhad", systemd=["db1"], replicas=1)
def test_unit(lab):
    """Where systemd runs the database, it is asked, over D-Bus as by anybody who is not root, and told to kill it."""
    system = lab.host("db1").system
    for name in ("dbus.service", "dbus.socket"):
        path = f"{system.root()}/etc/systemd/system/{name}"
        if os.path.islink(path):
            os.unlink(path)
    system.ctl("daemon-reload")
    system.ctl("start", "dbus.socket", "dbus.service")
    manager = Manager.start(lab)
    assert {key[1] for key in check(manager, "ssh")} <= {"db2"}  # there is no systemd
    lab["db1"].freeze()
    report = manager.wait_run()
    assert rungs(report)["process"] and rungs(report)["address"], report["text"]
    assert system.show("mariadb", "ActiveState") in ("inactive", "failed")
    manager.well()


@pytest.mark.flavours("mariadb")
@pytest.mark.lab(ssh_user="mhad", replicas=1)
def test_forbidden(lab):
    """Each line that sudoers lacks is named, and what nobody could look at or do is not taken for done."""
    with open(f"{lab.folder}/etc/sudoers", "r+", encoding="utf-8") as file:  # the file that the hosts see
        file.truncate()
    manager = Manager.start(lab, fence={"command": None})
    found = check(manager, "ssh", status=1)
    assert "ss -Hltnp" in found["ssh_rights", "db1"]
    assert "ip addr" in found["ssh_address", "db2"] and "arping" in found["ssh_announcement", "db2"]
    lab["db1"].freeze()
    report = manager.wait_run("aborted")
    assert "somebody listens on the port, and the account of SSH may not see who" in report["text"], report["text"]
    assert lab["db1"].running() and lab.address in lab["db1"].host.addresses()
    assert not lab["db2"].writable() and lab.address not in lab["db2"].host.addresses()
