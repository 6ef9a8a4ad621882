# SPDX-License-Identifier: BSD-2-Clause
"""What owns what, of one client's frames and guests: the oracle of owners.py. By docs/ownership.md alone, page by page.

An operation is (name, arguments...), in pages: a transition is (name, [item...], wipe) with item (frame, guest, gfn, pages),
where guests are numbers 0 to 2, the first of which is plain.
"""
import copy

HOST, HYP, GUEST, OTHER = 1, 2, 3, 4
SHARE, UNSHARE, DONATE, LEND, RETRIEVE, RELINQUISH, RECLAIM, FORCE_RECLAIM, PIN, UNPIN, TOP_UP = range(1, 12)
OWNED, SHARED, LENT = 1, 2, 4
GUESTS, PLAIN = 3, 0
LEAF = {"owned": 0, "shared": 1, "borrowed": 2, "lent to it": 3}  # software bits
FREE = ("host",)
NEW = -1  # a lending whose handle is not known yet

# name: (kind, from, to, is the frame right, what it becomes)
FRAMES = {
    "share with hyp": (SHARE, HOST, HYP, lambda s: s == FREE, lambda s: ("with hyp", 0)),
    "unshare from hyp": (UNSHARE, HOST, HYP, lambda s: s == ("with hyp", 0), lambda s: FREE),
    "pin": (PIN, HOST, HYP, lambda s: s[0] == "with hyp", lambda s: ("with hyp", s[1] + 1)),
    "unpin": (UNPIN, HOST, HYP, lambda s: s[0] == "with hyp" and s[1] > 0, lambda s: ("with hyp", s[1] - 1)),
    "donate to hyp": (DONATE, HOST, HYP, lambda s: s == FREE, lambda s: ("hyp",)),
    "return from hyp": (DONATE, HYP, HOST, lambda s: s == ("hyp",), lambda s: FREE),
    "share with third": (SHARE, HOST, OTHER, lambda s: s == FREE, lambda s: ("third",)),
    "unshare from third": (UNSHARE, HOST, OTHER, lambda s: s == ("third",), lambda s: FREE),
}
# name: (kind, does the guest give, is it named by frame, by address)
GUESTS_OWN = {
    "share with guest": (SHARE, False, True, True),
    "unshare": (UNSHARE, False, False, True),
    "donate to guest": (DONATE, False, True, True),
    "share back": (SHARE, True, False, True),
    "unshare back": (UNSHARE, True, False, True),
    "balloon": (DONATE, True, False, True),
    "reclaim, dying": (RECLAIM, True, False, True),
    "top up": (TOP_UP, False, True, False),
}


