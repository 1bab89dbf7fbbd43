"""A user's guide for MHA, followed from top to bottom with mhad in MHA's place.

It sets up a master, a slave that may become master and one that may not, has MHA move an address by a script, and then
tries an automatic failover with a slave that lags, a failover by hand, an online switch and the repair of the dead master.
Here each chapter is a function, and each command stands in a comment before what is done instead. The guide's names are
kept: master, slave1 and slave2 are db1, db2 and db3 of the lab, and server1 to server3 of its app1.cnf.
"""

import os
import pty
import re
import select
import subprocess
import time

from labkit import LabError, Writer, compare, folder, invariants
from labkit.flavours import DATA
from labkit.host import BUILD
from labkit.process import Process, all_pids, until
from manager import PATIENCE, Manager, states, steps

PASSWORD = "wangzongyu"
NAMES = {"db1": "master", "db2": "slave1", "db3": "slave2"}
# 4.3, with the hosts and folders of the lab; repl_user is misspelt in the guide, too.
APP1 = """\
[server default]
user=mhauser
password=wangzongyu
manager_workdir=/data/masterha/app1
manager_log=/data/masterha/manager.log
remote_workdir=/data/masterha/app1
master_ip_failover_script= {bin}/master_ip_failover
master_ip_online_change_script= {bin}/master_ip_online_change
report_script={bin}/send_report
secondary_check_script= /usr/bin/masterha_secondary_check -s slave1 -s master
shutdown_script=""
ssh_user=root
repl_user=repluser
repl_password=wangzongyu
ping_interval=1

[server1]
hostname={db1}
#ssh_port=22
master_binlog_dir={data}

[server2]
hostname={db2}
candidate_master=1
check_repl_delay=0
master_binlog_dir={data}

[server3]
hostname={db3}
master_binlog_dir={data}
no_master=1
"""
# 4.3: the guide's script, with ip(8) for ifconfig(8). In that for an online change $ssh_user is set, as it is not told.
MASTER_IP = r"""#!/usr/bin/env perl
use strict;
use warnings FATAL => 'all';
use Getopt::Long;
my ($command, $ssh_user, $orig_master_host, $orig_master_ip, $orig_master_port, $new_master_host, $new_master_ip,
    $new_master_port);
my $vip = '%(vip)s/24';
my $key = '1';
my $ssh_start_vip = "ip addr add $vip dev eth0 label eth0:$key";
my $ssh_stop_vip = "ip addr del $vip dev eth0";
GetOptions('command=s' => \$command, 'ssh_user=s' => \$ssh_user, 'orig_master_host=s' => \$orig_master_host,
    'orig_master_ip=s' => \$orig_master_ip, 'orig_master_port=i' => \$orig_master_port,
    'new_master_host=s' => \$new_master_host, 'new_master_ip=s' => \$new_master_ip,
    'new_master_port=i' => \$new_master_port);
%(more)s
exit &main();
sub main {
    print "\n\nIN SCRIPT TEST====$ssh_stop_vip==$ssh_start_vip===\n\n";
    if ($command eq 'stop' || $command eq 'stopssh') {
        print "Disabling the VIP on old master: $orig_master_host \n";
        return 0 unless $ssh_user;
        `ssh $ssh_user\@$orig_master_host \" $ssh_stop_vip \"`;
        return 0;
    }
    if ($command eq 'start') {
        print "Enabling the VIP - $vip on the new master - $new_master_host \n";
        `ssh $ssh_user\@$new_master_host \" $ssh_start_vip \"`;
        return 0;
    }
    print "Checking the Status of the script.. OK \n";
    return $command eq 'status' ? 0 : 1;
}
"""
SEND_REPORT = r"""#!/usr/bin/env perl
use Getopt::Long;
GetOptions('orig_master_host=s' => \my $dead, 'new_master_host=s' => \my $new, 'new_slave_hosts=s' => \my $slaves,
    'subject=s' => \my $subject, 'body=s' => \my $body);
open my $mail, '>>', '%(folder)s/mails' or die;
print $mail "Subject: $subject\n$dead -> $new, $slaves\n$body\nend of mail\n";
"""


