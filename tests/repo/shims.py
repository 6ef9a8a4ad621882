# SPDX-License-Identifier: BSD-2-Clause
"""Commands that stand in for others on PATH, and note how they were called."""
import os
import stat


class Shims:
    """A folder for the front of PATH; each call of a shim adds a line to its log."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "shims")
        self.log = os.path.join(folder, "calls")
        os.mkdir(self.folder)

    def add(self, name, body="exit 1"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nprintf '%s\\n' '{name} '\"$*\" >> '{self.log}'\n{body}\n")
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def environment(self):
        env = {k: v for k, v in os.environ.items()
               if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PTD_BUILD", "PTD_ENDPOINT")}
        env["PATH"] = self.folder + ":" + os.environ["PATH"]
        return env

    def calls(self):
        try:
            with open(self.log, encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []
