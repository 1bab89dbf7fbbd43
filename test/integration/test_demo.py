"""The demo tells the truth, and leaves nothing behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile

import pytest

from labkit import Lab, invariants
from test_lab import assert_nothing_left, cli, machine, traces

DEMO = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "demo")
KEYS = {"downtime_ms", "acknowledged", "missing_on_primary", "missing_on_replicas", "old_primary", "new_primary"}


@pytest.fixture
def base():
    """A base folder of our own, so that what is found in it is the demo's."""
    with tempfile.TemporaryDirectory(prefix="mhad-demo-test-", dir="/var/tmp") as path:
        yield path
        cli(path, "down", "--all")


@contextlib.contextmanager
def demo(base, *arguments):
    with subprocess.Popen([DEMO, *arguments], env={**os.environ, "MHAD_LAB_BASE": base}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as child:
        try:
            yield child
        finally:
            child.kill()


def read_until(child, words):
    """Its output up to a line with the words in it."""
    lines = []
    for line in child.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"no {words!r} in:\n{''.join(lines)}")


def test_demo(base, available, mode):
    before = machine()
    with demo(base, "--json", "--flavour", available, "--mode", mode) as child:
        output = read_until(child, "is killed (SIGKILL)")
        traced = traces(base)
        output += child.stdout.read()
        status = child.wait(60)
    assert len(traced[0]) > 8 and len(traced[1]) > 8, "it is in namespaces of its own"
    assert status == 0, output
    assert_nothing_left(base, before, traced)

    result = json.loads(output.splitlines()[-1])
    assert set(result) == KEYS
    assert result["old_primary"] == "db1" and result["new_primary"] in ("db2", "db3")
    assert result["missing_on_primary"] == result["missing_on_replicas"] == 0
    assert re.search(rf"^ *{result['acknowledged']} +rows acknowledged$", output, re.MULTILINE)
    assert 500 <= result["acknowledged"] < 100000
    assert 0 < result["downtime_ms"] < 60000
    assert f"primary db1 -> {result['new_primary']}" in output, "the report"
    assert "\033[" not in output, "no colours where there is no terminal"


@pytest.mark.parametrize("moment", ["Starting three database hosts", "is killed (SIGKILL)"])
def test_interrupted(base, moment):
    before = machine()
    with demo(base) as child:
        read_until(child, moment)
        traced = traces(base)
        os.killpg(child.pid, signal.SIGINT)
        output = child.stdout.read()
        assert child.wait(60) == 130, output
    assert_nothing_left(base, before, traced)


def test_keep(base, monkeypatch):
    before = machine()
    with demo(base, "--keep", "--json") as child:
        output = child.stdout.read()
        assert child.wait(60) == 0, output
    monkeypatch.setenv("MHAD_LAB_BASE", base)
    lab = Lab.open("demo")
    assert lab.mhad_running()
    assert invariants(lab, dead=["db1"]).name == json.loads(output.splitlines()[-1])["new_primary"]
    # What it says that one can type, works.
    for words in re.findall(r"^  \S*test/lab (mhactl .*? status|status demo|mhad .*? log|writer .*? report) ", output,
                            re.MULTILINE):
        assert cli(base, *words.split(), check=False).returncode in (0, 10), words
    traced = traces(base)
    cli(base, "down", "demo")
    assert_nothing_left(base, before, traced)


def test_usage():
    done = subprocess.run([DEMO, "--flavour", "oracle"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "oracle" in done.stderr
    assert "--keep" in subprocess.run([DEMO, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
