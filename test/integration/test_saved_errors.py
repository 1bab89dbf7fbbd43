"""What can go wrong while logs are saved (daemon/exec/rescue.h): each has an outcome, a sentence, and what goes on later."""

import os
import re
import struct
import time
import zlib

import pytest

from labkit import folder
from labkit.process import until
from test_feed import PATIENCE, write_mixed
from test_saved_logs import Drive, listing, read, text

ONE = [pytest.mark.flavours("mariadb"), pytest.mark.modes("position"), pytest.mark.lab(replicas=1)]
MIB = 1 << 20
SUDO = """\
#!/bin/sh
echo "$*" >>/usr/local/bin/used
[ "$1" = -n ] || exit 9
shift
exec "$@"
"""


def one(test):
    for mark in ONE:
        test = mark(test)
    return test


def filled(lab):
    """Some log, and its server dead."""
    primary = lab.primary
    write_mixed(lab, primary, rounds=1, big=False)
    until(lambda: not primary.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = 'mix'"), PATIENCE,
          "the writer's temporary tables gone")
    primary.kill()
    until(lambda: not primary.running(), PATIENCE, "dead")
    return listing(primary)


def collect(drive, files, **more):
    drive.rescue("collect", server="db1", kind="binlog", files=files, **more)
    return drive.collected("db1")["sources"]["db1"]


def noise(lab, megabytes, name="binlog.000001"):
    """A file of the host db1 that is no log, and takes a moment to be copied."""
    path = f"{lab.primary.host.folder}/{name}"
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MIB))
    return [{"file": name, "path": path, "from": 0, "to": megabytes * MIB}]


def is_whole(lab, file):
    path = f"{lab.mgr.folder}/rescue/run-1/db1/{file['file']}"
    with open(path, "rb") as copy, open(file["path"], "rb") as original:
        return copy.read() == original.read()


@one
def test_disk_full(lab):
    """Our own disk is full: that is said, and when there is room it goes on."""
    rescue = f"{lab.mgr.folder}/rescue"
    os.makedirs(rescue)
    lab.mgr.run("mount", "-t", "tmpfs", "-o", "size=4m", "none", rescue)
    files = noise(lab, 8)
    with Drive(lab) as drive:
        source = collect(drive, files)
        assert source["state"] == "failed" and source["end"] == "local", source
        assert "No space left on device" in source["failure"] and rescue in source["failure"], source
        lab.mgr.run("mount", "-o", "remount,size=64m", rescue)
        source = collect(drive, files)
        assert source["n_done"] == 1 and source["verified"] and source["end"] == "failed", source  # it is no log
    lab.mgr.run("umount", rescue)


def other_sshd(lab, server):
    """An sshd of db1 that lets somebody in who is not root; its port."""
    host, home = server.host, f"{server.host.folder}/other"
    with open(f"{lab.folder}/etc/passwd", "a", encoding="utf-8") as users:
        users.write("visitor:x:4711:4711::/tmp:/bin/sh\n")
    host.run("sh", "-c", f"mkdir -p /tmp/keys && cp {lab.folder}/ssh_key.pub /tmp/keys/visitor && chmod -R a+rX /tmp/keys")
    os.makedirs(home)
    config = re.sub("Port 22\n", "Port 2222\n", read(f"{host.folder}/sshd_config"))
    config = re.sub("AuthorizedKeysFile .*", "AuthorizedKeysFile /tmp/keys/visitor", config)
    folder.write(f"{home}/sshd_config", re.sub("PidFile .*", "PidFile /run/sshd-other.pid", config))
    host.spawn([lab.sshd, "-f", f"{home}/sshd_config", "-E", f"{home}/sshd.log"], "sshd-other.out")
    until(lambda: os.path.exists(f"{home}/sshd.log") and "listening" in read(f"{home}/sshd.log"), 10, "the other sshd")
    return 2222


