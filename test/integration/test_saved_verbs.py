"""mhactl rescue: what is saved is shown, a server's log is saved on demand and copied out, and old logs are removed."""

import hashlib
import json
import os
import subprocess
import time

import pytest

from labkit import folder
from labkit.host import BUILD
from labkit.process import until
from manager import PATIENCE, Manager
from test_feed import logs, write_mixed

TOOL = {"mariadb": "mariadb-binlog", "mysql56": "mariadb-binlog", "mysql9": "mysqlbinlog"}


def ask(manager, *arguments):
    done = manager.order("rescue", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one(manager, run):
    return ask(manager, "show", "app1", run)["rescues"][0]


def stopped_and_ahead(lab):
    """Something in the primary's log that no replica has, and where that begins."""
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == lab.primary.position(), PATIENCE, "applied")
        replica.stop_io()
    begin = lab.primary.position()
    write_mixed(lab, lab.primary, rounds=1, big=False)
    return begin


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


@pytest.mark.lab(replicas=1)
def test_fetch(lab):
    """The tail that no replica has is saved, shown, copied out, and can be read by the server's own tool."""
    manager = Manager.start(lab)
    assert "no logs are saved" in manager.order("rescue", "show").stdout
    begin = stopped_and_ahead(lab)
    output = f"{lab.mgr.folder}/out"
    done = manager.order("rescue", "fetch", "app1", "db1", "--output", output)
    assert done.returncode == 0, (done.stdout, done.stderr, lab.mhad_log_tail())
    rescue = ask(manager, "show")["rescues"][0]
    assert rescue["state"] == "complete" and "ordered by" in rescue["why"] and "files" not in rescue, rescue
    rescue = one(manager, rescue["run"])
    first, last = rescue["files"][0], rescue["files"][-1]
    assert (first["file"], first["from"]) == begin and all(file["verified"] for file in rescue["files"]), rescue
    assert rescue["holds"]["last"] == f"{last['file']}:{last['to']}" and rescue["holds"]["n_transactions"] > 5, rescue
    assert rescue["holds"]["complete"] and not rescue["holds"]["torn"] and not rescue["holds"]["holes"], rescue
    assert rescue["ranges"][0] == {"server": "db1", "file": begin[0], "from": begin[1], "to": first["to"]}, rescue
    assert bool(rescue["holds"].get("gtids")) == (lab.mode == "gtid" or lab.primary.flavour.like == "mariadb"), rescue
    text = manager.order("rescue", "show", "app1", rescue["run"]).stdout
    for word in (rescue["run"], first["name"], "verified", f"{begin[0]}:{begin[1]} - ", "Transactions"):
        assert word in text, text
    # What was copied out is what the host has, behind a head that makes a log of it.
    copy = f"{output}/{first['name']}"
    with open(copy, "rb") as file:
        copied = file.read()
    with open(f"{lab.primary.data}/{begin[0]}", "rb") as file:
        there = file.read()[begin[1]:]
    assert copied.endswith(there) and copied.startswith(b"\xfebin") and len(copied) < len(there) + 600
    program = next((path for path in lab.primary.flavour.command() if path), None)
    tool = f"{os.path.dirname(program)}/{TOOL[lab.primary.flavour.like]}"
    if not os.path.exists(tool):
        tool = folder.program(TOOL[lab.primary.flavour.like], os.path.dirname(program) + "/../bin", "/usr/bin")
    listing = lab.mgr.run(tool, "--no-defaults", copy).stdout
    assert f"end_log_pos {first['to']}" in listing, listing[-2000:]
    # Once more into the same place, into one of its own, and one that was damaged since.
    again = manager.order("rescue", "copy", "app1", rescue["run"], output)
    assert again.returncode == 1 and "File exists" in again.stderr, again
    assert manager.order("rescue", "copy", "app1", rescue["run"], f"{output}2").returncode == 0
    assert digest(f"{output}2/{first['name']}") == digest(copy)
    with open(f"{rescue['directory']}/{first['name']}", "r+b") as file:
        file.seek(60)
        file.write(b"x")
    bad = manager.order("rescue", "copy", "app1", rescue["run"], f"{output}3")
    assert bad.returncode == 1 and "is not what was saved" in bad.stderr, bad
    assert not os.path.exists(f"{output}3/{first['name']}")


