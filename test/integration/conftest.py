"""Fixtures: a lab a test.

A test that wants one takes `lab`, and is run for each flavour and mode that its marks allow:

    @pytest.mark.flavours("mariadb", "mysql9")   # default: all
    @pytest.mark.also("mariadb11")               # and for another release of one of them
    @pytest.mark.modes("gtid")                   # default: position and gtid
    @pytest.mark.lab(replicas=1)                 # settings for Lab.up()

or it takes `make_lab` and makes its own. MHAD_FLAVOURS ("mariadb,mysql9") restricts a run to some flavours. Another
release of a flavour ("mariadb11", "mariadb105") has all its tests when it is asked for there, and else those marked.
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from labkit import Lab, LabError, flavours  # noqa: E402  pylint: disable=wrong-import-position

ASKED = os.environ.get("MHAD_FLAVOURS")
WANTED = [flavours.flavour_named(name) for name in ASKED.split(",")] if ASKED else \
    [flavour for flavour in flavours.FLAVOURS.values() if flavour.like == flavour.name]
MARIADB = next((flavour.name for flavour in WANTED if flavour.like == "mariadb"), "mariadb")  # where a test names none
MISSING = "FLAVOUR NOT AVAILABLE"
LABS = pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line("markers", "flavours(*names): the server flavours a test is for")
    config.addinivalue_line("markers", "also(*names): other releases that a test is for, even if not asked for")
    config.addinivalue_line("markers", "modes(*names): the replication modes a test is for")
    config.addinivalue_line("markers", "lab(**settings): settings of the lab")
    if os.geteuid() != 0:
        pytest.exit("the lab needs root", 2)


def _allowed(metafunc, mark, default):
    found = metafunc.definition.get_closest_marker(mark)
    return list(found.args if found else default)


def pytest_generate_tests(metafunc):
    if "flavour" in metafunc.fixturenames:
        allowed = _allowed(metafunc, "flavours", flavours.FLAVOURS)
        names = [flavour.name for flavour in WANTED if flavour.like in allowed]
        names += [] if ASKED else _allowed(metafunc, "also", [])
        metafunc.parametrize("flavour", names)
    if "mode" in metafunc.fixturenames:
        metafunc.parametrize("mode", _allowed(metafunc, "modes", ["position", "gtid"]))


def require(name):
    """Skip if the flavour cannot be had; fail in CI, and for MariaDB anywhere."""
    flavour = flavours.flavour_named(name)
    try:
        flavour.fetch()
    except LabError as error:
        if name == "mariadb" or os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{MISSING}: {error}")


@pytest.fixture
def available(flavour):
    """The flavour, for a test that makes no lab by make_lab."""
    require(flavour)
    return flavour


@pytest.fixture
def make_lab(request):
    """Lab.up() that is taken down when the test is over."""
    labs = request.node.stash.setdefault(LABS, [])

    def make(**settings):
        flavour = flavours.flavour_named(settings.setdefault("flavour", MARIADB))
        if settings.get("systemd") and flavour.like != flavour.name:
            pytest.skip("systemd runs no server in a tree of its own")
        require(flavour.name)
        lab = Lab.up(**settings)
        labs.append(lab)
        return lab

    yield make
    wrong = []
    for lab in labs:
        try:
            status = lab.stop_mhad() if lab.mhad else 0
            if status:
                wrong.append(f"mhad ended with status {status}\n{lab.mhad_log_tail()}")
        except LabError as error:
            wrong.append(f"{error}\n{lab.mhad_log_tail()}")
        finally:
            lab.down()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def lab(request, make_lab, flavour, mode):
    mark = request.node.get_closest_marker("lab")
    return make_lab(flavour=flavour, mode=mode, **(mark.kwargs if mark else {}))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        for one in item.stash.get(LABS, []):
            report.sections.append((f"lab {one.id}", one.describe()))
            report.sections.append(("end of mhad's log", one.mhad_log_tail()))


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("passed", []):
        for told in [value for name, value in report.user_properties if name == "told"]:
            terminalreporter.write_line(told)
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", [])
               if isinstance(report.longrepr, tuple)}
    for reason in sorted(reason for reason in reasons if MISSING in reason):
        terminalreporter.write_line(reason, red=True, bold=True)
