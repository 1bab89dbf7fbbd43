"""What scripts order and ask about saved logs (daemon/exec/rescue.h), carried out by the driver rescue-drive: copies from a
dead primary's host or from replicas' relay logs, the index, and feeds out of them."""

import json
import os
import queue
import subprocess
import threading

import pytest

from labkit import compare, folder
from labkit.host import BUILD
from labkit.process import until
from test_feed import PATIENCE, USER, logs, still, write_mixed


class Drive:
    """rescue-drive in the host mgr."""

    def __init__(self, lab, server=None, **config):
        self.lab = lab
        self.tag = "run-1"
        config = {"servers": [{"name": each.name, "host": each.ip, "port": 3306, "ssh_user": "root", **(server or {})}
                              for each in lab.servers],
                  "identity": f"{lab.folder}/ssh_key", "directory": f"{lab.mgr.folder}/rescue", "sql_user": "mhad",
                  "sql_password": "mhad-pw", **config}
        path = f"{lab.mgr.folder}/drive.json"
        folder.write(path, json.dumps(config))
        environment = {name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ}
        self.process = lab.mgr.popen([f"{BUILD}/test/unit/rescue-drive", path], environment, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def run(self, server, *items, may_fail=False):
        """The replies to a script."""
        self.process.stdin.write(json.dumps({"server": server, "tag": self.tag, "script": items}) + "\n")
        self.process.stdin.flush()
        line = self.lines.get(timeout=PATIENCE)
        assert line is not None, "rescue-drive ended"
        replies = json.loads(line)
        assert may_fail or all("failure" not in reply for reply in replies), replies
        return replies

    def rescue(self, verb, may_fail=False, **values):
        reply = self.run(None, {"rescue": verb, "input": values}, may_fail=may_fail)[0]
        return reply if "failure" in reply else json.loads(reply["out"])

    def sql(self, server, *statements):
        self.run(server, *({"sql": statement} for statement in statements))

    def collected(self, server, questions=()):
        """What there is when a copy has ended and everything is indexed."""
        last = {}

        def ended():
            last.update(self.rescue("look", questions=list(questions)))
            source = last["sources"][server]
            return source["state"] in ("done", "failed") and (not questions or "answers" in last)

        until(ended, PATIENCE, f"logs of {server} saved")
        return last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


def listing(server, position=None):
    """All binary logs of a server from a position on, as an order has them."""
    names = logs(server)
    if position:
        names = names[names.index(position[0]):]
    return [{"file": name, "path": f"{server.data}/{name}", "from": position[1] if position and i == 0 else 0,
             "to": os.path.getsize(f"{server.data}/{name}")} for i, name in enumerate(names)]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def text(position):
    return f"{position[0]}:{position[1]}"


def feed_order(replica, position=None):
    return {"server": replica.name, "version": replica.value("SELECT @@version"), "server_id": replica.id,
            "gtid_mode": replica.mode == "gtid", "expected": text(position) if position and replica.mode == "position" else ""}


def point(drive, replica, feed):
    """As test_feed.point(), with the password that only the driver knows."""
    still(replica)
    status = replica.status()
    role = replica.word("Source").upper()
    new = role == "SOURCE"
    words = [f"{role}_HOST='{feed['host']}', {role}_PORT={feed['port']}, {role}_USER='{USER}', "
             f"{role}_PASSWORD=${{feed_password}}, {role}_SSL=0, {role}_CONNECT_RETRY=1"]
    if replica.mode == "position":
        file, offset = status["read" if new else "executed"]
        words.append(f"{role}_LOG_FILE='{file}', {role}_LOG_POS={offset}")
    drive.sql(replica.name, *([] if new else [replica.word("stop")]), f"{replica.word('change')} {', '.join(words)}",
              f"{replica.word('start')} IO_THREAD" if new else replica.word("start"))


def wait_fed(drive, replica):
    def level():
        feed = drive.rescue("look")["feeds"][replica.name]
        assert feed["state"] != "failed", feed
        status = replica.status()
        assert not status["sql_error"], status["sql_error"]
        return feed["state"] == "level" and text(status["executed"]) == feed["end"]

    until(level, PATIENCE, f"{replica.name} level")


def open_feed(drive, replica, position=None):
    feed = drive.rescue("feed", **feed_order(replica, position))["feeds"][replica.name]

    def is_open():
        feed.update(drive.rescue("look")["feeds"][replica.name])
        return feed["port"] or feed.get("failure")

    until(is_open, PATIENCE, "way open")
    assert feed["port"], feed
    return feed


def write_and_kill(lab):
    primary = lab.primary
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == primary.position(), PATIENCE, "applied")
        replica.stop_io()
    write_mixed(lab, primary, rounds=2, big=False)
    primary.kill()
    until(lambda: not primary.running(), PATIENCE, "dead")