@pytest.mark.flavours("mariadb")
@pytest.mark.lab(replicas=2)
def test_beside_a_failover(lab):
    """The primary dies while its whole log is being saved: the failover saves its own part, and neither waits."""
    manager = Manager.start(lab)
    row = "INSERT INTO app.filler (b) VALUES (REPEAT(MD5(RAND()), 32768))"
    lab.primary.sql("SET SESSION binlog_format = 'ROW'",
                    "CREATE TABLE app.filler (id INT PRIMARY KEY AUTO_INCREMENT, b LONGBLOB)", *[row] * 200, timeout=PATIENCE)
    stopped_and_ahead(lab)
    first = logs(lab.primary)[0]
    fetching = lab.mgr.popen([f"{BUILD}/client/mhactl", "rescue", "fetch", "app1", "db1", "--from", first, "--json"],
                             stdout=subprocess.PIPE, text=True)
    run = until(lambda: ask(manager, "show", "app1")["rescues"], PATIENCE, "a beginning")[0]["run"]
    lab.primary.kill()
    report = manager.wait_run()
    assert report["loss"]["verdict"] == "none", report["text"]
    saved, error = fetching.communicate(timeout=PATIENCE)
    assert fetching.returncode == 0, (saved, error, lab.mhad_log_tail())
    rescues = {rescue["run"]: rescue for rescue in ask(manager, "show", "app1")["rescues"]}
    assert rescues[run]["bytes"] > 200_000_000 and rescues[report["run"]]["bytes"] < 10_000_000, rescues
    assert all(rescue["state"] == "complete" for rescue in rescues.values()), rescues
    assert json.loads(saved)["rescues"][0]["holds"]["complete"], saved


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_refusals(lab):
    """What cannot be done is said, with what to do instead."""
    manager = Manager.start(lab)
    stopped_and_ahead(lab)

    def refused(*arguments):
        done = manager.order("rescue", *arguments)
        assert done.returncode == 1, done
        return done.stderr

    assert 'there is no server "db9"' in refused("fetch", "app1", "db9")
    assert "say --from FILE" in refused("fetch", "app1", "db2")
    assert "there is nothing from binlog.000900:0 on: its binary logs are " in refused(
        "fetch", "app1", "db1", "--from", "binlog.000900")
    assert "a position is FILE or FILE:OFFSET" in refused("fetch", "app1", "db1", "--from", "binlog.000001:x")
    assert "there is nothing saved by a run nothing" in refused("show", "app1", "nothing")
    assert manager.order("rescue", "show", "app1", "--output", "/x").returncode == 2
    # A position inside an event: that is copied, and cannot be read.
    first = logs(lab.primary)[0]
    done = manager.order("rescue", "fetch", "app1", "db1", "--from", f"{first}:300", "--to", first)
    assert f"{first} of db1: at 300 " in done.stdout + done.stderr, done
    # A part, and the whole.
    assert manager.order("rescue", "fetch", "app1", "db1", "--from", first, "--to", first).returncode == 0
    rescue = one(manager, ask(manager, "show", "app1")["rescues"][0]["run"])
    assert len(rescue["files"]) == 1 and rescue["files"][0]["from"] == 0, rescue
    # Not for everybody.
    path = f"{lab.mgr.folder}/out"
    done = lab.mgr.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"{BUILD}/client/mhactl", "rescue",
                       "copy", "app1", rescue["run"], path, check=False)
    assert done.returncode != 0 and ("run this as root" in done.stderr or "Permission denied" in done.stderr), done
    # The host is gone.
    lab.primary.host.cut()
    assert "cannot be listed" in refused("fetch", "app1", "db1", "--from", first)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_removal(lab):
    """The oldest go first, by age and by size; what is held, what was lost last and what is mounted stays."""
    rescues = f"{lab.mhad_state}/app1/rescue"

    def make(run, days, size=1000, loss=None):
        os.makedirs(f"{rescues}/{run}/db1")
        folder.write(f"{rescues}/{run}/db1/binlog.000001", "x" * size)
        folder.write(f"{rescues}/{run}/saved.json", "{}")
        when = time.time() - days * 86400
        os.utime(f"{rescues}/{run}/saved.json", (when, when))
        if loss:
            os.makedirs(f"{lab.mhad_state}/app1/reports", exist_ok=True)
            folder.write(f"{lab.mhad_state}/app1/reports/{run}.json",
                         json.dumps({"procedure": "failover", "loss": {"verdict": loss}}))

    make("r1old", 40)
    make("r2lost", 39, loss="lost")
    make("r3lost", 38, loss="lost")
    make("r4none", 37, loss="none")
    make("r5large", 5, size=3_000_000)
    make("r6large", 4, size=3_000_000)
    make("r7mounted", 50)
    make("r8new", 1)
    os.makedirs(f"{rescues}/.removing-r0/db1")
    os.symlink("/etc/hostname", f"{rescues}/r1old/db1/link")
    lab.mgr.run("mount", "-t", "tmpfs", "none", f"{rescues}/r7mounted/db1")
    try:
        lab.mgr.run("touch", f"{rescues}/r7mounted/db1/mounted")
        manager = Manager.start(lab, rescue={"keep_age": "30d", "keep_bytes": "4MiB"})
        until(lambda: not os.path.exists(f"{rescues}/r1old"), PATIENCE, "the oldest removed")
        until(lambda: not os.path.exists(f"{rescues}/r5large"), PATIENCE, "the oldest that make it too large removed")
        until(lambda: manager.events("warning"), PATIENCE, "told of what cannot be removed")
        assert sorted(os.listdir(rescues)) == ["r3lost", "r6large", "r7mounted", "r8new"], os.listdir(rescues)
        lab.mgr.run("test", "-e", f"{rescues}/r7mounted/db1/mounted")
        assert os.path.exists(f"{rescues}/r7mounted/db1/binlog.000001") and os.path.exists("/etc/hostname")
        assert any("is left alone" in event["text"] for event in manager.events("warning"))
        removed = {event["run"]: event["text"] for event in manager.events("rescue-removed")}
        assert set(removed) == {"r1old", "r2lost", "r4none", "r5large"}, removed
        assert "keep_age" in removed["r1old"] and "keep_bytes" in removed["r5large"], removed
        listed = {rescue["run"]: rescue for rescue in ask(manager, "show", "app1")["rescues"]}
        assert listed["r3lost"]["loss"] == "lost" and listed["r6large"]["bytes"] > 3_000_000, listed
        assert "something was lost" in manager.order("rescue", "show").stdout
        strange = {"sources": [{"server": "../x", "files": [{}]}, {"server": "a", "files": [{"file": "../b"}]}]}
        for note in ("{", "[" * 990 + "]" * 990, json.dumps(strange)):
            for name in ("saved.json", "index.json"):
                folder.write(f"{rescues}/r8new/{name}", note)
            rescue = one(manager, "r8new")
            assert rescue["state"] in ("partial", "complete") and not rescue["files"] and "holds" not in rescue, rescue
    finally:
        lab.mgr.run("umount", f"{rescues}/r7mounted/db1")
