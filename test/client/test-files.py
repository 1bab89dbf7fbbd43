#!/usr/bin/env python3
"""mhactl's verbs about files, with the daemon's own program behind them and no daemon."""
import os
import stat
import subprocess
import sys
import tempfile
import unittest

MHACTL, MHAD, DATA = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)


class Files(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="mhad-test-files-")
        self.addCleanup(holder.cleanup)
        self.folder = holder.name
        self.main = f"{self.folder}/mhad.yaml"

    def run_it(self, *words, status=0):
        environment = dict(os.environ, MHAD_PROGRAM=MHAD, MHAD_SOCKET=f"{self.folder}/nobody")
        done = subprocess.run([MHACTL, *words], env=environment, capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def bring_in(self, name="app1.cnf", *words, status=0):
        return self.run_it("import", f"{DATA}/{name}", "--output-dir", self.folder, *words, status=status)

    def read(self, name="clusters.d/app1.yaml"):
        with open(f"{self.folder}/{name}", encoding="utf-8") as file:
            return file.read()

    def edit(self, *words, status=3):
        """Status 3: the file was changed, and there is no daemon to be told."""
        return self.run_it("server", *words, "--config", self.main, status=status)

    def test_import_loads(self):
        """What the guide's file becomes is taken by the daemon's own check, once the program that it names is there."""
        said = self.bring_in().stdout
        self.assertIn("detection.ping_interval: 1s", said)
        self.assertNotIn("wangzongyu", said + self.read())
        for name in ("app1.sql.password", "app1.replication.password"):
            self.assertEqual(self.read(name), "wangzongyu\n")
            self.assertEqual(stat.S_IMODE(os.stat(f"{self.folder}/{name}").st_mode), 0o600)
        done = subprocess.run([MHAD, "--config", self.main, "--check-config"], capture_output=True, text=True, check=False)
        allowed = [line for line in done.stderr.splitlines() if "cannot run /usr/bin/" in line]
        self.assertTrue(done.returncode == 0 or allowed, done.stderr)
        self.assertNotIn("secret", done.stderr)

    def test_import_overwrites_nothing(self):
        self.bring_in()
        before = self.read()
        self.assertIn("exists already", self.bring_in(status=1).stderr)
        self.assertEqual(self.read(), before)

    def test_import_error(self):
        path = f"{self.folder}/bad.cnf"
        with open(path, "w", encoding="utf-8") as file:
            file.write("[server1]\nhostnam=a\nwhat is this\n")
        done = self.run_it("import", path, "--output-dir", self.folder, status=1)
        self.assertIn(f"{path}:2: MHA knows no parameter hostnam (did you mean hostname?)", done.stderr)
        self.assertIn(f"{path}:3: ", done.stderr)
        self.assertEqual(os.listdir(self.folder), ["bad.cnf"])

    def test_import_incomplete(self):
        """Without repl_user it would not load, so it gets a name that the daemon does not read."""
        path = f"{self.folder}/shop.cnf"
        with open(path, "w", encoding="utf-8") as file:
            file.write("[server1]\nhostname=a\n[server2]\nhostname=b\n")
        done = self.run_it("import", path, "--output-dir", self.folder, status=1)
        self.assertIn("replication.user is missing", done.stderr)
        self.assertEqual(os.listdir(f"{self.folder}/clusters.d"), ["shop.yaml.incomplete"])

    def test_import_with_defaults(self):
        said = self.bring_in("every.cnf", "--global", f"{DATA}/default.cnf").stdout
        self.assertIn("default.cnf:5", said)
        self.assertIn("connect_timeout: 4s", self.read("clusters.d/every.yaml"))

    def test_server(self):
        self.bring_in()
        path = f"{self.folder}/clusters.d/app1.yaml"
        os.chmod(path, 0o640)
        if os.geteuid() == 0:
            os.chown(path, 1, 1)
        owner = os.stat(path).st_uid
        before = self.read()
        done = self.edit("add", "app1", "db4", "host=10.0.0.4", "promotion=never")
        self.assertIn("changed", done.stdout)
        self.assertIn("not running", done.stderr)
        self.assertEqual(self.read(), before.replace("promotion: never\n", "promotion: never\n  - name: db4\n"
                                                     "    host: 10.0.0.4\n    promotion: never\n"))
        self.edit("set", "app1", "db4", "port=3307", "promotion=")
        self.assertIn("  - name: db4\n    host: 10.0.0.4\n    port: 3307\n\n", self.read())
        self.assertIn("is not known", self.edit("remove", "app1", "db4").stderr)
        self.assertNotEqual(self.read(), before)
        self.edit("remove", "app1", "db4", "--yes")
        self.assertEqual(self.read(), before)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        self.assertEqual(os.stat(path).st_uid, owner)
        self.assertEqual(os.listdir(f"{self.folder}/clusters.d"), ["app1.yaml"])

    def test_server_through_a_link(self):
        self.bring_in()
        os.rename(f"{self.folder}/clusters.d/app1.yaml", f"{self.folder}/elsewhere")
        os.symlink("../elsewhere", f"{self.folder}/clusters.d/app1.yaml")
        self.edit("remove", "app1", "server3", "--yes")
        self.assertTrue(os.path.islink(f"{self.folder}/clusters.d/app1.yaml"))
        self.assertNotIn("server3", self.read("elsewhere"))

    def test_server_refused(self):
        """All that is wrong is told, and nothing is changed."""
        self.bring_in()
        before = self.read()
        for words, says in ((("add", "app1", "db4", "hots=a", "nonsense"), ("did you mean host?", "KEY=VALUE")),
                            (("add", "app1", "db4", "port=99999"), ("host is missing", "99999")),
                            (("add", "app1", "server1", "host=a"), ("already",)),
                            (("set", "app1", "server1", "name=x"), ("keeps its name",)),
                            (("set", "app1", "server2", "host=172.30.105.104"), ("is the server \"server1\" already",)),
                            (("remove", "app1", "db9", "--yes"), ("only server1, server2, server3",)),
                            (("remove", "app2", "server1", "--yes"), ("no cluster app2",)),
                            (("set", "app1", "server2", "promotion=prefer"), ("how it is already",))):
            done = self.edit(*words, status=1)
            for word in says:
                self.assertIn(word, done.stderr)
            self.assertEqual(self.read(), before)
        for words in (("add", "app1"), ("remove", "app1", "server1", "x=y"), ("frobnicate", "app1", "server1"),
                      ("set", "app1", "server1", "port=1", "--yes")):
            self.edit(*words, status=2)
        with open(f"{self.folder}/clusters.d/other.yaml", "w", encoding="utf-8") as file:
            file.write("clustr: other\n")
        self.assertIn("has errors already", self.edit("remove", "app1", "server3", "--yes", status=1).stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
