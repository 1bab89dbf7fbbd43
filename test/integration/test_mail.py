"""Reports by mail: sent through a program like sendmail, never waited for, and told of once when it cannot be sent."""

import email
import email.policy
import os
import stat

import pytest

from labkit.process import until
from manager import PATIENCE, Manager

pytestmark = [pytest.mark.flavours("mariadb"), pytest.mark.modes("gtid")]


def make_program(lab, words):
    path = f"{lab.mgr.folder}/sendmail"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\necho \"$@\" >{lab.mgr.folder}/mail.arguments\n{words}\n")
    os.chmod(path, stat.S_IRWXU)
    return {"to": "dba@example.com, oncall@example.com", "from": "mhad@example.com", "program": path}


def test_report_is_mailed(lab):
    manager = Manager.start(lab, mail=make_program(lab, f"cat >{lab.mgr.folder}/mail.part; "
                                                   f"mv {lab.mgr.folder}/mail.part {lab.mgr.folder}/mail"))
    lab["db1"].kill()
    report = manager.wait_run()
    until(lambda: os.path.exists(f"{lab.mgr.folder}/mail"), PATIENCE, "the mail")
    with open(f"{lab.mgr.folder}/mail", "rb") as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    assert mail["To"] == "dba@example.com, oncall@example.com" and mail["From"] == "mhad@example.com"
    assert mail["Subject"].startswith("[mhad] app1: failover completed: db1 -> ") and mail["Date"].datetime
    assert not mail.defects and mail.get_content().strip() == report["text"].strip()
    with open(f"{lab.mgr.folder}/mail.arguments", encoding="utf-8") as file:
        assert file.read() == "-i -t -f mhad@example.com\n"
    assert not manager.events("warning")
    manager.secrets()


@pytest.mark.parametrize("words,says", [("echo 'no such user' >&2; echo more >&2; exit 67", "no such user"),
                                        ("exec sleep 600", "did not end by itself")])
def test_mail_fails(lab, words, says):
    """The failover is not a moment slower, and the failure is said once."""
    manager = Manager.start(lab, mail={**make_program(lab, words), "timeout": "2s"})
    lab["db1"].kill()
    manager.wait_run()
    assert manager.wait_state("steady")["health"] != "running"
    warnings = until(lambda: [event for event in manager.events("warning") if "mail" in event["text"]], PATIENCE,
                     "the warning")
    assert len(warnings) == 1 and says in warnings[0]["text"] and "more" not in warnings[0]["text"]
    assert "dba@example.com" in warnings[0]["text"]


def test_mail_without_a_program(lab):
    """That it is not there is said at the start, and again when a mail would have to be sent."""
    manager = Manager.start(lab, mail={"to": "dba@example.com", "program": "/nowhere/sendmail"})
    assert any("/nowhere/sendmail" in line for line in lab.mhad_log_tail().splitlines() if "warning" in line)
    lab["db1"].kill()
    manager.wait_run()
    until(lambda: any("could not be mailed" in event["text"] for event in manager.events("warning")), PATIENCE,
          "the warning")
