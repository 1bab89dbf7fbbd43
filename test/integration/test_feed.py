"""Dead primaries stood in for: replicas that lack the tail are fed out of the primary's own files, by the driver feed-serve.

The order in which a replica is pointed at the feed is the safe one: it goes on behind what it has executed, or, where
relay logs are kept (MySQL 9.x with its applier running), behind what it has received.
"""

import contextlib
import json
import os
import queue
import secrets
import shutil
import subprocess
import sys
import threading
import time
import zlib

import pymysql
import pytest

from labkit import compare, folder
from labkit.host import BUILD
from labkit.process import until

PATIENCE = 60
USER = "mhad_feed"
UUID = "0badcafe-0000-4000-8000-00000000feed"


class Driver:
    """feed-serve in the host mgr."""

    def __init__(self, lab, feeds, fetches=()):
        path = f"{lab.mgr.folder}/feeds.json"
        config = {"identity": f"{lab.folder}/ssh_key", "feeds": feeds, "fetches": list(fetches)}
        folder.write(path, json.dumps(config))
        environment = {name: os.environ[name] for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS") if name in os.environ}
        self.process = lab.mgr.popen([f"{BUILD}/test/unit/feed-serve", path], environment, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.ports = {}
        self.last = {feed["name"]: {"state": "waiting", "n": 0} for feed in feeds}
        self.history = []
        self.died = None
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def look(self):
        """Take in what the driver has said."""
        while not self.lines.empty():
            line = self.lines.get()
            if line is None:
                self.died = self.died or "it ended"
                continue
            said = json.loads(line)
            self.history.append(said)
            if "died" in said:
                self.died = said
            elif "port" in said:
                self.ports[said["feed"]] = said["port"]
            elif "feed" in said:
                self.last[said["feed"]] = said
        assert not self.died, self.died
        return self.last

    def wait(self, condition, what, timeout=PATIENCE):
        until(lambda: self.look() is not None and condition(), timeout, what)

    def port(self, name):
        self.wait(lambda: name in self.ports, f"port of {name}")
        return self.ports[name]

    def fetched(self):
        return [said for said in self.history if "fetched" in said]

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(20)
        assert status == 0, f"the driver ended with status {status}"

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self.process.kill()


def logs(primary):
    """The primary's own log files, in their order, from its index."""
    with open(f"{primary.data}/binlog.index", encoding="utf-8") as file:
        return [os.path.basename(line.strip()) for line in file if line.strip()]


def pieces(primary, place=None):
    place = place or primary.data
    return [{"file": name, "path": f"{place}/{name}", "offset": 0, "from": 0,
             "to": os.path.getsize(f"{place}/{name}")} for name in logs(primary)]


def end_of(store):
    return f"{store[-1]['file']}:{store[-1]['to']}"


def feed(replica, store, password, end=None, ssh=True, **settings):
    wish = {"name": replica.name, "pieces": store, "end": end or end_of(store), "version": replica.value("SELECT @@version"),
            "user": USER, "password": password, "server_id": 987654, "server_uuid": UUID,
            "gtid_mode": replica.mode == "gtid"}
    wish |= {"ssh": replica.ip} if ssh else {"listen": f"{replica.ip.rsplit('.', 1)[0]}.250", "from": replica.ip}
    return {**wish, **settings}


def still(replica):
    """Wait until the applier has nothing more to do."""
    def done():
        status = replica.status()
        raw = status["raw"]
        state = raw.get("Slave_SQL_Running_State", raw.get("Replica_SQL_Running_State", ""))
        return status["executed"] == status["read"] or "has read all relay log" in state.lower()
    until(done, PATIENCE, f"{replica.name}: applier")


def point(replica, host, port, password):
    """Point a replica, whose receiver is stopped, at a feed."""
    still(replica)
    status = replica.status()
    role = replica.word("Source").upper()
    new = role == "SOURCE"
    words = [f"{role}_HOST='{host}', {role}_PORT={port}, {role}_USER='{USER}', {role}_PASSWORD='{password}', "
             f"{role}_SSL=0, {role}_CONNECT_RETRY=1"]
    if replica.mode == "position":
        file, offset = status["read" if new else "executed"]
        words.append(f"{role}_LOG_FILE='{file}', {role}_LOG_POS={offset}")
    if not new:
        replica.sql(replica.word("stop"), timeout=PATIENCE)
    replica.sql(f"{replica.word('change')} {', '.join(words)}", timeout=PATIENCE)
    replica.sql(f"{replica.word('start')} IO_THREAD" if new else replica.word("start"), timeout=PATIENCE)


def wait_level(driver, replica, timeout=PATIENCE):
    """Everything is sent and applied; the replica stands where the feed says."""
    name = replica.name

    def level():
        state = driver.look()[name]
        assert state["state"] != "failed", state
        status = replica.status()
        assert not status["sql_error"], status["sql_error"]
        if state["state"] != "level":
            return False
        file, offset = status["executed"]
        return f"{file}:{offset}" == state["reached"]

    try:
        until(level, timeout, f"{name} level")
    except Exception:
        print(driver.last[name], replica.status(), file=sys.stderr)
        raise


def connection(server, **options):
    return server.connect(timeout=60, local_infile=True, **options)


def write_mixed(lab, server, rounds=3, big=True):
    """Rows, statements, blobs in both, user variables, LOAD DATA, temporary tables, rotations, a transaction of 5 MB."""
    path = f"{lab.folder}/load.txt"
    server.sql("SET GLOBAL local_infile=1")
    folder.write(path, "".join(f"{i}\tline {i}\n" for i in range(500)))
    wire = connection(server)
    try:
        with wire.cursor() as cursor:
            def run(*statements):
                for statement in statements:
                    cursor.execute(statement)
            run("CREATE DATABASE IF NOT EXISTS mix", "USE mix",
                "CREATE TABLE IF NOT EXISTS rows_ (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(200) CHARACTER SET utf8,"
                " bytes VARBINARY(200), x DOUBLE) ENGINE=InnoDB",
                "CREATE TABLE IF NOT EXISTS old (id INT AUTO_INCREMENT PRIMARY KEY, words LONGBLOB) ENGINE=MyISAM",
                "CREATE TABLE IF NOT EXISTS loaded (n INT, word VARCHAR(100)) ENGINE=InnoDB")
            temporary = server.mode == "position" or server.flavour.like == "mariadb"
            run("SET SESSION binlog_format='STATEMENT'")
            if temporary:
                run("CREATE TEMPORARY TABLE brief (a INT)", "INSERT INTO brief VALUES (1), (2)")
            for turn in range(rounds):
                for words in ("ROW", "STATEMENT"):
                    if not temporary:
                        run(f"SET SESSION binlog_format='{words}'")
                    run("SET @v = 'grüße', @b = 0x00ff27",
                        "INSERT INTO rows_ (word, bytes, x) VALUES (@v, @b, RAND()), ('plain', 'x', NOW()+0)",
                        "BEGIN", "INSERT INTO rows_ (word) VALUES ('kept')", "SAVEPOINT s",
                        "INSERT INTO rows_ (word) VALUES ('dropped')", "ROLLBACK TO s", "COMMIT",
                        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE loaded",
                        "INSERT INTO old (words) VALUES (REPEAT('blob', 75000))")
                if temporary:
                    run("INSERT INTO rows_ (word, x) SELECT 'brief', a FROM brief",
                        f"INSERT INTO brief VALUES ({turn})")
                run(f"CREATE TABLE more{turn}_{secrets.token_hex(3)} (a INT)")
                if turn < rounds - 1:
                    run("FLUSH LOGS")
            if not temporary:
                run("SET SESSION binlog_format='ROW'")
            run("BEGIN", *["INSERT INTO rows_ (bytes) SELECT REPEAT(CHAR(65 + (id % 26)), 200) FROM loaded CROSS JOIN"
                           " (SELECT 1 AS id UNION SELECT 2) AS two" for _ in range(8)], "COMMIT")
    finally:
        wire.close()
    with contextlib.closing(connection(server, database="mix")) as wire, wire.cursor() as cursor:
        for statement in ("SET SESSION binlog_format='ROW'", "INSERT INTO old (words) VALUES (REPEAT(0x00ff270a, 75000))",
                          "INSERT INTO rows_ (word, bytes, x) VALUES ('row', 0x00ff27, RAND())",
                          "UPDATE rows_ SET x = RAND(), word = NULL WHERE id < 50",
                          "UPDATE old SET words = CONCAT(words, 0xff00) ORDER BY id LIMIT 1",
                          "DELETE FROM rows_ WHERE word = 'row'", "COMMIT"):
            cursor.execute(statement)
    if big:  # more than one packet of the protocol
        server.sql("SET GLOBAL max_allowed_packet=67108864")
        server.sql("INSERT INTO mix.old (words) VALUES (REPEAT('0123456789abcdef', 1100000))", timeout=PATIENCE)


def make_tail(lab):
    """A primary whose replicas lack its end, dead: with a clean restart, several files, all kinds of statements."""
    primary = lab.primary
    write_mixed(lab, primary, rounds=2, big=False)
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["read"] == primary.position(), PATIENCE, "received")
        replica.stop_io()
    primary.sql("CREATE TABLE app.tail (id INT PRIMARY KEY)", *[f"INSERT INTO app.tail VALUES ({i})" for i in range(50)])
    primary.restart()
    primary.set_read_only(False)
    write_mixed(lab, primary)
    primary.kill()
    return primary


def show_equal(lab, primary):
    """The old primary, started again where nobody reaches it, has the same data."""
    primary.host.cut()
    primary.start()
    compare([primary, *lab.replicas], timeout=PATIENCE)


@pytest.mark.also("mariadb11")
def test_all_rows_arrive(lab):
    """One replica through a reverse forward, the other by TCP, both at once; then the one follows the other."""
    primary = make_tail(lab)
    assert len(logs(primary)) >= 4
    store = pieces(primary)
    password = secrets.token_urlsafe(20)
    db2, db3 = lab.replicas
    place = f"{lab.mgr.folder}/rescue"
    os.mkdir(place)
    fetches = [{"ssh": primary.ip, "remote": f"/srv/mysql/{name}", "local": f"{place}/{name}"} for name in logs(primary)]
    with Driver(lab, [feed(db2, pieces_at(store, place), password), feed(db3, pieces_at(store, place), password, ssh=False)],
                fetches) as driver:
        ports = [driver.port(replica.name) for replica in lab.replicas]
        assert all(one["fetched"] == "done" and one["verified"] for one in driver.fetched()), driver.fetched()
        point(db2, "127.0.0.1", ports[0], password)
        point(db3, lab.mgr.ip, ports[1], password)
        for replica in (db2, db3):
            wait_level(driver, replica)
        time.sleep(2.5)  # heartbeats hold it
        for name, state in driver.look().items():
            assert state["state"] == "level" and state["logins"] == 1 and state["refused"] == 0, (name, state)
            assert state["holes"] == 0, state
            print(f"{lab.flavour.name} {lab.mode} {name}: {state['sent']} bytes, rss {state['rss_kb']} kB, "
                  f"longest turn {state['longest_ms']:.1f} ms")
        for replica in lab.replicas:
            status = replica.status()
            assert status["io"] == "Yes" and not status["io_error"], status
            replica.stop_io()
        driver.wait(lambda: all(state["state"] == "waiting" for state in driver.last.values()), "disconnected")
    show_equal(lab, primary)
    own = db2.value("SELECT @@server_uuid") if lab.flavour.like != "mariadb" else None
    if own and lab.mode == "gtid":
        assert own not in db2.value("SELECT @@global.gtid_executed"), "an errant transaction"
    primary.kill()
    position = db2.position()
    db2.sql(db2.word("stop"), db2.word("reset_replica"))
    db2.set_read_only(False)
    db3.sql(db3.word("stop"))
    db3.follow(db2, coordinates=position)
    db2.sql("CREATE TABLE app.after (id INT PRIMARY KEY)", "INSERT INTO app.after VALUES (1)")
    until(lambda: db3.sql("SHOW TABLES FROM app LIKE 'after'"), PATIENCE, "db3 follows db2")
    compare(lab.replicas)


def pieces_at(store, place):
    return [{**piece, "path": f"{place}/{piece['file']}"} for piece in store]


@pytest.mark.lab(replicas=1)
def test_refused(lab):
    """A wrong password, and another address than the replica's."""
    primary = lab.primary
    db2, = lab.replicas
    db2.stop_io()
    primary.sql("CREATE TABLE app.tail (id INT PRIMARY KEY)")
    primary.kill()
    password = secrets.token_urlsafe(20)
    with Driver(lab, [feed(db2, pieces(primary), password, ssh=False)]) as driver:
        port = driver.port("db2")
        knock = "import socket, sys; w = socket.create_connection((sys.argv[1], int(sys.argv[2]))); print(w.recv(9))"
        done = lab.client.run("/usr/bin/python3", "-I", "-c", knock, lab.mgr.ip, port)
        assert done.stdout.strip() == "b''"
        driver.wait(lambda: driver.last["db2"].get("refused") == 1, "refused")
        assert lab.client.ip in driver.last["db2"]["failure"]
        point(db2, lab.mgr.ip, port, "wrong")
        until(lambda: "1045" in str(db2.status()["raw"].get("Last_IO_Errno")) or "denied" in db2.status()["io_error"],
              PATIENCE, "denied")
        driver.wait(lambda: "wrong name or password" in driver.last["db2"]["failure"], "told")
        assert driver.last["db2"]["logins"] == 0
        db2.stop_io()
        point(db2, lab.mgr.ip, port, password)
        wait_level(driver, db2)
        db2.stop_io()


@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_hole_is_announced(lab):
    """What is missing is stepped over, and the replica's positions stay exact."""
    primary = lab.primary
    db2, = lab.replicas
    primary.sql("CREATE TABLE app.tail (id INT PRIMARY KEY, word TEXT)")
    until(lambda: db2.status()["executed"] == primary.position(), PATIENCE, "applied")
    db2.stop_io()
    places = [primary.position()]
    for i in range(4):
        primary.sql(f"INSERT INTO app.tail VALUES ({i}, 'word')")
        places.append(primary.position())
    primary.kill()
    file = places[0][0]
    path = f"{primary.data}/{file}"
    parts = [(0, places[1][1]), (places[2][1], places[4][1])]
    store = [{"file": file, "path": path, "offset": start, "from": start, "to": end} for start, end in parts]
    password = secrets.token_urlsafe(20)
    with Driver(lab, [feed(db2, store, password)]) as driver:
        point(db2, "127.0.0.1", driver.port("db2"), password)
        wait_level(driver, db2)
        state = driver.last["db2"]
        assert state["holes"] == 1 and state["reached"] == f"{file}:{places[4][1]}", state
        assert db2.status()["executed"] == places[4] and db2.status()["io"] == "Yes"
        assert [row["id"] for row in db2.sql("SELECT id FROM app.tail ORDER BY id")] == [0, 2, 3]
        db2.stop_io()


@pytest.mark.lab(replicas=1)
def test_cannot_be_fed(lab):
    """A replica that needs what is not there is told so, and stays as it is."""
    primary = lab.primary
    db2, = lab.replicas
    db2.stop_io()
    primary.sql("CREATE TABLE app.lost (id INT)", "FLUSH LOGS", "CREATE TABLE app.tail (id INT)")
    primary.kill()
    store = pieces(primary)[1:]
    password = secrets.token_urlsafe(20)
    with Driver(lab, [feed(db2, store, password)]) as driver:
        point(db2, "127.0.0.1", driver.port("db2"), password)
        driver.wait(lambda: driver.last["db2"]["state"] == "failed", "failed")
        until(lambda: db2.status()["io"] == "No", PATIENCE, "receiver stopped")
        assert "mhad" in db2.status()["io_error"]
        assert not db2.sql("SHOW TABLES FROM app LIKE 'tail'")
        words = driver.last["db2"]["failure"]
        assert ("older than all" if lab.mode == "gtid" else "at hand") in words, words


@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=2)
def test_what_it_has_is_skipped(lab):
    """By GTID a replica is sent only what it lacks, wherever the store begins; and a feed can be ended from our side."""
    primary = lab.primary
    db2, db3 = lab.replicas
    tagged = lab.flavour.name == "mysql9"
    if tagged:
        primary.sql("SET GTID_NEXT='AUTOMATIC:blue'", "CREATE TABLE app.blue (id INT)")
    primary.sql("CREATE TABLE app.early (id INT PRIMARY KEY)", *[f"INSERT INTO app.early VALUES ({i})" for i in range(20)])
    if lab.flavour.like == "mariadb":
        primary.sql("SET SESSION gtid_domain_id=7", "CREATE TABLE app.seven (id INT)")
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == primary.position(), PATIENCE, "applied")
    db2.stop_io()
    primary.sql("CREATE TABLE app.late (id INT PRIMARY KEY)", *[f"INSERT INTO app.late VALUES ({i})" for i in range(20)])
    if tagged:
        primary.sql("SET GTID_NEXT='AUTOMATIC:blue'", "INSERT INTO app.blue VALUES (1)")
        primary.sql("SET GTID_NEXT='AUTOMATIC:red'", "INSERT INTO app.blue VALUES (2)")
    if lab.flavour.like == "mariadb":
        primary.sql("SET SESSION gtid_domain_id=7", "INSERT INTO app.seven VALUES (1)")
    until(lambda: db3.status()["executed"] == primary.position(), PATIENCE, "applied")
    db3.stop_io()
    primary.kill()
    password = secrets.token_urlsafe(20)
    with Driver(lab, [feed(replica, pieces(primary), password) for replica in lab.replicas]) as driver:
        for replica in lab.replicas:
            point(replica, "127.0.0.1", driver.port(replica.name), password)
            wait_level(driver, replica)
        assert driver.last["db2"]["skipped"] > 20 and driver.last["db3"]["skipped"] > driver.last["db2"]["skipped"]
        assert driver.last["db3"]["sent"] < 2000, driver.last["db3"]
        compare(lab.replicas)
        driver.say("stop db2")
        until(lambda: db2.status()["io"] == "No", PATIENCE, "receiver stopped")
        assert "the feed is over" in db2.status()["io_error"]
        assert db3.status()["io"] == "Yes"
        db3.stop_io()
    show_equal(lab, primary)