@one
def test_permission(lab):
    """Somebody who may not read the logs, without sudo, with a sudo that is not there, and with one that lets him."""
    files = filled(lab)
    visitor = {"ssh_user": "visitor", "ssh_port": other_sshd(lab, lab.primary)}
    with Drive(lab, visitor) as drive:
        source = collect(drive, files)
        assert source["state"] == "failed" and source["end"] == "forbidden", source
        assert "Permission denied" in source["failure"] and files[0]["path"] in source["failure"], source
    with Drive(lab, visitor, sudo=True) as drive:
        source = collect(drive, files)
        assert source["state"] == "failed" and source["end"] == "forbidden" and "sudo" in source["failure"], source
    # A stand-in, for the machine may have none: it gives no rights, root has them already.
    host = lab.primary.host
    host.run("mount", "-t", "tmpfs", "none", "/usr/local/bin")
    host.run("sh", "-c", 'cat >/usr/local/bin/sudo && chmod 755 /usr/local/bin/sudo', input=SUDO)
    with Drive(lab, sudo=True) as drive:
        assert collect(drive, files)["state"] == "done"
    assert "-n sh -c" in host.run("cat", "/usr/local/bin/used").stdout


@one
def test_host_key(lab):
    """A host whose key has changed is not read from."""
    other = f"{lab.mgr.folder}/other_key"
    lab.mgr.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    known = f"{lab.mgr.folder}/known_hosts"
    folder.write(known, f"{lab.primary.ip} {' '.join(read(other + '.pub').split()[:2])}\n")
    with Drive(lab, known_hosts=known) as drive:
        started = time.monotonic()
        source = collect(drive, listing(lab.primary))
        assert source["state"] == "failed" and "key" in source["failure"] and lab.primary.ip in source["failure"], source
        assert time.monotonic() - started < 30


def sessions(host):
    """The sshds of connections, without the one that listens."""
    listening = int(host.run("cat", "/run/sshd.pid").stdout)
    inside = {process.pid: process for process in host.processes()}
    names = [process for process in inside.values() if process.name().startswith("sshd")]
    return [process for process in names if nspid(process) != listening]


def nspid(process):
    return int(re.search(r"NSpid:.*\t(\d+)\n", read(f"/proc/{process.pid}/status")).group(1))


@one
def test_session_dies(lab):
    """The session is killed again and again in the middle of a file: it goes on where it stopped, and gives up at last."""
    files = noise(lab, 400)
    host, copy = lab.primary.host, f"{lab.mgr.folder}/rescue/run-1/db1/binlog.000001"

    def size():
        return os.path.getsize(copy) if os.path.exists(copy) else 0

    with Drive(lab) as drive:
        drive.rescue("collect", server="db1", kind="binlog", files=files)
        kept = 0
        for _ in range(3):
            until(lambda kept=kept: size() > kept + 4 * MIB, PATIENCE, "more of it", 0)
            for process in sessions(host):
                process.signal(9)
            source = drive.rescue("look")["sources"]["db1"]
            assert source["state"] == "copying" or size() == 400 * MIB, source
            assert size() >= kept, "it began anew"
            kept = size()
        source = drive.collected("db1")["sources"]["db1"]
        assert source["n_done"] == 1 and source["verified"] and is_whole(lab, files[0]), source
    # Nobody lets us in any more: enough is enough.
    more = noise(lab, 20, "binlog.000002")
    with Drive(lab) as drive:
        for process in [process for process in host.processes() if process.name().startswith("sshd")]:
            process.signal(9)
        source = collect(drive, more)
        assert source["state"] == "failed" and source["end"] == "lost" and source["failure"], source
        host.spawn([lab.sshd, "-f", f"{host.folder}/sshd_config", "-E", f"{host.folder}/sshd.log"], "sshd.out")
        until(lambda: drive.run("db1", {"ssh": "true"}, may_fail=True)[0].get("failure") is None, PATIENCE, "sshd is back")
        source = collect(drive, more)
        assert source["n_done"] == 2 and source["verified"] and is_whole(lab, more[0]), source


@one
def test_killed_in_the_middle(lab):
    """The process that copies is killed: the next goes on by itself, and copies nothing twice."""
    files = noise(lab, 300)
    copy = f"{lab.mgr.folder}/rescue/run-1/db1/binlog.000001"
    drive = Drive(lab)
    drive.rescue("collect", server="db1", kind="binlog", files=files)
    until(lambda: os.path.exists(copy) and os.path.getsize(copy) > 4 * MIB, PATIENCE, "a beginning", 0)
    lab.mgr.end("rescue-drive")
    drive.process.wait(10)
    kept = os.path.getsize(copy)
    assert kept < 300 * MIB
    with Drive(lab) as drive:
        source = drive.collected("db1")["sources"]["db1"]  # nobody orders it once more
        assert source["n_done"] == 1 and source["verified"] and is_whole(lab, files[0]), source