@pytest.mark.lab(replicas=2)
def test_from_the_old_primary(lab):
    """The part of its logs that is missing is copied, understood, and brings replicas to the end; another process finds it."""
    write_and_kill(lab)
    primary, (db2, db3) = lab.primary, lab.replicas
    positions = {replica.name: replica.status()["executed"] for replica in (db2, db3)}
    files = listing(primary, positions["db2"])
    order = {"server": "db1", "kind": "binlog", "files": files, "borders": [text(positions["db2"])]}
    question = {"name": "db2", "from": text(positions["db2"])}
    with Drive(lab) as drive:
        drive.rescue("collect", **order)
        drive.rescue("collect", **order)
        found = drive.collected("db1", [question])
        source, answer = found["sources"]["db1"], found["answers"]["db2"]
        assert source["state"] == "done" and source["verified"], found
        assert answer["complete"] and answer["end"] == f"{files[-1]['file']}:{files[-1]['to']}" == answer["last"], found
        assert answer["n_transactions"] > 10 and answer["bytes"] == sum(f["to"] - (f["from"] or 4) for f in files), (found, files)
        assert not found.get("differ"), found
        point(drive, db2, open_feed(drive, db2, positions["db2"]))
        wait_fed(drive, db2)
        db2.stop_io()
        assert "db2" not in drive.rescue("unfeed", server="db2")["feeds"]
    index = f"{lab.mgr.folder}/rescue/run-1/index.json"
    until(lambda: os.path.exists(index), PATIENCE, "index written")
    # Not even read are the copies when nothing says that they are others.
    copy = f"{lab.mgr.folder}/rescue/run-1/db1/{files[0]['file']}@{files[0]['from']}"
    with open(copy, "r+b") as saved:
        good = saved.read()
        saved.seek(0)
        saved.write(bytes(len(good)))
    with Drive(lab) as drive:
        assert drive.collected("db1", [question])["answers"]["db2"] == answer
    damaged = json.loads(read(index))
    damaged["ranges"]["spans"][0]["source"] = 7
    folder.write(index, json.dumps(damaged))
    with Drive(lab) as drive:
        source = drive.collected("db1")["sources"]["db1"]
        assert f"{files[0]['file']} of db1: at " in (source.get("failure") or source["damage"]), source
    with open(copy, "r+b") as saved:
        saved.write(good)
    os.unlink(index)
    with Drive(lab) as drive:  # finds everything again, and copies nothing
        found = drive.collected("db1", [question]) if drive.rescue("look")["sources"] else {}
        assert found["answers"]["db2"] == answer, found
        point(drive, db3, open_feed(drive, db3, positions["db3"]))
        wait_fed(drive, db3)
        db3.stop_io()
    compare(lab.replicas)


