# SPDX-License-Identifier: BSD-2-Clause
"""What one client of owners.py asks for: by the state of its world, so that most of it passes."""
from ptdtest import PAGE
from world import FRAMES, GUESTS, GUESTS_OWN, PLAIN

CLIENTS, STRIPE, STRIPES, BLOCK = 3, 16, 6, 512
FIRST = (2 << 20) // PAGE            # of the stripes
WHOLE = (8 << 20) // PAGE            # a block for each
LIFE = ("teardown", "finalize", "reclaim, dying")


def frames_of(number):
    """(first, pages) of each run of frames that is a client's."""
    return [(FIRST + (s * CLIENTS + number) * STRIPE, STRIPE) for s in range(STRIPES)] + [(WHOLE + number * BLOCK, BLOCK)]


class Drawing:
    """Operations that mostly pass; one in ten is drawn blindly."""

    def __init__(self, number, draw):
        self.runs, self.draw = frames_of(number), draw

    def frames(self, right):
        """(first, pages) of frames that are right, all in one run; or None."""
        first, pages = self.draw.choice(self.runs)
        good = [f for f in range(first, first + pages) if right(f)]
        if not good:
            return None
        start = self.draw.choice((good[0], self.draw.choice(good)))
        limit = min(self.draw.choice((1, 2, 5, pages, pages)), first + pages - start)
        n = 1
        while n < limit and right(start + n):
            n += 1
        return start, n

    def addresses(self, world, g, states, most=BLOCK):
        good = [a for a, cell in world.cells[g].items() if cell[0] in states]
        if not good:
            return None
        start, n = self.draw.choice((min(good), self.draw.choice(good))), 1
        limit = self.draw.choice((1, 2, 6, 16, BLOCK if start >= BLOCK else 16))
        while n < min(limit, most) and world.cell(g, start + n)[0] in states:
            n += 1
        return start, n

    def place(self, first):
        whole, _pages = self.runs[-1]
        return BLOCK + first - whole if first >= whole else self.draw.randrange(0, 100)

    def item(self, world, name, blind):
        draw = self.draw
        if name in FRAMES or name in ("force reclaim", "top up"):
            g = draw.randrange(GUESTS) if name == "top up" else 0
            run = self.frames(lambda f: blind or world.page_right(name, f, g, 0))
            return run and (run[0], g, 0, min(run[1], 2 if name == "top up" else BLOCK))
        if name in ("share with guest", "donate to guest"):
            g = PLAIN if name == "share with guest" else 1 + draw.randrange(2)
            at = []

            def right(f):  # addresses follow the first frame's
                at[:] = at or [f]
                return blind or world.page_right(name, f, g, -1)
            run = self.frames(right)
            if not run:
                return None
            a, n = self.place(run[0]), run[1]
            while not blind and n > 1 and any(a + i in world.cells[g] for i in range(n)):
                n //= 2
            return run[0], g, a, n
        g = draw.randrange(GUESTS)
        if name == "reclaim, dying":
            run = self.addresses(world, g, ("owned", "shared", "borrowed", "poisoned", "nothing")) if not world.live[g] else None
        else:
            run = self.addresses(world, g, {"unshare": ("borrowed",), "unshare back": ("shared",)}.get(name, ("owned",)))
        return run and (0, g, run[0], run[1])

    def transition(self, world, name):
        blind = self.draw.random() < 0.1 and name != "reclaim, dying"
        items, frames, addresses = [], set(), set()
        for _n in range(self.draw.choice((1, 1, 1, 3)) if name != "reclaim, dying" else 1):
            item = self.item(world, name, blind)
            if not item:
                continue
            f, g, a, n = item
            by_frame = {f + i for i in range(n)} if f else set()
            by_address = {(g, a + i) for i in range(n)} if name in GUESTS_OWN and name != "top up" else set()
            if not by_frame & frames and not by_address & addresses:
                items.append(item)
                frames |= by_frame
                addresses |= by_address
        return (name, items, self.draw.random() < 0.3) if items else None

    def lend(self, world):
        draw = self.draw
        if len(world.lendings) >= 5:
            return None
        lender = draw.choice((None, None, 1, 2))
        borrowers = draw.sample([g for g in range(GUESTS) if g != lender], draw.randint(1, 2))
        runs = self.pieces(world, lender, draw.randint(1, 3))
        if not runs:
            return None
        named = sum(n for _first, n in runs)
        return "lend", lender, borrowers, runs, named + draw.choice((0, 0, 0, 3)), draw.random() < 0.5

    def pieces(self, world, lender, count):
        blind, runs, taken = self.draw.random() < 0.05, [], set()
        for _n in range(count):
            run = (self.frames(lambda f: blind or world.lender_has(None, f)) if lender is None
                   else self.addresses(world, lender, ("owned",), 8))
            if run and not taken & set(range(run[0], sum(run))):
                runs.append(run)
                taken |= set(range(run[0], sum(run)))
        return runs

    def of_lending(self, world, name):
        if not world.lendings:
            return None
        handle = self.draw.choice(list(world.lendings))
        one = world.lendings[handle]
        if name == "retrieve":
            borrowers = sorted(one["borrowers"])
            g = self.draw.choice(borrowers) if borrowers else None
            if g is None:
                return None
            return "retrieve", handle, g, self.draw.choice((4 * BLOCK, 3 * BLOCK + self.draw.randrange(100)))
        if name == "relinquish":
            has = [g for g in sorted(one["borrowers"]) if g in one["has"] or self.draw.random() < 0.05]
            return ("relinquish", handle, self.draw.choice(has)) if has else None
        if name == "take back":
            return ("take back", handle) if one["lender"] is None or world.live[one["lender"]] else None
        missing = one["size"] - len(one["pages"])
        run = (self.pieces(world, one["lender"], 1) or [None])[0]
        if not one["open"] or not run or not world.lends(one["lender"]) or one["runs"] == 7:
            return None
        run = run[0], min(run[1], missing)
        return ("piece", handle, *run) if not set(range(run[0], sum(run))) & set(one["pages"]) else None

    def op(self, world, life):
        """`life`: guests may end."""
        while True:
            name = self.draw.choice([*FRAMES, *GUESTS_OWN, "donate to guest", "share with guest", "force reclaim", "lend", "lend",
                                     "piece", "retrieve", "retrieve", "relinquish", "take back", "teardown", *LIFE, *LIFE])
            if name in ("teardown", "top up") and self.draw.random() < 0.8 or name in LIFE and not life:
                continue
            if name in LIFE[:2]:
                g = self.draw.randrange(GUESTS)
                op = (name, g) if world.live[g] == (name == "teardown") else None
            elif name == "lend":
                op = self.lend(world)
            elif name in ("piece", "retrieve", "relinquish", "take back"):
                op = self.of_lending(world, name)
            else:
                op = self.transition(world, name)
            if op and (life or not self.ends_lending(world, op)):
                return op

    @staticmethod
    def ends_lending(world, op):
        """A relinquish that passes where the lender is dying: its lending ends when there is memory for that."""
        lender = world.lendings[op[1]]["lender"] if op[0] == "relinquish" else None
        return lender is not None and not world.live[lender]
