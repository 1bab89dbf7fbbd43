"""Scripts that were written for MHA run unchanged: told what MHA tells them, in its order, and believed as it does."""

import json
import os
import stat

import pytest

from labkit import Writer, folder
from labkit.process import until
from manager import PATIENCE, Manager, rungs, steps

pytestmark = [pytest.mark.flavours("mariadb"), pytest.mark.modes("gtid")]

# In the manner of the samples that came with MHA, in Perl without modules of MHA's: notes what it is told, moves the
# address by ssh(1), and ends as the file of its name says for the command.
SCRIPT = r"""#!/usr/bin/perl
use strict;
use warnings;
use Getopt::Long qw(:config pass_through);
my ($name) = $0 =~ m{([^/]+)$};
my ($folder, $vip) = ('%(folder)s', '%(vip)s');
sub quote { my $s = shift; $s =~ s/(["\\])/\\$1/g; $s =~ s/\n/\\n/g; qq("$s") }
open my $log, '>>', "$folder/scripts.log" or die;
my %%env = map { $_ => $ENV{$_} } grep { /PASSWORD/ } keys %%ENV;
print $log '{"script": ', quote($name), ', "arguments": [', join(', ', map { quote($_) } @ARGV), '], "environment": {',
    join(', ', map { quote($_) . ': ' . quote($env{$_}) } sort keys %%env), "}}\n";
close $log;
my ($command, $ssh_user, $orig_host, $new_host, $orig_user, $new_user, $options, @seconds, $host, $port, $pid_file);
GetOptions('command=s' => \$command, 'ssh_user=s' => \$ssh_user, 'orig_master_host=s' => \$orig_host,
    'new_master_host=s' => \$new_host, 'orig_master_ssh_user=s' => \$orig_user, 'new_master_ssh_user=s' => \$new_user,
    'ssh_options=s' => \$options, 'options=s' => \$options, 's=s' => \@seconds, 'master_host=s' => \$host,
    'host=s' => \$host, 'master_port=i' => \$port, 'pid_file=s' => \$pid_file);
$command ||= '';
sub remote { my ($user, $at, $words) = @_; system("ssh $options -o ConnectTimeout=3 $user\@$at '$words'") >> 8 }
if ($name =~ /^master_ip/) {
    remote($orig_user || $ssh_user, $orig_host, "ip addr del $vip/24 dev eth0")
        if $command eq 'stopssh' || $command eq 'stop' && $orig_user;
    remote($new_user || $ssh_user, $new_host, "ip addr add $vip/24 dev eth0") if $command eq 'start';
}
if ($name eq 'shutdown_script' && $command eq 'stopssh') {
    open my $file, '<', "$folder/database.pid";
    remote($ssh_user, $host, 'kill -KILL $(pidof mariadbd)');
}
if (open my $status, '<', "$folder/$name-$command") { chomp(my $words = <$status>); system($words) if $words =~ /\D/;
    exit $words if $words =~ /^\d+$/ }
if ($name eq 'secondary_check_script') {
    for my $second (@seconds) {
        my $rc = remote('root', $second, "perl -MIO::Socket::INET -e \"exit(IO::Socket::INET->new("
            . "PeerAddr => qw($host), PeerPort => $port, Timeout => 1) ? 3 : 0)\"");
        exit($rc == 3 ? 3 : 2) if $rc;
    }
}
exit 0;
"""
NAMES = ("master_ip_failover_script", "master_ip_online_change_script", "shutdown_script", "report_script",
         "secondary_check_script")


