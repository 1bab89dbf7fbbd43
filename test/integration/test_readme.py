"""The README's five minutes on three real servers: its very commands, on servers that have no account of mhad yet."""

import glob
import re

from labkit.host import BUILD, REPOSITORY
from labkit.process import run
from manager import PATIENCE
from test_systemd import Served, booted

COPY = re.compile(r"^for host in .* ssh-copy-id .*\n", re.MULTILINE)


def section():
    with open(f"{REPOSITORY}/README.md", encoding="utf-8") as file:
        return file.read().partition("\n## Five minutes on three real servers\n")[2].partition("\n## ")[0]


def block(kind):
    found, = re.findall(rf"^```{kind}\n(.*?)^```$", section(), re.MULTILINE | re.DOTALL)
    return found


def of_the_lab(lab, text):
    """With the addresses of the lab; each is there to be replaced."""
    for number, address in enumerate([server.ip for server in lab.servers] + [lab.address]):
        there = f"10.0.0.{number + 1 if number < 3 else 100}"
        assert re.search(rf"\b{re.escape(there)}\b", text), there
        text = re.sub(rf"\b{re.escape(there)}\b", address, text)
    return text


def install(lab):
    """What apt does with packages that it has; there is no archive in a lab for what else they want."""
    run([f"{REPOSITORY}/units/package", BUILD, f"{lab.folder}/packages"], timeout=120)
    packages = sorted(glob.glob(f"{lab.folder}/packages/*.deb"))
    lab.mgr.run("dpkg", "--no-triggers", "--install", *packages, timeout=PATIENCE)


def let_in(lab, key):
    """What ssh-copy-id does where a password lets it in."""
    for server in lab.servers:
        with open(f"/proc/{server.host.holder.process().pid}/root/run/authorized_keys", "w", encoding="utf-8") as file:
            file.write(key)


def test_five_minutes():
    with booted(replicas=2) as service:
        lab = service.lab
        lab.primary.sql("DROP USER 'mhad'@'%'", "DROP USER 'repl'@'%'")
        lab.primary.sql(*[statement for statement in block("sql").split(";\n") if statement.strip()])
        first, apt, script = of_the_lab(lab, block("sh")).partition("apt install ./packages/*.deb\n")
        assert apt and not first
        copy, = COPY.findall(script)
        before, after = script.split(copy)
        install(lab)
        lab.mgr.run("sh", "-ec", before)
        let_in(lab, service.read("/etc/mhad/id_ed25519.pub"))
        done = lab.mgr.run("sh", "-exc", f"cd /etc/mhad\n{after}", timeout=PATIENCE * 2)
        assert "db2" in done.stdout, done.stdout
        status = Served(service).wait_health("ok")
        assert status["primary"] == "db2", done.stdout + done.stderr
        assert lab.address in lab["db2"].host.addresses() and not lab["db1"].writable()
