"""Processes, known by pid and start time so that a reused pid is never taken for the old process."""

import os
import select
import signal
import subprocess
import time

from .errors import CommandFailed, LabError


def _stat(pid):
    """The fields of /proc/PID/stat from the state on, or None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def start_time(pid):
    fields = _stat(pid)
    return int(fields[19]) if fields else None


class Process:
    def __init__(self, pid, start=None):
        self.pid = pid
        self.start = start_time(pid) if start is None else start

    def __repr__(self):
        return f"Process({self.pid})"

    def state(self):
        """The kernel's letter ("R", "S", "T", …), or None once it is dead, reaped or not."""
        fields = _stat(self.pid)
        if not fields or int(fields[19]) != self.start or fields[0] in (b"Z", b"X"):
            return None
        return fields[0].decode()

    def alive(self):
        return self.state() is not None

    def name(self):
        return _read(f"/proc/{self.pid}/comm").strip()

    def arguments(self):
        return _read(f"/proc/{self.pid}/cmdline").split("\0")[:-1]

    def signal(self, number):
        """True if the signal was sent, False if the process is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)

    def wait(self, timeout=10):
        """Wait for its end."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if not poll.poll(timeout * 1000) and self.alive():
                    raise LabError(f"process {self.pid} ({self.name()}) does not end")
        finally:
            os.close(descriptor)

    def kill(self, timeout=10):
        self.signal(signal.SIGKILL)
        self.wait(timeout)


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def all_pids():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def namespace(pid, kind):
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError:
        return None


def run(command, timeout=60, check=True, **options):
    """Run a command, capture its output as text, raise LabError with its words if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout,
                              stdin=None if "input" in options else subprocess.DEVNULL, **options)
    except subprocess.TimeoutExpired:
        raise LabError(f"{command[0]}: no end after {timeout} s") from None
    except FileNotFoundError:
        raise LabError(f"{command[0]}: not installed") from None
    if check and done.returncode:
        words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandFailed(f"{' '.join(map(str, command))[:300]}: exit {done.returncode}: {words}")
    return done


def until(condition, timeout, what, interval=0.01):
    """Wait until condition() is true and give its value; LabError names what did not come."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout} s")
        time.sleep(interval)
