"""The folders of the lab: where they are, their locks, and how they are removed without harm."""

import contextlib
import fcntl
import os
import shutil

from .errors import LabError
from .process import run

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("MHAD_BUILD") or os.path.join(REPOSITORY, "build"))

def base():
    """Every lab is a folder in here."""
    return private(os.environ.get("MHAD_LAB_BASE", "/var/tmp/mhad-lab"))


def cache():
    return private(os.environ.get("MHAD_LAB_CACHE", "/var/cache/mhad-lab"))


def private(path):
    """The path, a folder that only we can use."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    facts = os.lstat(path)
    if os.path.islink(path) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
        raise LabError(f"{path}: must be a folder of user {os.geteuid()} with mode 0700")
    return path


@contextlib.contextmanager
def locked(path, shared=False):
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def mounts_below(path):
    path = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4].encode().decode("unicode_escape") for line in file]
    return [point for point in points if point == path or point.startswith(path + "/")]


def remove(path):
    """Remove a folder that the lab made; refuse while anything is mounted in it."""
    parents = {os.path.realpath(base()), os.path.realpath(cache())}
    if os.path.islink(path) or os.path.dirname(os.path.realpath(path)) not in parents:
        raise LabError(f"{path}: not a folder of the lab, not removed")
    if not os.path.exists(path):
        return
    mounted = mounts_below(path)
    if mounted:
        raise LabError(f"{path}: not removed, {mounted[0]} is mounted there")
    run(["rm", "-rf", "--one-file-system", "--", path], timeout=120)


def copy(source, target, sparse="auto"):
    reflink = "auto" if sparse == "auto" else "never"
    run(["cp", "-a", f"--reflink={reflink}", f"--sparse={sparse}", "--", source, target], timeout=120)


def write(path, text, mode=0o600):
    """Write a file that has its mode from the start."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def program(name, *places):
    found = shutil.which(name, path=":".join(places) or "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
    if not found:
        raise LabError(f"{name}: not installed")
    return found
