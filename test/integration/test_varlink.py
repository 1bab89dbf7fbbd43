"""Somebody else's varlink library drives mhad: Debian's of Go, with bindings that its own generator makes of our interface."""

import json
import os
import shutil
import subprocess

import pytest

from labkit.host import REPOSITORY
from labkit.process import run
from manager import Manager

SOURCES = "/usr/share/gocode"  # where golang-github-varlink-go-dev puts the library
GENERATOR = "varlink-go-interface-generator"


def build(folder):
    """The client, from the interface as it stands in the tree; it is compared with what mhad tells."""
    missing = [name for name in ("go", GENERATOR) if not shutil.which(name)]
    if missing or not os.path.isdir(f"{SOURCES}/src/github.com/varlink/go"):
        assert os.environ.get("CI") != "true", f"not installed: {missing or 'golang-github-varlink-go-dev'}"
        pytest.skip("golang-go, varlink-go or golang-github-varlink-go-dev is not installed")
    bindings = f"{folder}/src/orgmhad"
    os.makedirs(bindings)
    shutil.copy(f"{REPOSITORY}/lib/org.mhad.varlink", bindings)
    run(["sh", "-c", f"cd {bindings} && {GENERATOR} org.mhad.varlink"])
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{folder}:{SOURCES}",
                   "GOCACHE": f"{folder}/cache", "CGO_ENABLED": "0"}
    run(["go", "build", "-o", f"{folder}/client", f"{REPOSITORY}/test/integration/varlink/main.go"],
        env=environment, timeout=300)
    return f"{folder}/client"


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1)
def test_library_of_others(lab):
    """Introspection, a call, errors with what they carry, and a call that goes on telling."""
    client = build(f"{lab.mgr.folder}/varlink")
    manager = Manager.start(lab)
    process = lab.mgr.popen([client, "/run/mhad/control", "app1"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    told = {}
    for line in process.stdout:
        one = json.loads(line)
        told.setdefault(one["what"], []).append(one["value"])
        if one["what"] == "following":
            assert manager.order("pause", "app1", "--reason", "for a guest").returncode == 0
    assert process.wait(60) == 0, process.stderr.read()
    (_, product, version, _), = told["info"]
    assert product == "mhad" and version == lab.mhactl("version", "--json")["version"]
    interfaces = {name: n for one in told["interface"] for name, n in one.items()}
    assert interfaces["org.varlink.service"] == 2 and interfaces["org.mhad"] >= 20
    assert told["no interface"] == [True]
    (status,), = told["status"]
    assert status["primary"] == "db1" and status["health"] == "ok" and len(status["servers"]) == 2
    unknown, = told["unknown"]
    assert unknown["cluster"] == "nobody" and "app1" in unknown["reason"]
    assert told["refused"][0]["id"] == "unknown-server"
    last = told["event"][-1]
    assert last["event"] == "paused" and last["cluster"] == "app1" and "for a guest" in last["text"]