def feed_one(lab, store_of=pieces):
    """The only replica lacks a few rows, and gets them; gives what the driver said last."""
    primary = lab.primary
    db2, = lab.replicas
    until(lambda: db2.status()["executed"] == primary.position(), PATIENCE, "applied")
    db2.stop_io()
    if lab.settings["semisync"]:
        primary.set_semisync(False)  # nobody is there to acknowledge
    primary.sql("CREATE TABLE app.tail (id INT PRIMARY KEY)", *[f"INSERT INTO app.tail VALUES ({i})" for i in range(20)])
    primary.kill()
    password = secrets.token_urlsafe(20)
    with Driver(lab, [feed(db2, store_of(primary), password)]) as driver:
        point(db2, "127.0.0.1", driver.port("db2"), password)
        wait_level(driver, db2)
        time.sleep(1.5)
        assert driver.look()["db2"]["state"] == "level" and driver.last["db2"]["logins"] == 1, driver.last
        assert db2.status()["io"] == "Yes"
        db2.stop_io()
        driver.wait(lambda: driver.last["db2"]["state"] == "waiting", "disconnected")
    show_equal(lab, primary)
    return driver.last["db2"]


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1, semisync=True)
def test_semisync(lab):
    """A semi-sync replica falls back to asynchronous; its receiver's second connection does no harm."""
    feed_one(lab)
    assert lab["db2"].running()