class World:
    def __init__(self, frames):
        self.frame = dict.fromkeys(frames, FREE)
        self.live = [True] * GUESTS
        self.cells = [{} for _g in range(GUESTS)]  # gfn: (state, frame, lending)
        self.lendings = {}

    def copy(self):
        return copy.deepcopy(self)

    def cell(self, guest, gfn):
        return self.cells[guest].get(gfn, ("nothing", None, None))

    # ---- transitions: of each page, is it right, and what becomes of it

    def page_right(self, name, f, g, a):
        if name in FRAMES:
            return FRAMES[name][3](self.frame[f])
        if name == "force reclaim":
            state = self.frame[f]
            return state[0] == "guest" and self.cell(*state[1:])[0] == "owned"
        if name == "reclaim, dying":
            return not self.live[g] and self.cell(g, a)[0] not in ("lent", "lent to it")
        if not self.live[g]:
            return False
        state = self.cell(g, a)[0]
        if name == "share with guest":
            return g == PLAIN and self.frame[f][0] in ("host", "with guests") and state == "nothing"
        if name == "donate to guest":
            return g != PLAIN and self.frame[f] == FREE and state == "nothing"
        if name == "top up":
            return self.frame[f] == FREE
        return state == {"unshare": "borrowed", "share back": "owned", "unshare back": "shared", "balloon": "owned"}[name]

    def page_does(self, name, f, g, a):
        if name in FRAMES:
            self.frame[f] = FRAMES[name][4](self.frame[f])
        elif name == "force reclaim":
            _guest, g, a = self.frame[f]
            self.cells[g][a], self.frame[f] = ("poisoned", None, None), FREE
        elif name == "share with guest":
            self.frame[f] = ("with guests", self.frame[f][1] + 1 if self.frame[f] != FREE else 1)
            self.cells[g][a] = ("borrowed", f, None)
        elif name == "donate to guest":
            self.frame[f], self.cells[g][a] = ("guest", g, a), ("owned", f, None)
        elif name == "top up":
            self.frame[f] = ("table", g)
        elif name in ("share back", "unshare back"):
            self.cells[g][a] = ("shared" if name == "share back" else "owned", *self.cells[g][a][1:])
        else:  # unshare; balloon; reclaim, dying
            state, f, _lending = self.cells[g].pop(a, ("nothing", None, None))
            if state == "borrowed":
                self.frame[f] = ("with guests", self.frame[f][1] - 1) if self.frame[f][1] > 1 else FREE
            elif f is not None:
                self.frame[f] = FREE

    # ---- lendings

    def lender_has(self, lender, at):
        return self.frame[at] == FREE if lender is None else self.cell(lender, at)[0] == "owned"

    def begin_lending(self, handle):
        one = self.lendings[handle]
        one["open"] = False
        for at in one["pages"]:
            if one["lender"] is None:
                self.frame[at] = ("lent", handle)
            else:
                self.cells[one["lender"]][at] = ("lent", self.cells[one["lender"]][at][1], handle)

    def end_lending(self, handle):
        one = self.lendings.pop(handle)
        for at in one["pages"] if not one["open"] else ():
            if one["lender"] is None:
                self.frame[at] = FREE
            else:
                self.cells[one["lender"]][at] = ("owned", self.cells[one["lender"]][at][1], None)

    def frames_of(self, handle):
        one = self.lendings[handle]
        return [at if one["lender"] is None else self.cell(one["lender"], at)[1] for at in one["pages"]]

    def relinquish(self, handle, g):
        one = self.lendings[handle]
        base = one["has"].pop(g)
        for n in range(len(one["pages"])):
            del self.cells[g][base + n]
        if not one["has"] and one["lender"] is not None and not self.live[one["lender"]]:
            self.end_lending(handle)

    def lends(self, lender):
        return lender is None or self.live[lender]

    # ---- operations

    def right(self, op):
        """Whether it passes, if there is memory for it."""
        name = op[0]
        if name == "lend":
            _name, lender, borrowers, runs, size, _wipe = op
            pages = [p for first, n in runs for p in range(first, first + n)]
            return (self.lends(lender) and all(self.live[b] for b in borrowers)
                    and (len(pages) < size or all(self.lender_has(lender, p) for p in pages)))
        if name in ("piece", "retrieve", "relinquish", "take back"):
            one = self.lendings.get(op[1])
            if not one:
                return False
        if name == "piece":
            _name, _handle, first, n = op
            return one["open"] and self.lends(one["lender"]) and (not self.completes(op) or all(
                self.lender_has(one["lender"], p) for p in [*one["pages"], *range(first, first + n)]))
        if name == "retrieve":
            _name, _handle, g, a = op
            return (not one["open"] and self.live[g] and self.lends(one["lender"]) and g in one["borrowers"] and g not in one["has"]
                    and not any(a + n in self.cells[g] for n in range(len(one["pages"]))))
        if name == "relinquish":
            return not one["open"] and self.live[op[2]] and op[2] in one["has"]
        if name == "take back":
            return not one["open"] and self.lends(one["lender"]) and not one["has"]
        if name == "teardown":
            return self.live[op[1]]
        if name == "finalize":
            g = op[1]
            return not self.live[g] and not self.cells[g] and all(one["lender"] != g for one in self.lendings.values())
        return all(self.page_right(name, f + i, g, a + i) for f, g, a, n in op[1] for i in range(n))

    def completes(self, op):
        return len(self.lendings[op[1]]["pages"]) + op[3] == self.lendings[op[1]]["size"]

    def does(self, op, handle=NEW):
        name = op[0]
        if name == "lend":
            _name, lender, borrowers, runs, size, _wipe = op
            pages = [p for first, n in runs for p in range(first, first + n)]
            self.lendings[handle] = {"lender": lender, "borrowers": set(borrowers), "pages": pages, "size": size, "has": {},
                                     "open": True, "runs": len(runs)}
            if len(pages) == size:
                self.begin_lending(handle)
        elif name == "piece":
            done = self.completes(op)
            self.lendings[op[1]]["pages"] += range(op[2], op[2] + op[3])
            self.lendings[op[1]]["runs"] += 1
            if done:
                self.begin_lending(op[1])
        elif name == "retrieve":
            _name, handle, g, a = op
            for n, f in enumerate(self.frames_of(handle)):
                self.cells[g][a + n] = ("lent to it", f, handle)
            self.lendings[handle]["has"][g] = a
        elif name == "relinquish":
            self.relinquish(op[1], op[2])
        elif name == "take back":
            self.end_lending(op[1])
        elif name == "teardown":
            self.teardown(op[1])
        elif name == "finalize":
            g = op[1]
            self.frame = {f: FREE if s == ("table", g) else s for f, s in self.frame.items()}
            self.live[g] = True  # another one takes its place
        else:
            for f, g, a, n in op[1]:
                for i in range(n):
                    self.page_does(name, f + i, g, a + i)

    def teardown(self, g):
        self.live[g] = False
        for handle, one in list(self.lendings.items()):
            one["borrowers"].discard(g)
            if g in one["has"]:
                self.relinquish(handle, g)
            elif one["lender"] == g and not one["has"]:
                self.end_lending(handle)

    def refused(self, op):
        """What a refusal leaves: a list whose last piece was refused is gone."""
        if op[0] == "piece" and op[1] in self.lendings and self.lendings[op[1]]["open"] and self.completes(op):
            del self.lendings[op[1]]

    def rename(self, handle):
        """The lending without a handle has this one."""
        def named(at):
            return handle if at == NEW else at
        self.frame = {f: (s[0], named(s[1])) if s[0] == "lent" else s for f, s in self.frame.items()}
        self.cells = [{a: (s, f, named(h)) for a, (s, f, h) in cells.items()} for cells in self.cells]
        self.lendings = {named(h): one for h, one in self.lendings.items()}

    # ---- as the daemon tells it

    def told_owner(self, f, handles):
        """(kind, guest's handle, state, where it has it, lending, guest that its tables are of) of a frame."""
        state = self.frame[f]
        if state == FREE:
            return HOST, 0, OWNED, 0, 0, 0
        if state[0] == "lent":
            return HOST, 0, LENT, 0, state[1], 0
        if state[0] == "table":
            return HYP, 0, OWNED, 0, 0, handles[state[1]]
        if state[0] == "hyp":
            return HYP, 0, OWNED, 0, 0, 0
        if state[0] == "guest":
            _guest, g, a = state
            what, _frame, lending = self.cells[g][a]
            return GUEST, handles[g], {"owned": OWNED, "shared": SHARED, "lent": LENT}[what], a, lending or 0, 0
        return HOST, 0, SHARED, 0, 0, 0

    def told(self, handles):
        return {
            "owners": {f: self.told_owner(f, handles) for f in self.frame},
            "live": list(self.live),
            "leaves": [{a: (f, LEAF[s]) for a, (s, f, _h) in cells.items() if s in LEAF} for cells in self.cells],
            "lendings": {h: (one["open"], one["size"], len(one["pages"]) if one["open"] else 0, sorted(one["has"].items()))
                         for h, one in self.lendings.items()},
        }