@one
def test_files_change(lab):
    """Files that are purged, cut, or smaller than they should be."""
    files = filled(lab)
    with Drive(lab) as drive:
        gone = [{**files[0], "path": files[0]["path"] + "x"}]
        source = collect(drive, gone)
        assert source["end"] == "no-file" and "No such file" in source["failure"], source
        # It was there after all; nothing is in the way of it.
    longer = [{**files[-1], "file": "binlog.000009", "to": files[-1]["to"] + 1}]
    with Drive(lab, directory=f"{lab.mgr.folder}/rescue2") as drive:
        source = collect(drive, longer)
        assert source["end"] == "short" and f"has {files[-1]['to']} bytes" in source["failure"], source
    big = noise(lab, 400, "binlog.000010")
    copy = f"{lab.mgr.folder}/rescue3/run-1/db1/binlog.000010"
    with Drive(lab, directory=f"{lab.mgr.folder}/rescue3") as drive:
        drive.rescue("collect", server="db1", kind="binlog", files=big)
        until(lambda: os.path.exists(copy) and os.path.getsize(copy) > MIB, PATIENCE, "a beginning", 0)
        os.truncate(big[0]["path"], 2 * MIB)
        source = drive.collected("db1")["sources"]["db1"]
        assert source["end"] in ("short", "different") and big[0]["path"] in source["failure"], source
    big = noise(lab, 300, "binlog.000011")
    copy = f"{lab.mgr.folder}/rescue4/run-1/db1/binlog.000011"
    with Drive(lab, directory=f"{lab.mgr.folder}/rescue4") as drive:  # purged while it is read: what is open is read
        drive.rescue("collect", server="db1", kind="binlog", files=big)
        until(lambda: os.path.exists(copy) and os.path.getsize(copy) > MIB, PATIENCE, "a beginning", 0)
        os.unlink(big[0]["path"])
        source = drive.collected("db1")["sources"]["db1"]
        assert source["n_done"] == 1 or source["end"] == "no-file", source


@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_server_is_back(lab):
    """The old primary's service manager starts it again after its log was saved: what it writes then is saved, too."""
    files = filled(lab)
    with Drive(lab) as drive:
        assert collect(drive, files)["state"] == "done"
        lab.primary.start()
        lab.primary.sql("CREATE TABLE app.back (id INT)", "INSERT INTO app.back VALUES (1)", "FLUSH LOGS")
        now = listing(lab.primary)
        question = {"name": "all", "from": f"{now[0]['file']}:4"}
        drive.rescue("collect", server="db1", kind="binlog", files=now)
        found = drive.collected("db1", [question])
        source, answer = found["sources"]["db1"], found["answers"]["all"]
        assert source["state"] == "done", source
        assert answer["complete"] and answer["last"] == f"{now[-1]['file']}:{now[-1]['to']}", (answer, now)


@one
def test_encrypted_by_mysql(lab):
    """The same; of such a log only the first bytes are real, for the server would need a keyring beside its program."""
    path = f"{lab.primary.host.folder}/binlog.000001"
    with open(path, "wb") as file:
        file.write(b"\xfdbin" + os.urandom(4096))
    with Drive(lab) as drive:
        source = collect(drive, [{"file": "binlog.000001", "path": path, "from": 0, "to": 4100}])
        assert source["state"] == "failed" and source["verified"], source
        said = "the log is encrypted (binlog_encryption): only its own server can read it"
        assert source["failure"] == f"binlog.000001 of db1: {said}", source


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_encrypted(make_lab, flavour):
    """Encrypted logs are refused with a sentence: mhad has not the keys."""
    keys = "/run/keys.txt"
    lab = make_lab(flavour=flavour, replicas=1)
    if lab.flavour.like != flavour:
        pytest.skip("its tree has no plugins")
    lab.primary.stop()
    lab.primary.host.run("sh", "-c", f"echo '1;770A8A65DA156D24EE2A093277530142' >{keys}; chmod 644 {keys}")
    lab.primary.extra_options.update({"plugin_load_add": "file_key_management", "encrypt_binlog": 1,
                                      "file_key_management_filename": keys})
    lab.primary.write_config()
    lab.primary.start()
    assert lab.primary.value("SELECT @@encrypt_binlog") == 1
    lab.primary.sql("CREATE TABLE app.secret (id INT)")
    files = [listing(lab.primary)[-1]]
    with Drive(lab) as drive:
        source = collect(drive, files)
        assert source["state"] == "failed" and source["verified"], source
        said = "the log is encrypted (encrypt_binlog): only its own server can read it"
        assert source["failure"] == f"{files[0]['file']} of db1: {said}", source