@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1, options={"binlog_checksum": "NONE"})
def test_no_checksums(lab):
    feed_one(lab)


def leave_ends_out(path):
    """Make a log one of MariaDB 11.4: only the events that begin and end a transaction say where they end."""
    done = subprocess.run([f"{BUILD}/test/unit/binlog-dump", "events", path], stdout=subprocess.PIPE, text=True,
                          check=True)
    with open(path, "r+b") as file:
        log = bytearray(file.read())
        for event in map(json.loads, done.stdout.splitlines()):
            if event["step"] == "inside":
                at, end = event["pos"], event["pos"] + event["length"]
                log[at + 13:at + 17] = bytes(4)
                log[end - 4:end] = zlib.crc32(log[at:end - 4]).to_bytes(4, "little")
        file.seek(0)
        file.write(log)


@pytest.mark.flavours("mariadb")
@pytest.mark.lab(replicas=1, options={"binlog_checksum": "CRC32"})
def test_ends_left_out(lab):
    """The log of a primary of MariaDB 11.4 or later."""
    place = f"{lab.mgr.folder}/rescue"
    os.mkdir(place)

    def store(primary):
        for name in logs(primary):
            shutil.copyfile(f"{primary.data}/{name}", f"{place}/{name}")
            leave_ends_out(f"{place}/{name}")
        return pieces(primary, place)

    feed_one(lab, store)


