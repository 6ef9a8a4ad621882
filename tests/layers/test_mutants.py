# SPDX-License-Identifier: BSD-2-Clause
"""Each rule of the checker, and each class of other people's bugs that applies, has a mutant."""
import importlib.machinery
import importlib.util
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import TREE, equal, main, test, true  # noqa: E402

LOADER = importlib.machinery.SourceFileLoader("mutants", os.path.join(TREE, "tests", "mutants", "run"))
MUTANTS = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", LOADER))
LOADER.exec_module(MUTANTS)


@test("every rule has a mutant")
def _():
    bank = MUTANTS.bank()
    true(len(bank) >= 40, f"{len(bank)} mutants")
    equal(len(MUTANTS.rules_of(bank)), 44 + 28)
    equal(MUTANTS.without_mutant(bank), [])
    MUTANTS.print_rules(bank)


def misfits(bank):
    """Names of those whose patch does not apply to the tree as it is, the long set's too."""
    return [m.name for m in bank if MUTANTS.patch(TREE, m.text, "--dry-run")[0]]


@test("every patch applies to the tree, and one that does not is told")
def _():
    bank = MUTANTS.bank()
    equal(misfits(bank), [])
    old = next(line for line in bank[0].text.split("\n") if line.startswith("-") and not line.startswith("---"))
    equal(misfits([bank[0].patched(bank[0].text.replace(old, old + " else"))]), [bank[0].name])


@test("a rule without one is missed")
def _():
    left = [m for m in MUTANTS.bank() if "B19" not in m.rule and "W2" not in m.rule]
    equal(MUTANTS.without_mutant(left), ["W2", "B5", "B19"])


main()
