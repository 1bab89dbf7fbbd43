"""From MHA to mhad: the configuration of one becomes that of the other, and the cluster is kept by it."""

import os

import pytest

from labkit import Writer
from labkit.host import BUILD
from labkit.process import until
from manager import PATIENCE, Manager

OK = 0

DEFAULTS = """\
[server default]
ssh_user=root
ssh_options=-i {key} -o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes
"""
APPLICATION = """\
[server default]
user=mhad
password=mhad-pw
repl_user=repl
repl_password='repl-pw'
manager_workdir=/var/log/masterha/app1
ping_interval=1
secondary_check_script=masterha_secondary_check -s {client} -s {db2}
report_script={folder}/send_report --to=dba

[server1]
hostname={db1}
[server2]
hostname={db2}
[server3]
hostname={db3}
candidate_master=1
check_repl_delay=0
"""
REPORT = """\
#!/bin/sh
printf '%s\\n' "$@" >{folder}/report.part && mv {folder}/report.part {folder}/reported
"""


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


@pytest.mark.modes("position")
def test_from_mha(lab):
    """As an operator does it: import, a look at what is made, the folder of the state, start; then the primary dies."""
    lab.mhad_config()  # for known_hosts alone
    folder = f"{lab.mgr.folder}/mha"
    etc = f"{folder}/etc"
    os.makedirs(etc)
    os.rename(f"{lab.mgr.folder}/etc/known_hosts", f"{folder}/known_hosts")
    names = {server.name: server.host.ip for server in lab.servers}
    write(f"{folder}/default.cnf", DEFAULTS.format(key=f"{lab.folder}/ssh_key", folder=folder))
    write(f"{folder}/app1.cnf", APPLICATION.format(client=lab.client.ip, folder=folder, **names))
    write(f"{folder}/send_report", REPORT.format(folder=folder), 0o700)
    done = lab.mgr.run("/usr/bin/env", f"MHAD_PROGRAM={BUILD}/daemon/mhad", f"{BUILD}/client/mhactl", "import",
                       f"{folder}/app1.cnf", "--global", f"{folder}/default.cnf", "--output-dir", etc, check=False)
    assert done.returncode == OK, done.stderr
    assert "default.cnf:3" in done.stdout and f"{names['db2']} is server2" in done.stdout
    assert "mhad-pw" not in done.stdout and "repl-pw" not in done.stdout
    with open(f"{etc}/mhad.yaml", encoding="utf-8") as file:
        main = file.read()
    changes = "sql: { tls: { mode: required } }\n" if lab.flavour.needs_tls else "{}\n"
    write(f"{etc}/mhad.yaml", f"{main}daemon:\n  state_directory: {lab.mhad_state}\ndefaults:\n  {changes}", 0o644)
    done = lab.mgr.run(f"{BUILD}/daemon/mhad", "--config", f"{etc}/mhad.yaml", "--check-config", check=False)
    assert done.returncode == OK, done.stderr
    os.rename(lab.mhad_yaml, lab.mhad_yaml + ".unused")
    os.symlink(f"{etc}/mhad.yaml", lab.mhad_yaml)
    os.rename(f"{lab.mgr.folder}/etc/clusters.d", f"{lab.mgr.folder}/etc/unused.d")
    os.symlink(f"{etc}/clusters.d", f"{lab.mgr.folder}/etc/clusters.d")
    lab.start_mhad()
    manager = Manager(lab)
    status = manager.wait_health("ok")
    assert status["primary"] == "server1" and status["if_primary_died"]["candidate"] == "server3"
    assert [observer["host"] for observer in status["observers"]] == [lab.client.ip]
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = manager.wait_run()
        assert report["new_primary"] == "server3"
        until(lambda: os.path.exists(f"{folder}/reported"), PATIENCE, "the report script")
    assert writer
    with open(f"{folder}/reported", encoding="utf-8") as file:
        told = file.read()
    assert told.startswith("--to=dba\n") and f"--new_master_host={names['db3']}\n" in told
    assert lab["db3"].writable()
    until(lab["db2"].replicating, PATIENCE, "the other replica follows")
    assert lab["db2"].status()["source"] == names["db3"]
