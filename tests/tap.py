# SPDX-License-Identifier: BSD-2-Clause
"""Tests in Python that print TAP: register functions with @test("a sentence"), then call main()."""
import os
import random
import sys
import traceback

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TREE, os.environ.get("PTD_BUILD", "build"))
SEED = int(os.environ["PTD_SEED"], 0) if os.environ.get("PTD_SEED") \
    else random.SystemRandom().randrange(1 << 32)
_TESTS = []


class Skip(Exception):
    """Raised by a test that cannot run here; its text is the reason."""


def equal(seen, wanted, what=""):
    if seen != wanted:
        raise AssertionError(f"{what or 'value'}: {seen!r}, expected {wanted!r}")


def true(fact, what=""):
    if not fact:
        raise AssertionError(what or "not true")


def test(sentence):
    """Registers a test; the sentence is its name."""
    def register(function):
        _TESTS.append((sentence, function))
        return function
    return register


def main():
    """Runs the registered tests in order, prints TAP, exits 1 when one failed. Arguments pick by substring."""
    picked = [t for t in _TESTS if not sys.argv[1:] or any(a in t[0] for a in sys.argv[1:])]
    print(f"1..{len(picked)}", flush=True)
    print(f"# PTD_SEED={SEED}", flush=True)
    failed = 0
    for number, (sentence, function) in enumerate(picked, 1):
        try:
            function()
            print(f"ok {number} - {sentence}", flush=True)
        except Skip as why:
            print(f"ok {number} - {sentence} # SKIP {why}", flush=True)
        except Exception:  # a test may fail in any way; the report says which
            failed += 1
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            print(f"not ok {number} - {sentence}", flush=True)
    sys.exit(1 if failed else 0)
