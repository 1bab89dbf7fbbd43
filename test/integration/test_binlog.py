"""The reader of logs sees in every log of every server what the server itself, and its own mysqlbinlog, see there."""

import collections
import io
import json
import os
import re
import struct
import subprocess
import time

import pytest

from conftest import require
from labkit import flavours, folder
from labkit.host import BUILD
from labkit.process import until

DUMP = os.path.join(BUILD, "test", "unit", "binlog-dump")
OPTIONS = {"relay_log_purge": 0, "max_relay_log_size": 65536, "max_binlog_size": 1 << 20, "local_infile": 1}
# What a replica may not have of its primary's events: MySQL's receivers do not keep the first two, and when a primary of
# MariaDB's is shut down, a replica that comes again by GTID is not sent what is no transaction.
NOT_KEPT = {"Previous_gtids", "Stop", "Binlog_checkpoint"}
# To who comes by GTID MariaDB 11 leaves out the head of a file, too.
NOT_SENT = {"Format_desc", "Gtid_list"}
NAMED = re.compile(r"GTID (\d+-\d+-\d+)|GTID_NEXT= '(.*)'")


def dump(*arguments, chunk=None):
    """What binlog-dump says, one value a line; and its complaints."""
    environment = {**os.environ, **({"MHAD_CHUNK": str(chunk)} if chunk else {})}
    done = subprocess.run([DUMP, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False,
                          env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def logs(server, stem):
    """The paths of a server's logs, in their order."""
    names = [name for name in os.listdir(server.data) if re.fullmatch(stem + r"\.\d+", name)]
    return [f"{server.data}/{name}" for name in sorted(names, key=lambda name: int(name.split(".")[1]))]


# Something of everything


def statements(primary, mode):
    """Lists of statements, each for a session of its own."""
    name = primary.flavour.like
    mixes = name == "mariadb" or mode == "position"  # of engines in one transaction
    yield ["CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200), b LONGBLOB) ENGINE=InnoDB",
           "CREATE TABLE app.m (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200)) ENGINE=MyISAM"]
    yield ["USE app", "INSERT INTO t (v) VALUES ('row')", "INSERT INTO m (v) VALUES ('myisam')", "BEGIN",
           "INSERT INTO t (v) VALUES ('a')", "SAVEPOINT x", "INSERT INTO t (v) VALUES ('b')", "ROLLBACK TO x",
           "INSERT INTO t (v) VALUES ('c')", "COMMIT", "SET binlog_format='STATEMENT'", "SET @u = x'00ff27'",
           "INSERT INTO t (v) VALUES (HEX(@u))", "INSERT INTO m (v) VALUES (RAND())", "UPDATE t SET v=CONCAT(v, 'x')"]
    if mixes:
        yield ["USE app", "SET binlog_format='STATEMENT'", "BEGIN", "INSERT INTO t (v) VALUES ('s')", "SAVEPOINT y",
               "INSERT INTO m (v) VALUES ('in')", "ROLLBACK TO y", "COMMIT", "BEGIN", "INSERT INTO m (v) VALUES ('rb')",
               "INSERT INTO t (v) VALUES ('rb')", "ROLLBACK",
               "CREATE TEMPORARY TABLE app.tmp AS SELECT RAND() AS r", "INSERT INTO t (v) SELECT r FROM tmp"]
    yield ["USE app", "BEGIN", *["INSERT INTO t (v, b) VALUES ('big', REPEAT('x', 50000))"] * 30, "COMMIT",
           "XA START 'xid'", "INSERT INTO t (v) VALUES ('xa')", "XA END 'xid'", "XA PREPARE 'xid'", "XA COMMIT 'xid'",
           "XA START 'back'", "INSERT INTO t (v) VALUES ('xa')", "XA END 'back'", "XA PREPARE 'back'",
           "XA ROLLBACK 'back'",
           "XA START 'one'", "INSERT INTO t (v) VALUES ('xa')", "XA END 'one'", "XA COMMIT 'one' ONE PHASE"]
    if name == "mariadb":
        yield ["SET GLOBAL log_bin_compress=1", "SET GLOBAL log_bin_compress_min_len=10", "USE app",
               "INSERT INTO t (v, b) VALUES ('comp', REPEAT('x', 2000))", "DELETE FROM t WHERE v = 'comp'",
               f"INSERT INTO t (b) VALUES (x'{os.urandom(1000).hex()}')", "SET binlog_format='STATEMENT'",
               "INSERT INTO t (v) VALUES (REPEAT('y', 80))", "CREATE TABLE app.ddl2 (i INT)", "XA START 'cxid'",
               "INSERT INTO t (v) VALUES ('xa')", "XA END 'cxid'", "XA PREPARE 'cxid'", "XA COMMIT 'cxid'",
               "SET GLOBAL log_bin_compress=0", "SET gtid_domain_id=7", "INSERT INTO t (v) VALUES ('domain')"]
    if name == "mysql9":
        yield ["USE app", "SET binlog_transaction_compression=1",
               "INSERT INTO t (v, b) VALUES ('comp', REPEAT('x', 2000))", "CREATE TABLE ddl3 AS SELECT * FROM t LIMIT 2",
               "SET binlog_rows_query_log_events=1", "SET binlog_transaction_compression=0", "UPDATE t SET v=id LIMIT 3"]
    if name == "mysql9" and mode == "gtid":
        yield ["USE app", "SET gtid_next='AUTOMATIC:blue'", "INSERT INTO t (v) VALUES ('tag')",
               "CREATE TABLE ddl4 (i INT)", "SET gtid_next='AUTOMATIC:a_rather_long_tag_for_this_test'",
               "INSERT INTO t (v) VALUES ('tag')", "INSERT INTO t (v) VALUES ('tag')"]


def load_data(primary):
    """LOAD DATA LOCAL in both formats."""
    path = f"{primary.data}/../rows.txt"
    folder.write(path, "".join(f"row {number}\n" for number in range(300)), 0o644)
    connection = primary.connect(local_infile=True)
    try:
        with connection.cursor() as cursor:
            for fmt in ("ROW", "STATEMENT"):
                cursor.execute(f"SET binlog_format='{fmt}'")
                cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE app.t (v)")
    finally:
        connection.close()


def level(lab):
    primary, replica = lab.primary, lab["db2"]
    until(replica.replicating, 30, "replication")
    until(lambda: replica.status()["executed"] == primary.position(), 30, "all applied")


def make_logs(lab):
    primary, replica = lab.primary, lab["db2"]
    for session in statements(primary, lab.mode):
        primary.sql(*session, timeout=30)
        primary.sql("FLUSH BINARY LOGS")
    load_data(primary)
    replica.sql("FLUSH RELAY LOGS")
    level(lab)
    replica.stop_io()
    primary.sql("INSERT INTO app.t (v) VALUES ('while stopped')", "DROP TABLE app.m")
    replica.start_io()
    level(lab)
    primary.sql("SET GLOBAL binlog_checksum=NONE", "INSERT INTO app.t (v) VALUES ('unchecked')")
    level(lab)
    replica.sql("FLUSH RELAY LOGS")
    primary.sql("INSERT INTO app.t (v) VALUES ('unchecked')", "SET GLOBAL binlog_checksum=CRC32")
    primary.restart()
    primary.sql("INSERT INTO app.t (v) VALUES ('after a restart')")
    level(lab)
    primary.kill()
    until(lambda: not primary.running(), 10, "the primary's end")
    primary.start()
    primary.sql("INSERT INTO app.t (v) VALUES ('after a crash')")
    level(lab)


# What the servers see


def shown(server, path, what):
    """Of each event its position, type, server_id, end and GTID, as the server says."""
    events = {}
    for row in server.sql(f"SHOW {what} EVENTS IN '{os.path.basename(path)}'", timeout=30):
        # MySQL shows what is in a compressed transaction at the place of the event behind it, before that event.
        named = NAMED.search(row["Info"]) if "gtid" in row["Event_type"].lower() else None
        gtid = (named[1] or named[2]).replace("ANONYMOUS", "") if named else ""
        events[row["Pos"]] = (row["Pos"], row["Event_type"], row["Server_id"], row["End_log_pos"], gtid)
    return [event for _, event in sorted(events.items()) if event[0] < os.path.getsize(path)]


def seen(path):
    """The same, as we say."""
    events = dump("events", path)
    assert events == dump("events", path, chunk=211)
    return [(one["pos"], one["type"], one["server_id"], one["end"], one.get("gtid", "")) for one in events], events


def alike(theirs, ours):
    assert len(theirs) == len(ours), (theirs, ours)
    for one, other in zip(theirs, ours):
        assert one == other


def mysqlbinlog(server, path):
    """Where mysqlbinlog sees events, and (end, checksum) of those that have one."""
    command, temporary = ["mariadb-binlog", "--no-defaults", "-"], "/tmp"
    if server.flavour.like != "mariadb":
        require("mysql9")  # 5.6 comes without
        tree = flavours.flavour_named("mysql9").tree
        command, temporary = [folder.program("chroot"), tree, "/usr/bin/mysqlbinlog", "--no-defaults", "-"], f"{tree}/tmp"
    # It leaves there what it finds of LOAD DATA.
    apart = ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs lab "$1" && shift && exec "$@"', "sh", temporary]
    with open(path, "rb") as log:
        done = subprocess.run(apart + command, stdin=log, capture_output=True, timeout=120, check=False)
    places, pending, checksums, packed = set(), [], collections.Counter(), False
    for line in io.StringIO(done.stdout.decode(errors="replace")):
        place = re.match(r"# at (\d+)$", line)
        event = re.match(r"#\d{6} [ \d:]+ server id \d+  end_log_pos (\d+) (?:CRC32 (0x[0-9a-f]+) )?\t?(.*)", line)
        if place:
            pending.append(int(place[1]))
        elif event:
            packed = packed and not re.match(r"\w*GTID|Rotate|Stop|Start", event[3])
            if not packed:
                places.update(pending)
                checksums.update([(int(event[1]), int(event[2], 16))] if event[2] else [])
            pending = []
            packed = packed or "Transaction_Payload" in event[3]
    assert done.returncode == 0, done.stderr.decode()
    return places, checksums


def check_log(server, path, what):
    ours, events = seen(path)
    alike(shown(server, path, what), ours)
    places, checksums = mysqlbinlog(server, path)
    assert places == {one["pos"] for one in events}
    assert not checksums - collections.Counter((one["end"], one["crc"]) for one in events)
    return len(events)


def executed(primary):
    """Every GTID of its binary log."""
    if primary.flavour.like == "mariadb":
        return primary.value("SELECT @@global.gtid_binlog_pos")
    return primary.value("SELECT @@global.gtid_executed").replace("\n", "")


def same_gtids(ours, theirs):
    """As sets: servers order them in their own way."""
    return sorted(re.split(r", *", ours.lower())) == sorted(re.split(r", *", theirs.lower()))


@pytest.mark.also("mariadb11")
@pytest.mark.lab(replicas=1, address=False, options=OPTIONS)
def test_every_log(lab):
    primary, replica = lab.primary, lab["db2"]
    make_logs(lab)
    replica.stop_io()
    binary, relay = logs(primary, "binlog"), logs(replica, "relay")
    assert len(binary) > 8 and len(relay) > 16
    total = 0
    for server, paths, what in ((primary, binary, "BINLOG"), (replica, relay, "RELAYLOG"),
                                (replica, logs(replica, "binlog"), "BINLOG")):
        for path in paths:
            total += check_log(server, path, what)
    print(f"{lab.flavour.version()} {lab.mode}: {len(binary)} binary and {len(relay)} relay logs, {total} events")

    # The index of the primary's own files.
    *rest, answer, index = dump("primary", "db1", *binary)
    assert not rest and "holes" not in answer and answer["last"] == ":".join(map(str, primary.position()))
    assert answer["exact"] and same_gtids(answer.get("gtids", ""), executed(primary))
    groups = answer["groups"]

    # That of the relay logs says the same, wherever it begins to look.
    *placed, again, _ = dump("relay", "db2", replica.id, "-", *relay)
    assert "holes" not in again, again["holes"]
    for key in ("end", "last", "groups", "gtids"):
        assert again.get(key) == answer.get(key), key
    placed = [one for one in placed if "pos" in one and not one["guessed"]]
    own = {(os.path.basename(path), one["pos"]): one for path in binary for one in dump("events", path)}
    there = {(one["file"], one["pos"]) for one in placed}
    may_lack = NOT_KEPT | (NOT_SENT if lab.flavour.name == "mariadb11" and lab.mode == "gtid" else set())
    missing = {key for key, one in own.items() if key not in there and one["end"] and one["type"] not in may_lack}
    assert there <= set(own) and not missing, missing
    for one in placed:
        original = own[one["file"], one["pos"]]
        assert one["end"] == original["end"] and (one["rewritten"] or one["crc"] == original["crc"]), (one, original)
        assert one["rewritten"] or one["type"] == original["type"], (one, original)
    assert any(one["rewritten"] for one in placed) == (lab.flavour.like == "mariadb")

    # Both together agree in all that can be compared, and in most of it.
    *overlaps, both, _ = dump("relay", "db2", replica.id, "-", *relay, "+", "primary", "db1", *binary)
    overlaps = [one for one in overlaps if "overlap" in one]
    bytes_of = collections.Counter()
    for one in overlaps:
        bytes_of[one["overlap"]] += one["to"] - one["from"]
    assert not bytes_of["differ"] and bytes_of["agree"] > bytes_of["uncompared"], bytes_of
    assert "holes" not in both and both["groups"] >= groups

    # A torn end: never more than whole transactions.
    with open(binary[-1], "rb") as file:
        content = file.read()
    torn = f"{primary.data}/../{os.path.basename(binary[-1])}"
    counts = []
    for cut in range(len(content), 4, -max(1, len(content) // 60)):
        with open(torn, "wb") as file:
            file.write(content[:cut])
        *_, part, _ = dump("primary", "db1", torn)
        assert part["last"] == "" or int(part["last"].split(":")[1]) <= cut
        counts.append(part["groups"])
    assert counts == sorted(counts, reverse=True) and counts[-1] == 0


# What a primary sends


def listen(server, file, position, heartbeat_v2):
    """The events that a server sends from there on, up to the first heartbeat."""
    connection = server.connect(timeout=20)
    events = []
    try:
        with connection.cursor() as cursor:
            word = "source" if server.flavour.name == "mysql9" else "master"
            cursor.execute(f"SET @{word}_heartbeat_period=100000000, "
                           f"@{word}_binlog_checksum=@@global.binlog_checksum, @mariadb_slave_capability=4")
        # pylint: disable=protected-access
        connection._execute_command(0x12, struct.pack("<IHI", position, 2 * heartbeat_v2, 99) + file.encode())
        end = time.monotonic() + 10
        while not events or events[-1][4] not in (27, 41):
            assert time.monotonic() < end
            events.append(connection._read_packet().get_all_data()[1:])
    finally:
        connection._force_close()
    return events


@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1, address=False)
def test_what_is_made_for_a_connection(lab):
    """The rotate, the format description and the heartbeats of a feed are those of the servers, to the byte."""
    primary = lab.primary
    file, end = primary.position()
    start = shown(primary, f"{primary.data}/{file}", "BINLOG")[-2][0]

    def ours(position):
        done = subprocess.run([DUMP, "stream", f"{primary.data}/{file}", f"{file}:{position}"], capture_output=True,
                              text=True, timeout=10, check=True)
        return {name: bytes.fromhex(value) for name, value in map(str.split, done.stdout.splitlines())}

    for heartbeat_v2 in (False, True):
        events = listen(primary, file, start, heartbeat_v2)
        assert events[0] == ours(start)["rotate"] and events[1] == ours(start)["format"]
        newer = heartbeat_v2 and lab.flavour.name == "mysql9"
        assert events[-1] == ours(end)["heartbeat2" if newer else "heartbeat"]