@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_content(lab):
    """No checksums; a torn last event; damage in the middle; a part of a file beyond 4 GiB."""
    primary = lab.primary
    primary.sql("SET GLOBAL binlog_checksum = NONE", "CREATE TABLE app.plain (id INT)", "INSERT INTO app.plain VALUES (1), (2)",
                "SET GLOBAL binlog_checksum = CRC32")
    files = filled(lab)
    question = {"name": "all", "from": f"{files[0]['file']}:4"}
    with Drive(lab) as drive:
        drive.rescue("collect", server="db1", kind="binlog", files=files)
        found = drive.collected("db1", [question])
        whole = found["answers"]["all"]
        assert whole["complete"] and whole["last"] == f"{files[-1]['file']}:{files[-1]['to']}", found
        assert not whole["torn"], found
    # Torn: the last transaction is not there any more, and where it ended is told.
    torn = [*files[:-1], {**files[-1], "to": files[-1]["to"] - 3}]
    with Drive(lab, directory=f"{lab.mgr.folder}/rescue2") as drive:
        drive.rescue("collect", server="db1", kind="binlog", files=torn)
        found = drive.collected("db1", [question])
        answer = found["answers"]["all"]
        assert found["sources"]["db1"]["state"] == "done", found
        assert answer["n_transactions"] == whole["n_transactions"] - 1 and answer["last"] != whole["last"], (answer, whole)
    # Damaged.
    events = events_of(files[-1]["path"])
    at = events[len(events) // 2][0]
    with open(files[-1]["path"], "r+b") as file:
        file.seek(at + 19)
        byte = file.read(1)
        file.seek(at + 19)
        file.write(bytes([byte[0] ^ 0x40]))
    with Drive(lab, directory=f"{lab.mgr.folder}/rescue3") as drive:
        source = collect(drive, files)
        assert source["verified"], source
        said = source.get("failure") or source["damage"]
        assert f"{files[-1]['file']} of db1: at {at} " in said, (source, at)
    with open(files[-1]["path"], "r+b") as file:
        file.seek(at + 19)
        file.write(byte)


def events_of(path):
    """Offset and length of each event."""
    with open(path, "rb") as file:
        log = file.read()
    events, at = [], 4
    while at + 19 <= len(log):
        length = struct.unpack_from("<I", log, at + 9)[0]
        events.append((at, length))
        at += length
    return events


@one
def test_beyond_4_gib(lab):
    """A part of a file whose positions do not fit into 32 bits, with a hole of zeros before it."""
    files = filled(lab)
    with open(files[-1]["path"], "rb") as file:
        log = file.read()
    events = events_of(files[-1]["path"])
    first = next(i for i, (at, _) in enumerate(events) if log[at + 4] == 162)  # MariaDB's GTID event: a border
    shift, body = (1 << 32) - 300 - events[first][0], b""
    for at, length in events[first:]:
        event = bytearray(log[at:at + length - 4])
        struct.pack_into("<I", event, 13, (at + length + shift) % (1 << 32))
        body += event + struct.pack("<I", zlib.crc32(event))
    begin, path = events[first][0] + shift, f"{lab.primary.host.folder}/binlog.000077"
    with open(path, "wb") as file:
        file.write(log[:events[first][0]])
        file.seek(begin)
        file.write(body)
    end = begin + len(body)
    assert end > 1 << 32 > begin
    order = [{"file": "binlog.000077", "path": path, "from": begin, "to": end}]
    question = {"name": "all", "from": text(("binlog.000077", begin))}
    with Drive(lab) as drive:
        drive.rescue("collect", server="db1", kind="binlog", files=order, borders=[question["from"]])
        found = drive.collected("db1", [question])
        answer = found["answers"]["all"]
        assert found["sources"]["db1"]["state"] == "done" and answer["complete"], found
        assert answer["last"] == f"binlog.000077:{end}" and answer["n_transactions"] > 3, found
    os.unlink(path)