def relay_pieces(replica):
    """What the relay logs of a replica hold of its primary's log, a piece a file at least."""
    with open(f"{replica.data}/relay.index", encoding="utf-8") as file:
        names = [os.path.basename(line.strip()) for line in file if line.strip()]
    store, seen = [], 0
    for count in range(1, len(names) + 1):
        paths = [f"{replica.data}/{name}" for name in names[:count]]
        done = subprocess.run([f"{BUILD}/test/unit/binlog-dump", "relay", replica.name, str(replica.id), "-", *paths],
                              stdout=subprocess.PIPE, text=True, check=True)
        events = [event for event in map(json.loads, done.stdout.splitlines()) if "crc" in event]
        for event in events[seen:]:
            last = store[-1] if store else None
            if last and last["path"] == paths[-1] and (last["file"], last["to"]) == (event["file"], event["pos"]):
                last["to"] = event["end"]
            else:
                store.append({"file": event["file"], "path": paths[-1], "offset": 4, "from": event["pos"],
                              "to": event["end"], "relay": replica.id})
        seen = len(events)
    return store


@pytest.mark.lab(replicas=2)
def test_out_of_relay_logs(lab):
    """The old host is gone; what the most advanced replica received, and has not applied, feeds the other one."""
    primary = lab.primary
    db2, db3 = lab.replicas
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == primary.position(), PATIENCE, "applied")
    db2.stop_io()
    db3.stop_sql()
    primary.sql("CREATE TABLE app.tail (id INT PRIMARY KEY)", *[f"INSERT INTO app.tail VALUES ({i})" for i in range(20)])
    write_mixed(lab, primary, rounds=2, big=False)
    until(lambda: db3.status()["read"] == primary.position(), PATIENCE, "received")
    primary.host.power_off()
    store = relay_pieces(db3)
    assert len(store) > 1
    password = secrets.token_urlsafe(20)
    with Driver(lab, [feed(db2, store, password)]) as driver:
        point(db2, "127.0.0.1", driver.port("db2"), password)
        wait_level(driver, db2)
        # MySQL's receiver does not keep the list of GTIDs at the head of a file.
        assert driver.last["db2"]["holes"] <= (0 if lab.flavour.like == "mariadb" else 2), driver.last
        db2.stop_io()
    db3.start_sql()
    compare(lab.replicas)


