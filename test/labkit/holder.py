"""The init of a lab host: makes its namespaces, then reaps until it is killed, and all of the host dies with it.

holder.py SPEC, with SPEC as JSON: name, record (file for pid and start time), binds ([source, target] …),
keep (folders that stay visible though their parent is hidden), full (false: a network namespace with no mounts), system
(null; or the folders "upper", "work", "root" and "cgroup", and systemd is the init, on a root that is laid over the
machine's). Standard output gets one line when the host is ready. Runs alone: nothing of the lab is imported.
"""

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys

NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
NEWCGROUP = 0x02000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 1 << 12, 1 << 14, 1 << 18, 1 << 20
MNT_DETACH, PR_CAPBSET_DROP = 2, 24
HIDDEN = ("/run", "/tmp", "/srv", "/var/log")
MACHINE = "/.machine"  # where its root is until all that is wanted of it is mounted
# What no namespace holds: modules, raw I/O, accounting, the clock, audit, the kernel's log, waking and sleeping.
FORBIDDEN = (16, 17, 20, 25, 30, 34, 35, 36, 37)
SYSTEMD = ["/lib/systemd/systemd", "--system", "--show-status=no", "--log-target=journal"]
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags=0, data=None):
    check(libc.mount(source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags),
                     data and data.encode()), f"mount {target}")


def bind(source, target):
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    mount(source, target, None, MS_BIND)


def make_devices():
    mount("lab", "/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name, (major, minor) in DEVICES.items():
        os.mknod(f"/dev/{name}", 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(f"/dev/{name}", 0o666)
    for name in ("pts", "shm"):
        os.mkdir(f"/dev/{name}")
    mount("lab", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    mount("lab", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV)
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"),
                         ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
        os.symlink(target, f"/dev/{name}")


def lay_root(system):
    """Go to a root whose changes are in the folder "upper"; the machine's is at MACHINE."""
    mount("lab", system["root"], "overlay", 0,
          f"lowerdir=/,upperdir={system['upper']},workdir={system['work']}")
    os.makedirs(system["root"] + MACHINE, exist_ok=True)
    subprocess.run(["pivot_root", system["root"], system["root"] + MACHINE], check=True)
    os.chdir("/")


def leave_machine():
    check(libc.umount2(MACHINE.encode(), MNT_DETACH), "umount")
    os.rmdir(MACHINE)
    mount("lab", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("none", "/", None, MS_REC | MS_SHARED)  # as services expect it; with nobody outside


def make_root(spec):
    hidden_folders = HIDDEN + ("/var/tmp",) if spec["system"] else HIDDEN
    kept = [(path, os.open(path, os.O_PATH)) for path in spec["keep"]
            if spec["system"] or any(path.startswith(hidden + "/") for hidden in hidden_folders)]
    sources = [(os.open(source, os.O_PATH), target) for source, target in spec["binds"]]
    if spec["system"]:
        lay_root(spec["system"])
    mount("lab", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("lab", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY)
    net = os.open("/proc/sys/net", os.O_PATH)
    mount("/proc/sys", "/proc/sys", None, MS_BIND)
    mount("none", "/proc/sys", None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    mount(f"/proc/self/fd/{net}", "/proc/sys/net", None, MS_BIND)
    make_devices()
    if os.path.exists("/proc/sysrq-trigger"):
        mount("/dev/null", "/proc/sysrq-trigger", None, MS_BIND)
    for path in hidden_folders:
        mount("lab", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777" if path.endswith("/tmp") else "mode=755")
    for path, descriptor in kept:
        bind(f"/proc/self/fd/{descriptor}", path)
    for descriptor, target in sources:
        bind(f"/proc/self/fd/{descriptor}", target)
    for path in ("/run/home", "/run/sshd", "/run/lock"):
        os.mkdir(path, 0o700)
    if spec["system"]:
        leave_machine()


def reap():
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def init(spec, go):
    if not os.read(go, 1):
        os._exit(1)
    os.closerange(3, 1024)
    if spec["full"]:
        make_root(spec)
    os.closerange(3, 1024)
    os.chdir("/")
    os.write(1, b"ready\n")
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, 1024)
    if spec["system"]:
        become_systemd()
    reap()


def become_systemd():
    for capability in FORBIDDEN:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.execve(SYSTEMD[0], SYSTEMD, {"container": "mhad-lab", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def enter_cgroup(path):
    os.mkdir(path)
    with open(f"{path}/cgroup.procs", "w", encoding="utf-8") as file:
        file.write("0")


def main():
    spec = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    os.setsid()
    os.umask(0o022)
    kinds = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    if spec["system"]:
        enter_cgroup(spec["system"]["cgroup"])
        kinds |= NEWCGROUP
    check(libc.unshare(kinds), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    name = spec["name"].encode()
    check(libc.sethostname(name, len(name)), "sethostname")
    go, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        try:
            init(spec, go)
        finally:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
    with open(f"/proc/{pid}/stat", "rb") as file:
        start = int(file.read().rpartition(b") ")[2].split()[19])
    with open(spec["record"] + ".new", "w", encoding="utf-8") as file:
        json.dump({"pid": pid, "start": start}, file)
    os.rename(spec["record"] + ".new", spec["record"])
    os.write(release, b"x")


main()
