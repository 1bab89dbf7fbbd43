"""MHA on a lab's hosts, where the machine has its Debian packages, to be measured beside mhad.

By file and position only: of MariaDB's GTIDs it knows nothing, and leaves a replica that had them without. As packaged it
does not run on MariaDB and a new Perl at all: its hosts get a copy with two corrections. Its scripts do no more than they
must, in one SSH session a host, both at once: nobody's scripts for it can be much faster.
"""

import os
import shutil

from . import folder
from .errors import LabError
from .process import until

PROGRAM = "masterha_master_switch"
MODULES = "/usr/share/perl5/MHA"
CORRECTIONS = {
    # Numbers after the third are "redundant arguments", which is fatal.
    "'%03d%03d%03d', $str =~ m/(\\d+)/g": "'%03d%03d%03d', ( $str =~ m/(\\d+)/g )[0 .. 2]",
    "'%03d%03d', $str =~ m/(\\d+)/g": "'%03d%03d', ( $str =~ m/(\\d+)/g )[0 .. 1]",
    # MariaDB and old MySQL have no such variable.
    "SELECT \\@\\@global.super_read_only as Value": "SELECT 0 AS Value",
}
WAITS = "waiting until MySQL doesn't respond"

CONFIG = """\
[server default]
user=mha
password=mha-pw
repl_user=repl
repl_password=repl-pw
ssh_user=root
ssh_options="{ssh}"
manager_workdir={place}
manager_log={place}/manager.log
remote_workdir=/tmp
master_binlog_dir=/srv/mysql
ping_interval={interval}
master_ip_failover_script={place}/move
master_ip_online_change_script={place}/move
"""

MOVE = """\
#!/bin/sh
for word; do
    case $word in
        --command=*) command=${{word#*=}} ;;
        --orig_master_host=*) old=${{word#*=}} ;;
        --new_master_host=*) new=${{word#*=}} ;;
    esac
done
drop() {{ ssh {ssh} "root@$old" 'ip addr del {address}/24 dev eth0'; }}
case $command in
    stopssh) drop ;;
    start)
        [ "$0" = "${{0%online}}" ] || drop </dev/null >/dev/null 2>&1 &
        ssh {ssh} "root@$new" 'ip addr add {address}/24 dev eth0 && perl {place}/announce {address}' ;;
esac
"""

ANNOUNCE = r"""
open F, "/sys/class/net/eth0/address"; ($h = <F>) =~ s/[:\n]//g; $m = pack "H12", $h;
open F, "/sys/class/net/eth0/ifindex"; $n = int <F>;
$a = pack "C4", split /\./, shift; $g = "\xff" x 6;
socket S, 17, 3, unpack("S", pack "n", 0x0806) or exit 1;
send S, $g . $m . pack("nnnCCn", 0x0806, 1, 0x0800, 6, 4, 1) . $m . $a . "\0" x 6 . $a, 0,
    pack("SniSCCa8", 17, 0x0806, $n, 1, 0, 6, $g);
"""


def installed():
    return shutil.which(PROGRAM) is not None and os.path.isdir(MODULES)


class Mha:
    """MHA for the first cluster of a lab, which must be of MariaDB and by position."""

    def __init__(self, lab, ping_interval=3):
        self.lab = lab
        self.place = f"{lab.folder}/mha"
        ssh = f"-i {lab.folder}/ssh_key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        os.mkdir(self.place, 0o700)
        servers = "".join(f"[server{server.id}]\nhostname={server.ip}\ncandidate_master=1\n" for server in lab.servers)
        words = {"ssh": ssh, "place": self.place, "address": lab.address, "interval": ping_interval}
        online = f"master_ip_online_change_script={self.place}/move"
        folder.write(f"{self.place}/app1.cnf", CONFIG.format(**words).replace(online, online + "-online") + servers)
        for name in ("move", "move-online"):
            folder.write(f"{self.place}/{name}", MOVE.format(**words), 0o700)
        folder.write(f"{self.place}/announce", ANNOUNCE)
        self._correct()
        lab.primary.sql("CREATE USER 'mha'@'%' IDENTIFIED BY 'mha-pw'", "GRANT ALL PRIVILEGES ON *.* TO 'mha'@'%'")
        for replica in lab.replicas:
            until(lambda one=replica: one.sql("SELECT 1 FROM mysql.user WHERE user = 'mha'"), 20, "MHA's account")

    def _correct(self):
        shutil.copytree(MODULES, f"{self.place}/MHA")
        for name in os.listdir(f"{self.place}/MHA"):
            path = f"{self.place}/MHA/{name}"
            with open(path, encoding="utf-8") as file:
                text = file.read()
            for wrong, right in CORRECTIONS.items():
                text = text.replace(wrong, right)
            folder.write(path, text, 0o644)
        for host in self.lab.hosts.values():
            host.run("mount", "--bind", f"{self.place}/MHA", MODULES)

    def switch(self, to, timeout=120):
        """Hand the role over. The manager must not run."""
        done = self.lab.mgr.run(PROGRAM, "--master_state=alive", f"--conf={self.place}/app1.cnf",
                                f"--new_master_host={to.ip}", "--orig_master_is_new_slave", "--interactive=0",
                                "--running_updates_limit=3600", timeout=timeout, check=False)
        if done.returncode:
            raise LabError(f"{PROGRAM} ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def settle(self):
        """It has ended when everything has."""

    def report(self):
        """It makes none of a switchover."""

    def end(self):
        """Nothing of it runs."""

    def start_manager(self, timeout=60):
        """Start the monitor, which fails over once and ends, and wait until it watches."""
        self.lab.mgr.spawn(["masterha_manager", f"--conf={self.place}/app1.cnf", "--ignore_last_failover",
                            "--skip_ssh_check"], "mha.out")
        try:
            until(lambda: WAITS in self.log(), timeout, "MHA watches", 0.1)
        except LabError as error:
            raise LabError(f"{error}\n{self.log()}") from None

    def ended(self):
        return not any("masterha_manager" in " ".join(one.arguments()) for one in self.lab.mgr.processes())

    def log(self):
        try:
            with open(f"{self.place}/manager.log", encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""