def write_much(server, megabytes):
    """Rows of 200 kB, about so many megabytes of log."""
    server.sql("CREATE TABLE app.much (id INT AUTO_INCREMENT PRIMARY KEY, word LONGBLOB) ENGINE=MyISAM")
    wire = connection(server, database="app")
    try:
        with wire.cursor() as cursor:
            for _ in range(megabytes):
                cursor.execute("INSERT INTO app.much (word) VALUES " +
                               ", ".join(["(REPEAT(LPAD(HEX(FLOOR(RAND() * 1e15)), 32, 'x'), 6400))"] * 5))
    finally:
        wire.close()


@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=2)
def test_much(lab, record_property):
    """200 MB through two feeds: in little memory, and the loop goes on turning. One replica only receives."""
    primary = lab.primary
    db2, db3 = lab.replicas
    for replica in lab.replicas:
        replica.stop_io()
    write_much(primary, 200)
    primary.kill()
    db3.stop_sql()
    password = secrets.token_urlsafe(20)
    store = pieces(primary)
    total = sum(piece["to"] for piece in store)
    place = f"{lab.mgr.folder}/rescue"
    os.mkdir(place)
    fetches = [{"ssh": primary.ip, "remote": f"/srv/mysql/{name}", "local": f"{place}/{name}"} for name in logs(primary)]
    began = time.monotonic()
    with Driver(lab, [feed(replica, pieces_at(store, place), password) for replica in lab.replicas], fetches) as driver:
        ports = {replica.name: driver.port(replica.name) for replica in lab.replicas}
        fetched = driver.fetched()
        print(f"{lab.flavour.name}: fetched {total / 1e6:.0f} MB in {time.monotonic() - began:.2f} s, longest turn "
              f"{fetched[-1]['longest_ms']:.1f} ms, rss {fetched[-1]['rss_kb']} kB")
        before = fetched[-1]["rss_kb"]
        for replica in (db3, db2):
            name = replica.name
            if replica is db3:
                role = replica.word("Source").upper()
                replica.sql(f"{replica.word('change')} {role}_HOST='127.0.0.1', {role}_PORT={ports[name]}, "
                            f"{role}_USER='{USER}', {role}_PASSWORD='{password}', {role}_SSL=0", f"{replica.word('start')} IO_THREAD")
            else:
                point(replica, "127.0.0.1", ports[name], password)
            driver.wait(lambda name=name: driver.last[name]["state"] == "level", f"{name} fed", 120)
            states = [said for said in driver.history if said.get("feed") == name and said.get("state")]
            seconds = states[-1]["at"] - next(said["at"] for said in states if said["state"] == "sending")
            print(f"{lab.flavour.name}: {name} {states[-1]['sent'] / 1e6:.0f} MB in {seconds:.2f} s, "
                  f"{states[-1]['sent'] / 1e6 / max(seconds, 0.001):.0f} MB/s, rss {states[-1]['rss_kb']} kB "
                  f"(before {before}), longest turn {states[-1]['longest_ms']:.1f} ms")
            assert states[-1]["rss_kb"] <= before + 4 * 1024
        db3.start_sql()
        for replica in lab.replicas:
            wait_level(driver, replica, 120)
            replica.stop_io()
    compare(lab.replicas)