class Scripts:
    """Some of MHA's scripts, and what each was told."""

    def __init__(self, lab, *names, arguments="", **ends):
        self.lab = lab
        self.folder = lab.mgr.folder
        self.config = {"ssh_options": f"-i {lab.folder}/ssh_key -o StrictHostKeyChecking=no -o BatchMode=yes "
                                      "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"}
        for name in names:
            path = f"{self.folder}/{name}"
            with open(path, "w", encoding="utf-8") as file:
                file.write(SCRIPT % {"folder": self.folder, "vip": lab.address})
            os.chmod(path, stat.S_IRWXU)
            self.config[name] = f"{path} {arguments}".strip() if name == "secondary_check_script" else path
        for name, words in ends.items():
            self.ends(*name.rsplit("_", 1), words)

    def ends(self, script, command, words):
        """From now on it ends with that status, or first runs that command."""
        with open(f"{self.folder}/{script}_script-{command}", "w", encoding="utf-8") as file:
            file.write(f"{words}\n")

    def told(self, *scripts):
        if not os.path.exists(f"{self.folder}/scripts.log"):
            return []
        with open(f"{self.folder}/scripts.log", encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        return [one for one in found if not scripts or one["script"] in scripts]

    def commands(self, *scripts):
        """[("stop", {option: value})], of those that are no status."""
        found = [dict(word[2:].partition("=")[::2] for word in one["arguments"]) for one in self.told(*scripts)]
        return [(one.get("command"), one) for one in found if one.get("command") != "status"]


def start(lab, scripts, health="ok", servers=None, **hooks):
    """Without an address of mhad's own."""
    return Manager.start(lab, health=health, servers=servers, only={"app1": {"address": None}},
                         hooks={"mha": scripts.config} | hooks, switchover={"max_write_block": "30s"})


def switch(manager, status=0):
    done = manager.order("switch", "app1", "--yes", "--to", "db2")
    assert done.returncode == status, done.stdout + done.stderr + manager.lab.mhad_log_tail()
    return manager.report()


def holders(lab):
    return [server.name for server in lab.servers if lab.address in server.host.addresses()]


def place(prefix, server):
    return [f"--{prefix}_host={server.ip}", f"--{prefix}_ip={server.ip}", f"--{prefix}_port=3306"]


def test_failover(lab):
    """They move the address, cut the power of nobody, and tell of it; no password stands in an argument."""
    scripts = Scripts(lab, "master_ip_failover_script", "shutdown_script", "report_script")
    manager = start(lab, scripts)
    options = [f"--ssh_options={scripts.config['ssh_options']}"]
    until(lambda: len(scripts.told()) == 2, PATIENCE, "the status commands")
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = manager.wait_run()
        until(lambda: scripts.told("report_script"), PATIENCE, "the report")
        writer.wait_elsewhere(PATIENCE)
        primary = manager.well([writer])
    assert "NOT FENCED" not in report["text"] and holders(lab) == [primary.name]
    orig, new = place("orig_master", lab["db1"]), place("new_master", primary)
    until(lambda: len(scripts.told("shutdown_script")) == 2, PATIENCE, "the status commands for the new primary")
    told = scripts.told("master_ip_failover_script")
    assert [one["arguments"] for one in told] == [
        ["--command=status", "--ssh_user=root", *orig, *options],
        [*orig, "--command=stopssh", "--ssh_user=root", *options],
        ["--command=start", "--ssh_user=root", *orig, *new, "--new_master_user=mhad", *options],
        ["--command=status", "--ssh_user=root", *place("orig_master", primary), *options]]
    assert told[2]["environment"] == {"NEW_MASTER_PASSWORD": "mhad-pw"} and not told[1]["environment"]
    assert [one["arguments"] for one in scripts.told("shutdown_script")] == [
        ["--command=status", "--ssh_user=root", f"--host={ip}", f"--ip={ip}", *options]
        for ip in (lab["db1"].ip, primary.ip)]
    (_, told), = scripts.commands("report_script")
    assert told.pop("body") == report["text"] and list(told) == [
        "orig_master_host", "new_master_host", "new_slave_hosts", "conf", "subject"]
    assert told["new_slave_hosts"] == next(server.ip for server in lab.replicas if server is not primary)
    assert told["conf"].endswith("/clusters.d/app1.yaml")
    assert told["subject"] == (f"app1: MySQL Master failover {lab['db1'].ip}({lab['db1'].ip}:3306) to "
                               f"{primary.ip}({primary.ip}:3306) succeeded")


def test_host_is_gone(lab):
    """Without SSH it is stop, not stopssh; a shutdown script that says 0 has fenced the host."""
    scripts = Scripts(lab, "master_ip_failover_script", "shutdown_script")
    manager = start(lab, scripts)
    lab["db1"].host.cut()
    report = manager.wait_run()
    assert rungs(report) == {"process": False, "power": True, "witnesses": True}, report["text"]
    assert scripts.told("shutdown_script")[-1]["arguments"][:4] == [
        "--command=stop", f"--host={lab['db1'].ip}", f"--ip={lab['db1'].ip}", "--port=3306"]
    assert [command for command, _ in scripts.commands("master_ip_failover_script")] == ["stop", "start"]
    assert "ssh_user" not in scripts.commands("master_ip_failover_script")[0][1]


def test_shutdown_says_10(lab):
    """It ended the process itself: the host is up, and that is a fence."""
    scripts = Scripts(lab, "shutdown_script", shutdown_stopssh="10")
    manager = Manager.start(lab, hooks={"mha": scripts.config}, fence={"stop_process": False, "policy": "required"})
    lab["db1"].freeze()
    report = manager.wait_run()
    assert rungs(report)["process"] and "shutdown_script ended the database process" in report["text"]
    manager.well()


def test_shutdown_fails(lab):
    """Then MHA gives the failover up."""
    scripts = Scripts(lab, "shutdown_script", shutdown_stop="7")
    manager = Manager.start(lab, hooks={"mha": scripts.config})
    lab["db1"].host.cut()
    report = manager.wait_run("aborted")
    assert "the script ended with status 7" in report["text"] and not lab["db2"].writable()


def test_switchover(lab):
    scripts = Scripts(lab, "master_ip_failover_script", "master_ip_online_change_script", "report_script")
    manager = start(lab, scripts)
    with Writer(lab) as writer:
        switch(manager)
        manager.wait_health("ok")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        assert not writer.missing_on(lab["db1"])
    assert holders(lab) == ["db2"]
    both = [*place("orig_master", lab["db1"]), "--orig_master_user=mhad", *place("new_master", lab["db2"]),
            "--new_master_user=mhad", "--orig_master_ssh_user=root", "--new_master_ssh_user=root",
            f"--ssh_options={scripts.config['ssh_options']}", "--orig_master_is_new_slave"]
    told = scripts.told("master_ip_online_change_script")
    assert [one["arguments"] for one in told] == [["--command=stop", *both], ["--command=start", *both]]
    for one in told:
        assert one["environment"] == {"ORIG_MASTER_PASSWORD": "mhad-pw", "NEW_MASTER_PASSWORD": "mhad-pw"}
    assert not scripts.told("report_script")
    manager.secrets()


def test_talks(lab):
    """What it says is told, but for the password."""
    scripts = Scripts(lab, "master_ip_online_change_script")
    scripts.ends("master_ip_online_change", "stop", "echo cannot log in with $NEW_MASTER_PASSWORD >&2; kill -9 $PPID")
    manager = start(lab, scripts)
    assert "cannot log in with ***" in switch(manager, status=1)["text"]
    manager.secrets()


@pytest.mark.parametrize("end", ["7", "sleep 4711; sleep 4711"], ids=["fails", "hangs"])
def test_stop_fails(lab, end):
    """All is taken back, also what the script had done: it is started for the old primary. One that hangs is ended."""
    scripts = Scripts(lab, "master_ip_online_change_script", master_ip_online_change_stop=end)
    manager = start(lab, scripts, timeout="2s")
    with Writer(lab) as writer:
        report = switch(manager, status=1)
        assert report["outcome"] == "aborted"
        assert ("the script ended with status 7" if end == "7" else "did not end") in report["text"]
        assert [command for command, _ in scripts.commands()] == ["stop", "start"]
        back = scripts.commands()[1][1]
        assert back["orig_master_host"] == lab["db2"].ip and back["new_master_host"] == lab["db1"].ip
        assert holders(lab) == ["db1"] and lab["db1"].writable()
        manager.wait_health("ok")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
    until(lambda: not lab.mgr.processes("sleep"), PATIENCE, "the end of what it had started")


def test_status_10(lab):
    """Goes on, with a word about it; another status of a start is reported, and the failover is complete."""
    scripts = Scripts(lab, "master_ip_failover_script", master_ip_failover_stopssh="10", master_ip_failover_start="3")
    manager = start(lab, scripts)
    lab["db1"].kill()
    report = manager.wait_run()
    found = steps(report)
    assert "status 10, so it goes on" in json.dumps(found["stop-hook"]) and found["stop-hook"]["state"] == "done"
    assert "status 3" in json.dumps(found["start-hook"]) and found["start-hook"]["state"] == "failed"


def test_password_arguments(lab):
    """Where it is asked for, as MHA does it; of an account of its own, as other tests look at all processes."""
    scripts = Scripts(lab, "master_ip_failover_script")
    lab["db1"].sql("GRANT ALL ON *.* TO shown@'%' IDENTIFIED BY 'shown-pw'")
    folder.write(f"{scripts.folder}/shown", "shown-pw")
    manager = Manager.start(lab, only={"app1": {"address": None}},
                            sql={"user": "shown", "password_file": f"{scripts.folder}/shown"},
                            hooks={"mha": scripts.config, "mha_password_arguments": True})
    lab["db1"].kill()
    manager.wait_run()
    started, = [one for one in scripts.told() if "--command=start" in one["arguments"]]
    assert started["arguments"][-1] == "--new_master_password=shown-pw" and not started["environment"]


def test_check(lab):
    """What their status commands say is part of what mhactl check says. They are told the server by its name for MHA."""
    scripts = Scripts(lab, "master_ip_failover_script", master_ip_failover_status="1")
    manager = start(lab, scripts, servers={"db1": {"mha_hostname": "db1.example.com"}})
    manager.wait_event("warning")
    checks = manager.ask("check", "app1")
    assert not checks["ready"], checks
    found, = [one for one in checks["checks"] if one["id"] == "scripts"]
    assert found["level"] == "error" and "master_ip_failover_script ended with status 1" in found["text"]
    assert scripts.told()[0]["arguments"][2:4] == ["--orig_master_host=db1.example.com",
                                                   f"--orig_master_ip={lab['db1'].ip}"]


def test_secondary_check(lab):
    """It forbids a failover as long as it sees the primary."""
    scripts = Scripts(lab, "secondary_check_script", arguments=f"-s {lab.client.ip}")
    scripts.ends("secondary_check", "", "3")
    manager = start(lab, scripts)
    lab["db1"].host.cut()
    manager.wait(lambda status: "secondary_check_script is greeted by it" in status.get("finding", {}).get("text", ""),
                 "what the script says")
    manager.wait_row("U1")
    manager.untouched(3)
    assert scripts.told()[0]["arguments"] == [
        "-s", lab.client.ip, "--user=root", *place("master", lab["db1"]), "--master_user=mhad", "--ping_type=SELECT",
        f"--options={scripts.config['ssh_options']}"]
    assert scripts.told()[0]["environment"] == {"MASTER_PASSWORD": "mhad-pw"}
    os.unlink(f"{scripts.folder}/secondary_check_script-")
    report = manager.wait_run()
    assert "secondary_check_script gets no answer" in report["text"]


@pytest.mark.parametrize("end, said", [("2", "ended with status 2"), ("sleep 4711", "did not end")])
def test_secondary_check_cannot_tell(lab, end, said):
    """Any status but 0 forbids a failover, as with MHA, also of a primary that is surely gone; an operator goes past it."""
    scripts = Scripts(lab, "secondary_check_script")
    scripts.ends("secondary_check", "", end)
    scripts.config["secondary_check_timeout"] = "2s"
    manager = start(lab, scripts)
    lab["db1"].kill()
    manager.wait_state("held")
    held, = manager.events("held")
    assert "does not confirm that the primary is dead" in held["text"] and said in held["text"], held
    assert said in json.dumps(manager.events("warning"))
    manager.untouched(3)
    if end == "2":
        scripts.ends("secondary_check", "", "0")
    else:
        assert manager.order("failover", "app1", "--yes").returncode == 0
    manager.wait_run()


def test_load_script(lab):
    """Its accounts are used."""
    scripts = Scripts(lab, "report_script")
    path = f"{lab.mgr.folder}/load"
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho user=mhad; echo password=mhad-pw\necho repl_user=repl\n"
                   "echo repl_password=repl-pw\n")
    os.chmod(path, stat.S_IRWXU)
    wrong = {"user": "nobody", "password_file": None}
    manager = Manager.start(lab, only={"app1": {"sql": wrong, "replication": wrong}},
                            hooks={"mha": scripts.config | {"init_conf_load_script": path}})
    with Writer(lab) as writer:
        lab["db1"].kill()
        manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