class Guide:
    def __init__(self, lab):
        self.lab = lab
        self.manager = Manager(lab)
        self.folder = f"{lab.mgr.folder}/masterha"
        self.etc = f"{lab.mgr.folder}/etc"
        self.cluster_file = f"{self.etc}/clusters.d/app1.yaml"
        self.writer = None
        os.makedirs(self.folder)
        os.makedirs(self.etc)
        os.makedirs(lab.mhad_state, mode=0o700)

    def mhactl(self, *words, status=0):
        """What it prints."""
        done = self.manager.order(*words)
        assert done.returncode == status, done.stdout + done.stderr + self.lab.mhad_log_tail()
        return done.stdout + done.stderr

    def on_terminal(self, *words, answers):
        """mhactl on a terminal, each of its questions answered; what the terminal shows."""
        ours, its = pty.openpty()
        with subprocess.Popen(self.lab.mgr.command(f"{BUILD}/client/mhactl", "--no-color", *words), stdin=its, stdout=its,
                              stderr=its, start_new_session=True) as process:
            os.close(its)
            shown, left, end = b"", list(answers), time.monotonic() + PATIENCE
            while select.select([ours], [], [], end - time.monotonic())[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:
                    break
                if shown.endswith(b"[y/N] ") and left:
                    os.write(ours, f"{left.pop(0)}\n".encode())
            os.close(ours)
            text = shown.decode().replace("\r", "")
            assert process.wait(PATIENCE) == 0 and not left, text
        return text

    def edit(self, changes):
        """As an operator does it with an editor: pattern: replacement; then mhactl reload."""
        with open(self.cluster_file, encoding="utf-8") as file:
            text = file.read()
        for old, new in changes.items():
            assert re.search(old, text), (old, text)
            text = re.sub(old, new, text)
        folder.write(self.cluster_file, text, 0o644)
        self.mhactl("reload")

    def vip_is_on(self, name):
        """The guide's script tells nobody that the address has moved; what a router forgets in time, the client forgets now."""
        holders = [server.name for server in self.lab.servers if self.lab.address in server.host.addresses()]
        assert holders == [name], holders
        self.lab.client.run("ip", "neigh", "flush", "dev", "eth0")

    def mail(self):
        """What send_report has sent, once it is whole."""
        if not os.path.exists(f"{self.folder}/mails"):
            return None
        with open(f"{self.folder}/mails", encoding="utf-8") as file:
            text = file.read()
        return text if text.endswith("\nend of mail\n") else None

    def repair(self, name):
        """12.5: grep "All other slaves should start" manager.log; CHANGE MASTER TO ... on the dead master."""
        server = f"server{name[-1]}"
        self.lab[name].start()
        until(lambda: not self.lab[name].writable(), PATIENCE, f"{name} is made read-only")
        until(lambda: self.manager.server(server).get("read_only"), PATIENCE, f"{name} is seen")
        self.manager.wait_state("steady")
        said = self.mhactl("rejoin", "app1", server)
        assert f"{server} follows the primary again" in said, said
        assert not next(one for one in self.manager.status()["servers"] if one["name"] == server).get("downtime")
        self.manager.wait_health("ok")


def chapters_1_to_3(guide):
    """Hosts, replication, accounts, keys."""
    lab = guide.lab
    # 1.1, 3: names in /etc/hosts
    with open(f"{lab.folder}/etc/hosts", "a", encoding="utf-8") as file:
        file.write("".join(f"{lab[name].ip} {alias}\n" for name, alias in NAMES.items()))
    # 2: only slave1 is semi-synchronous
    if lab.settings["semisync"]:
        lab["db3"].sql(f"SET GLOBAL {lab['db3'].word('semisync_replica')}=0")
    for replica in lab.replicas:  # 2.2: set global read_only=1
        replica.set_read_only(True)
    net = lab.primary.ip.rpartition(".")[0]
    for user in ("mhauser", "repuser"):  # 2.3, 2.4: grant all on *.* to ...
        lab.primary.sql(f"CREATE USER {user}@'{net}.%' IDENTIFIED BY '{PASSWORD}'",
                        f"GRANT ALL ON *.* TO {user}@'{net}.%'")
    for replica in lab.replicas:
        role = replica.word("Source").upper()
        replica.sql(replica.word("stop"), f"{replica.word('change')} {role}_USER='repuser', {role}_PASSWORD='{PASSWORD}'",
                    replica.word("start"))
        until(replica.replicating, PATIENCE, f"{replica.name} replicates as repuser")
    # 3: ssh-keygen -t rsa -P ''; cat .ssh/id_rsa.pub >> .ssh/authorized_keys; scp -p .ssh/id_rsa ... to each
    places = [*NAMES.values(), *(server.ip for server in lab.servers)]
    key = lab.mgr.run("sh", "-ec", "mkdir -m 700 -p ~/.ssh; ssh-keygen -q -t rsa -b 2048 -P '' -f ~/.ssh/id_rsa; "
                      f"ssh-keyscan {' '.join(places)} >~/.ssh/known_hosts 2>/dev/null; cat ~/.ssh/id_rsa.pub", timeout=PATIENCE).stdout
    for name, alias in NAMES.items():
        lab[name].host.run("sh", "-ec", "cat >>/run/authorized_keys", input=key)
        lab.mgr.run("sh", "-ec", f"ssh {alias} mkdir -m 700 -p .ssh; scp -qp ~/.ssh/id_rsa ~/.ssh/known_hosts {alias}:.ssh/")


def chapter_4(guide):
    """masterha-manager is installed and configured: its scripts, app1.cnf."""
    lab = guide.lab
    failover = {"vip": lab.address, "more": ""}
    change = {"vip": lab.address, "more": "$ssh_user = 'root';"}
    for name, text in (("master_ip_failover", MASTER_IP % failover), ("master_ip_online_change", MASTER_IP % change),
                       ("send_report", SEND_REPORT % {"folder": guide.folder})):
        folder.write(f"{guide.folder}/{name}", text, 0o755)  # chmod +x
    ips = {server.name: server.ip for server in lab.servers}
    folder.write(f"{guide.folder}/app1.cnf", APP1.format(bin=guide.folder, data=DATA, **ips))
    done = lab.mgr.run("/usr/bin/env", f"MHAD_PROGRAM={BUILD}/daemon/mhad", f"{BUILD}/client/mhactl", "import",
                       f"{guide.folder}/app1.cnf", "--output-dir", guide.etc)
    said = dict(re.findall(r"^[! ] \S* +(.+?) -> (.*)$", done.stdout, re.MULTILINE))
    parameters = set(re.findall(r"^(\w+)=", APP1, re.MULTILINE))
    assert parameters | {"SSH key", "host keys"} == set(said), done.stdout
    assert said["secondary_check_script"].startswith("slave1 is server2, which is asked anyway, master is server1, which is "
                                                     "asked anyway; a host that cannot be asked does not forbid")
    assert said["candidate_master"] == "servers: promotion: prefer" and said["no_master"] == "servers: promotion: never"
    assert PASSWORD not in done.stdout + done.stderr
    tls = "defaults: { sql: { tls: { mode: required } } }\n" if lab.flavour.needs_tls else ""
    folder.write(f"{guide.etc}/mhad.yaml", f"daemon:\n  state_directory: {lab.mhad_state}\n{tls}", 0o644)
    # Before it is in charge it only looks on.
    with open(guide.cluster_file, "a", encoding="utf-8") as file:
        file.write("  mode: monitor\n")
    checked = lab.mgr.run(f"{BUILD}/daemon/mhad", "--config", f"{guide.etc}/mhad.yaml", "--check-config")
    assert "no errors" in checked.stdout


def chapter_5(guide):
    """The nodes: nothing is installed on them."""
    for replica in guide.lab.replicas:
        replica.sql("SET GLOBAL relay_log_purge=0")  # 5.1: set global relay_log_purge=0


def chapters_6_and_7(guide):
    """The checks; the daemon is asked, so it is there already."""
    guide.lab.start_mhad(timeout=PATIENCE)
    guide.manager.wait_state("steady")
    # 6: masterha_check_ssh --conf=/etc/masterha/app1.cnf
    said = guide.mhactl("check", "ssh")
    assert len(re.findall("logged in as root; it reaches the other databases; its newest binary log can be read", said)) == 3
    assert "ssh is OK" in guide.mhactl("check", "ssh", "--mesh")
    # 7: masterha_check_repl --conf=/etc/masterha/app1.cnf
    said = guide.mhactl("check", "replication", status=1)
    assert "there is no account repluser" in said and "replication is NOT OK: 2 errors" in said, said
    guide.edit({"repluser": "repuser"})
    guide.manager.wait_state("steady")
    assert "replication is OK: 0 errors" in guide.mhactl("check", "replication")


def chapters_8_and_9(guide):
    """The manager is started, and the address is up."""
    # 8.1: masterha_manager --conf=... --remove_dead_master_conf --ignore_last_failover
    guide.edit({r"  mode: monitor\n": "  remove_dead_primary: true\n  flap_window: 0s\n"})
    guide.manager.wait_health("ok")
    # 8.2: masterha_check_status --conf=...
    status = guide.mhactl("status", "app1")
    assert re.search(r"server1 +primary .*writable", status) and "If server1 died now, server2 would take over" in status
    until(lambda: "[scripts_well]" in guide.mhactl("check", "app1"), PATIENCE, "the status commands")
    # 9: ifconfig ens33:1 172.30.105.203 (the lab has done it)
    guide.vip_is_on("db1")


def chapter_10(guide):
    """Automatic failover, while slave2 lags."""
    lab, manager = guide.lab, guide.manager
    Writer.make_tables(lab)
    lab.primary.sql("CREATE TABLE app.sbtest (id INT PRIMARY KEY AUTO_INCREMENT, k INT, c CHAR(120), pad CHAR(60))")
    lab["db3"].stop_io()  # 10.2: stop slave io_thread, before the rows are there
    fill = "INSERT INTO app.sbtest (k, c, pad) SELECT a.id % 50, '', '' FROM app.bench a, app.bench b WHERE b.id <= 5"
    lab.primary.sql(fill, timeout=PATIENCE)  # 10.1: sysbench ... prepare
    guide.writer = Writer(lab, rich=1000).start()  # 10.3: sysbench ... run
    lab.primary.sql(*(f"UPDATE app.sbtest SET c = REPEAT('{letter}', 120) WHERE k = {k}" for letter in "ab" for k in range(50)),
                    timeout=PATIENCE)
    manager.wait_health("warning")
    assert "receiver stopped" in guide.mhactl("status", "app1", status=10)
    lab["db3"].start_io()  # 10.4: start slave io_thread
    lab["db1"].kill()  # 10.5
    report = manager.wait_run()
    text = guide.mhactl("report", "app1")  # tail -f manager.log
    assert "primary server1 -> server2" in text and "Begun by mhad\n" in text and "Why: " in text
    assert report["loss"]["verdict"] == "none", text
    found = states(report)
    assert found["server1"] == "fenced" and found["server2"] == "primary", found
    # MySQL from 8.0 on takes a minute to stop an applier that has half a transaction; then the run leaves it for later.
    until(lambda: lab["db3"].replicating() and lab["db3"].status()["source"] == lab["db2"].ip, PATIENCE, "slave2 follows")
    assert re.search(r"server2: it follows nobody; its binary log ends at \S+:\d+", text), "where the others start"
    if lab.mode == "position":
        assert re.search(r"server3 +had received up to \S+;.* it was fed ", text), text
    # 10.6: ip a; the mail; app1.cnf without server1; masterha_check_status
    mail = until(guide.mail, PATIENCE, "the mail")
    assert re.match(rf"Subject: app1: MySQL Master failover {lab['db1'].ip}\S+ to {lab['db2'].ip}\S+ succeeded\n"
                    rf"{lab['db1'].ip} -> {lab['db2'].ip}, {lab['db3'].ip}\n", mail), mail
    guide.vip_is_on("db2")
    guide.writer.wait_elsewhere(PATIENCE)
    manager.wait_health("ok")
    assert re.search(r"server1 +dead .*\n +taken out by mhad: it was the primary that died", guide.mhactl("status", "app1"))
    guide.repair("db1")


def chapter_11(guide):
    """Failover by hand: two questions."""
    lab = guide.lab
    guide.mhactl("pause", "app1", "--reason", "no failover by itself")  # masterha_stop --conf=...
    lab["db2"].kill()
    guide.manager.wait_state("held")
    assert "paused" in guide.mhactl("status", "app1", status=11)
    # masterha_master_switch --master_state=dead --dead_master_host=... --new_master_host=... --ignore_last_failover
    shown = guide.on_terminal("failover", "app1", "--to", "server1", "--ignore-last-failover", answers=["yes", "yes"])
    # "Master ... is dead. Proceed? (yes/NO)", "Starting master switch from ... to ...? (yes/NO)"
    assert re.search(r"server2, the primary of app1, is dead: Its process is gone.*\n\nProceed\? \[y/N\] yes", shown), shown
    assert re.search(r"server1 takes the place of server2\n\n  now: +server2  \(primary, dead\)\n(.*\n)*  then: +server1  "
                     r"\(primary\)\n(.*\n)*Fail over app1 from server2 to server1 now\? \[y/N\] yes", shown), shown
    assert "Completed." in shown
    report = guide.manager.report()
    assert report["by"].startswith("root") and report["loss"]["verdict"] == "none", report["text"]
    guide.vip_is_on("db1")
    guide.writer.wait_elsewhere(PATIENCE)
    guide.mhactl("resume", "app1")
    guide.repair("db2")


def chapter_12(guide):
    """Online switch; the old primary becomes a replica."""
    lab = guide.lab
    for replica in lab.replicas:  # 12.2: threads run, and nobody lags
        until(lambda one=replica: one.status()["lag"] in (0, 1), PATIENCE, "nobody lags") if replica.status() else None
    # masterha_master_switch --master_state=alive --new_master_host=... --orig_master_is_new_slave --running_updates_limit=10000
    guide.edit({r"\Z": "switchover: { running_updates_limit: 10000s }\n"})
    guide.manager.wait_health("ok")
    lab.note_fault("the online switch")
    shown = guide.on_terminal("switch", "app1", "--to", "server2", answers=["yes"])
    assert re.search(r"server1 hands the primary role over to server2\n\n  now: +server1  \(primary\)\n(.*\n)*  then: +server2  "
                     r"\(primary\)\n(.*server[13]\n)+\nSwitch app1 from server1 to server2 now\? \[y/N\] yes", shown), shown
    report = guide.manager.report()
    assert steps(report)["demote"]["state"] == "done" and report["write_block_ms"] < 30000, report["text"]
    guide.vip_is_on("db2")
    guide.writer.wait_elsewhere(PATIENCE)
    status = lab["db1"].status()  # 12.5: show slave status
    assert status["source"] == lab["db2"].ip and status["io"] == status["sql"] == "Yes" and not lab["db1"].writable()


def chapter_5_by_hand(guide):
    """5.1: purge_relay_logs --user=... --disable_relay_log_purge --workdir=..., on slave2, where relay logs are kept."""
    db3 = guide.lab["db3"]
    db3.sql("SET GLOBAL relay_log_purge=0", "FLUSH RELAY LOGS", "FLUSH RELAY LOGS")

    def logs():
        return [name for name in os.listdir(db3.data) if re.fullmatch(r"relay\.\d+", name)]

    until(lambda: db3.status()["raw"]["Relay_Log_File"] == max(logs()), PATIENCE, "all are applied")
    before = len(logs())
    assert re.search("logs of server3: done: ", guide.mhactl("purge-relay-logs", "app1", "--server", "server3"))
    until(lambda: len(logs()) < before, PATIENCE, "fewer relay logs")
    assert db3.replicating() and not int(db3.value("SELECT @@global.relay_log_purge"))


def at_the_end(guide):
    """Equal data, nothing lost, no secret told."""
    guide.writer.wait_acknowledged(10, PATIENCE)
    guide.writer.stop()
    lab = guide.lab
    assert invariants(lab, timeout=PATIENCE).name == "db2"
    compare(lab.servers)
    for server in lab.servers:
        assert not guide.writer.missing_on(server), server.name
    assert len(guide.writer.account().servers()) == 2
    assert [run["procedure"] for run in guide.manager.history()].count("failover") == 2
    said = lab.mhad_log_tail(10**6) + "".join(" ".join(process.arguments()) for process in map(Process, all_pids()))
    assert PASSWORD not in said
    guide.manager.wait_health("ok")
    assert lab.stop_mhad() == 0  # 8.3: masterha_stop --conf=...


def test_the_guide(make_lab, flavour):
    mode = "gtid" if flavour == "mysql9" else "position"  # the guide's own replicates by position
    guide = Guide(make_lab(flavour=flavour, mode=mode, semisync=flavour != "mysql56"))
    for chapter in (chapters_1_to_3, chapter_4, chapter_5, chapters_6_and_7, chapters_8_and_9, chapter_10, chapter_11,
                    chapter_12, chapter_5_by_hand, at_the_end):
        try:
            chapter(guide)
        except LabError as error:
            raise LabError(f"{chapter.__name__}: {error}") from None
