#!/usr/bin/env python3
"""The manual pages: mandoc finds nothing wrong with them, and mhactl(1) has every verb and option of mhactl, with an example."""
import os
import re
import shutil
import subprocess
import sys
import unittest

MHACTL, *PAGES = sys.argv[1:]
NO_DATE = "missing date"  # the version stands in the page's foot instead


def said(*arguments):
    return subprocess.run([MHACTL, *arguments], capture_output=True, text=True, timeout=20, check=True).stdout


def verbs():
    part = said("help").partition("Verbs:\n")[2].partition("\n\n")[0]
    return re.findall(r"^  ([a-z-]+)", part, re.MULTILINE)


def plain(page):
    """Its source without font changes and escapes."""
    with open(page, encoding="utf-8") as file:
        text = file.read()
    return re.sub(r"\\f[A-Z]", "", text).replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


class Manual(unittest.TestCase):
    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_lint(self):
        for page in PAGES:
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True,
                                  timeout=60, check=False)
            wrong = [line for line in (done.stdout + done.stderr).splitlines() if NO_DATE not in line]
            self.assertEqual(wrong, [], page)

    def test_verbs(self):
        page = plain(next(page for page in PAGES if page.endswith("mhactl.1")))
        examples = page.partition(".SH EXAMPLES")[2].partition("\n.SH ")[0]
        self.assertGreater(len(verbs()), 20)
        for verb in verbs():
            self.assertRegex(page, rf"(?m)^\.BR? \"?{verb}\b", f"{verb} is not told of")
            self.assertRegex(examples, rf"(?m)^mhactl {verb}\b", f"{verb} has no example")
            self.assertRegex(said("help", verb), rf"(?m)^  mhactl {verb}\b", f"help {verb} has no example")
            for option in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", said("help", verb), re.MULTILINE):
                self.assertIn(option, page, f"{option} of {verb} is not told of")

    def test_verdicts(self):
        """A row that status and events name can be looked up."""
        page = plain(next(page for page in PAGES if "mhad-runbook" in page))
        part = page.partition(".SH HOW A DEATH IS JUDGED")[2].partition("\n.SH ")[0]
        rows = re.findall(r"(?m)^([A-Z][0-9])\n  here: ", part)
        self.assertGreater(len(rows), 10)
        self.assertIn("D3", rows)

    def test_references(self):
        """A page of ours that another one names is there."""
        names = {os.path.basename(page).rsplit(".", 1)[0] for page in PAGES}
        for page in PAGES:
            for name, _ in re.findall(r"\b(mh[a-z.-]+)\(([0-9])\)", plain(page)):
                self.assertIn(name, names, page)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