@pytest.mark.lab(replicas=2)
def test_from_relay_logs(lab):
    """The primary's host is gone: what one replica has received feeds the other."""
    primary, (db2, db3) = lab.primary, lab.replicas
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == primary.position(), PATIENCE, "applied")
    db2.stop_io()
    db3.stop_sql()
    before = db2.status()["executed"]
    write_mixed(lab, primary, rounds=2, big=False)
    ends = [None]

    def quiet():  # the writer's temporary tables are dropped, and that is logged, some time after it has gone
        ends.append(primary.position())
        return ends[-1] == ends[-2]

    until(quiet, PATIENCE, "nothing more is logged", 0.5)
    end = ends[-1]
    until(lambda: db3.status()["read"] == end, PATIENCE, "received")
    primary.host.power_off()
    with open(f"{db3.data}/relay.index", encoding="utf-8") as index:
        names = [os.path.basename(line.strip()) for line in index if line.strip()]
    files = [{"file": name, "path": f"{db3.data}/{name}", "from": 0, "to": os.path.getsize(f"{db3.data}/{name}")}
             for name in names]
    question = {"name": "db2", "from": text(before)}
    with Drive(lab) as drive:
        # The newest first, as long as something is missing.
        for i in range(len(files) - 1, -1, -1):
            drive.rescue("collect", server="db3", kind="relay", own_id=db3.id, start="", files=files[i:],
                         borders=[text(before)])
            found = drive.collected("db3", [question])
            if found["answers"]["db2"]["complete"] and found["answers"]["db2"]["end"]:
                break
        answer = found["answers"]["db2"]
        assert answer["complete"] and answer["end"] == text(end), found
        point(drive, db2, open_feed(drive, db2, before))
        wait_fed(drive, db2)
        db2.stop_io()
    db3.start_sql()
    compare(lab.replicas)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_what_goes_wrong(lab):
    """A file that is not there, one that is no log, a server that does not exist: each is said, and nothing else is lost."""
    primary = lab.primary
    with Drive(lab) as drive:
        reply = drive.rescue("collect", may_fail=True, server="../x", kind="binlog", files=[])
        assert "named" in reply["failure"], reply
        reply = drive.rescue("collect", may_fail=True, server="db1", kind="binlog", files=[{"file": "../b.1", "path": "/etc/passwd"}])
        assert "no file to be copied" in reply["failure"], reply
        assert "knows" not in drive.rescue("burn", may_fail=True).get("out", "")
        drive.rescue("collect", server="nobody", kind="binlog", files=listing(primary))
        source = drive.collected("nobody")["sources"]["nobody"]
        assert source["state"] == "failed" and "no server nobody" in source["failure"], source
        gone = [{"file": "binlog.999999", "path": f"{primary.data}/binlog.999999", "from": 0, "to": 100}]
        drive.rescue("collect", server="db1", kind="binlog", files=listing(primary) + gone)
        source = drive.collected("db1")["sources"]["db1"]
        assert source["state"] == "failed" and source["end"] == "no-file" and "binlog.999999" in source["failure"], source
        folder.write(f"{lab.folder}/noise", "this is no log" * 100)
        noise = [{"file": "relay.000001", "path": f"{lab.folder}/noise", "from": 0, "to": 100}]
        drive.rescue("collect", server="db2", kind="relay", own_id=2, files=noise)
        source = drive.collected("db2")["sources"]["db2"]
        assert source["state"] == "failed" and source["failure"], source
        reply = drive.rescue("feed", may_fail=True, server="db2", version="10.11.6-MariaDB", server_id=2, expected="binlog.000777:4")
        assert "nothing is saved" in reply["failure"], reply


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_one_is_left_out(lab):
    """A log that its host could not look at, between two that crashes ended, is missed."""
    primary = lab.primary
    for i in range(2):
        primary.sql(f"CREATE TABLE app.turn{i} (id INT)")
        primary.kill()
        until(lambda: not primary.running(), PATIENCE, "dead")
        primary.start()
    files = listing(primary)
    question = {"name": "db2", "from": f"{files[0]['file']}:4"}
    assert len(files) == 3
    with Drive(lab) as drive:
        drive.rescue("collect", server="db1", kind="binlog", files=[files[0], files[2]])
        answer = drive.collected("db1", [question])["answers"]["db2"]
        assert not answer["complete"] and "files between" in answer["holes"][0], answer
        drive.rescue("collect", server="db1", kind="binlog", files=files)
        until(lambda: drive.collected("db1", [question])["answers"]["db2"]["complete"], PATIENCE, "complete")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_two_differ(lab):
    """What two servers tell of one place and is not the same is said, by the next process too."""
    with Drive(lab) as drive:
        for server in lab.servers:
            drive.rescue("collect", server=server.name, kind="binlog", files=listing(server))
            found = drive.collected(server.name, [{"name": "x", "from": ""}])
        assert found["differ"][0].startswith("db1 and db2 differ: binlog.000001:4 "), found
        until(lambda: not drive.rescue("look")["writing"], PATIENCE, "index written")
    with Drive(lab) as drive:
        assert drive.collected("db1", [{"name": "x", "from": ""}])["differ"] == found["differ"]
