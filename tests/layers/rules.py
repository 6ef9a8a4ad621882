# SPDX-License-Identifier: BSD-2-Clause
"""The layering rules as pure functions: each takes facts and returns a list of complaints."""
import re

# base <- arch <- {pool, walk} <- txn <- s2 <- {owner, dirty} <- nested; check sees base and arch alone.
SEES = {
    "base": {"base"},
    "arch": {"base", "arch"},
    "pool": {"base", "arch", "pool"},
    "walk": {"base", "arch", "walk"},
    "txn": {"base", "arch", "pool", "walk", "txn"},
    "s2": {"base", "arch", "pool", "walk", "txn", "s2"},
    "owner": {"base", "arch", "pool", "walk", "txn", "s2", "owner"},
    "dirty": {"base", "arch", "pool", "walk", "txn", "s2", "dirty"},
    "nested": {"base", "arch", "pool", "walk", "txn", "s2", "owner", "dirty", "nested"},
    "hyp": {"base", "arch", "pool", "walk", "hyp"},
    "hv": {"base", "arch", "pool", "walk", "txn", "s2", "owner", "dirty", "nested", "hyp", "hv"},
    "check": {"base", "arch", "check"},
}
# Public headers by the lowest layer that may include them. Those at "pool" and "walk" give the shapes (agent, context)
# that both work on; what a layer may call is decided by symbols, not by them.
PUBLIC = {
    "types.h": "base", "outcome.h": "base",
    "geometry.h": "arch", "desc.h": "arch", "hyp_desc.h": "arch", "tlbi.h": "arch", "event.h": "arch", "decode.h": "arch",
    "platform.h": "seam", "port.h": "port", "port_common.h": "port",
    "pool.h": "shape", "machine.h": "shape", "sparse.h": "shape", "context.h": "shape", "walk.h": "shape",
    "txn.h": "txn", "parties.h": "txn", "upkeep.h": "txn", "fault.h": "s2", "owner.h": "owner", "transfer.h": "owner", "lending.h": "owner", "owner_store.h": "owner", "owner_audit.h": "owner", "dirty.h": "dirty", "guest_walk.h": "nested",
    "guest_at.h": "nested", "nested.h": "nested",
    "hyp.h": "hyp", "hyp_memory.h": "hyp", "hyp_space.h": "hyp", "hyp_boot.h": "hyp", "hvc.h": "base", "hv.h": "hv", "check.h": "check",
}
FREESTANDING = {"stdint.h", "stddef.h", "stdbool.h", "stdatomic.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)

# What a freestanding compiler may call by itself, and the seam: all else must be inside lib.
BARE_SYMBOL = re.compile(r"^(mem(cpy|set|move|cmp)|pt_port_\w+|pt_pte_\w+)$")
HOST_SYMBOL = re.compile(r"^(mem(cpy|set|move|cmp)|pt_port_\w+|pt_host_\w+|pt_checked_\w+|"
                         r"__(asan|ubsan|tsan|sanitizer)_\w+)$")

# What lib has for lib/owner, and nobody else may ask for: it lets items name the software bits of ownership.
OWNERS = {"pt_item_check_owner"}

# daemon/core computes; it does not touch the world.
CORE_PREFIX = re.compile(r"^(pt_|hw_|nghttp2_|protobuf_c_|ptd__v1__|grpc__|__(asan|ubsan|tsan|sanitizer)_)")
CORE_LIBC = {
    "memcpy", "memset", "memmove", "memcmp", "memchr", "memrchr", "memmem", "strlen", "strnlen", "strcmp", "strncmp",
    "strchr", "strrchr", "strstr", "strcpy", "strncpy", "stpcpy", "strtoul", "strtoull", "strcasecmp", "strncasecmp",
    "snprintf", "vsnprintf", "__snprintf_chk", "__vsnprintf_chk", "__memcpy_chk", "__memset_chk", "__isoc99_sscanf",
    "malloc", "calloc", "realloc", "free", "aligned_alloc", "qsort", "bsearch", "abort", "__assert_fail",
    "__ctype_b_loc", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail",
}


def includes(text):
    """(bracket or quote, name) of each include in a C source."""
    return INCLUDE.findall(text)


def module_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "lib" and len(parts) > 2 else None


def may_include_public(module, header):
    level = PUBLIC.get(header)
    if level is None:
        return False
    if module == "check":
        return level in ("base", "arch", "check")
    if level in ("seam", "port"):
        return module not in ("base", "arch")
    if level == "shape":
        return module not in ("base", "arch", "check")
    return level in SEES[module]


def check_lib_include(path, kind, name):
    """One include of one source of lib outside lib/port and lib/include."""
    module = module_of(path)
    if module not in SEES:
        return [f"{path}: no layer is known for lib/{module}"]
    if kind == "<":
        if name in FREESTANDING:
            return []
        if name.startswith("pt/") and may_include_public(module, name[3:]):
            return []
        return [f"{path}: <{name}> is above lib/{module}, or no header of a freestanding lib"]
    target = name.replace("../", "").split("/")
    other = target[0] if len(target) > 1 else module
    if other in SEES[module]:
        return []
    return [f"{path}: \"{name}\" is a private header that lib/{module} may not see"]


def check_public_header(path, kind, name):
    """lib/include/pt: freestanding headers and each other, never a higher layer's."""
    order = ["base", "arch", "port", "seam", "shape", "txn", "s2", "owner", "dirty", "nested", "hyp", "hv"]
    own = PUBLIC.get(path.rsplit("/", 1)[1])
    if own is None:
        return [f"{path}: no layer is known for this header"]
    if kind == "<" and name in FREESTANDING:
        return []
    level = PUBLIC.get(name[3:]) if kind == "<" and name.startswith("pt/") else None
    if level is None:
        return [f"{path}: {kind}{name} is not for a public header of lib"]
    if own == "check":
        return [] if level in ("base", "arch") else [f"{path}: <{name}> is above check"]
    if own == "hyp":
        return [] if level in ("base", "arch", "seam", "shape", "hyp") else [f"{path}: <{name}> is above hyp"]
    if order.index(level) <= order.index(own):
        return []
    return [f"{path}: <{name}> is of a higher layer"]


def check_port_el2_include(path, kind, name):
    """lib/port/el2 runs without a libc: it sees freestanding headers, lib's public ones and its own."""
    if kind == "<":
        ok = name in FREESTANDING or (name.startswith("pt/") and not name.startswith("pt/host/"))
        return [] if ok else [f"{path}: <{name}> is not there at EL2"]
    return [] if "/" not in name else [f"{path}: \"{name}\" is a private header of lib"]


def check_outside_include(path, kind, name, public):
    """daemon/ and client/ see lib through its public headers only."""
    if kind == "<" and name.startswith("pt/"):
        return [] if name in public else [f"{path}: <{name}> is not a public header"]
    if re.match(r"^(\.\./)*(lib/)?(base|arch|pool|walk|txn|s2|owner|nested|hyp|hv|check)/", name) or "lib/" in name:
        return [f"{path}: \"{name}\" is a private header of lib"]
    return []


def check_hardware_walker(path, kind, name):
    """The architectural walker shares no header with lib, so that one mistake cannot hide in both."""
    if kind == "<" and name.startswith("pt/") and name != "pt/host/hwwalk.h":
        return [f"{path}: <{name}> is lib's"]
    return []


def check_core_include(path, _kind, name):
    """daemon/core has no I/O, clock, randomness, threads, sockets or files."""
    forbidden = re.compile(r"^(uv(/.*)?|sys/.*|netinet/.*|arpa/.*|unistd|fcntl|poll|pthread|threads|time|signal|"
                           r"openssl/.*|systemd/.*|stdio_ext|netdb|sched|urcu(/.*|-.*)?)\.h$")
    return [f"{path}: <{name}> touches the world"] if forbidden.match(name) else []


def check_undefined(undefined, defined, allowed, where):
    """Every symbol that objects ask for is defined in them, or allowed."""
    return [f"{where}: {name} is not in lib and not on the list"
            for name in sorted(set(undefined) - set(defined)) if not allowed.match(name)]


def check_calls(module, undefined, home):
    """A module asks only for symbols of the modules it sees; `home` tells where each is defined."""
    return [f"lib/{module}: {name} is defined in lib/{home[name]}" for name in sorted(set(undefined))
            if name in home and home[name] not in SEES[module]] + \
        [f"lib/{module}: {name} is of lib/owner alone" for name in sorted(OWNERS & set(undefined)) if module != "owner"]


def check_core_symbols(undefined, defined):
    return [f"daemon/core: {name} is not on the list of what a pure core may call"
            for name in sorted(set(undefined) - set(defined))
            if name in OWNERS or not CORE_PREFIX.match(name) and name not in CORE_LIBC]


def check_exported(path, names):
    """Global names of lib begin with pt_."""
    return [f"{path}: {name} does not begin with pt_" for name in names if not name.startswith("pt_")]


def check_length(path, lines):
    limit = 1200 if path.startswith("tests/") else 900
    return [f"{path}: {lines} lines, the limit is {limit}"] if lines > limit else []


# Spelled in pieces, so that this file does not find itself.
MACHINE = re.compile("|".join(("/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/\w", r"/tm" + r"p/bash", r"/tm" + r"p/\w+/\w+")))
UNFINISHED = re.compile("|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b", "not impl" + "emented")))


def check_text(path, text):
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE.search(line):
            found.append(f"{path}:{number}: a path of one machine: {line.strip()[:80]}")
        if UNFINISHED.search(line):
            found.append(f"{path}:{number}: unfinished: {line.strip()[:80]}")
    return found


def check_head(path, text):
    """Each source starts with its licence and says in a sentence what it is for."""
    lines = [line for line in text.splitlines()[:6] if not line.startswith("#!")]
    if not lines or "SPDX-License-Identifier: BSD-2-Clause" not in lines[0]:
        return [f"{path}: no SPDX line"]
    if len(lines) < 2 or not re.search(r"[A-Za-z]{3}", lines[1] + (lines[2] if len(lines) > 2 else "")):
        return [f"{path}: no sentence about its purpose"]
    return []


def field_lines(descriptor_set):
    """One line for each field, enum value, oneof and method of package ptd.v1."""
    lines = []
    for file in descriptor_set.file:
        if file.package != "ptd.v1":
            continue
        for message in file.message_type:
            where = f"{file.package}.{message.name}"
            lines.append(f"message {where}")
            for f in message.field:
                oneof = f" oneof {message.oneof_decl[f.oneof_index].name}" if f.HasField("oneof_index") else ""
                kind = f.type_name.lstrip(".") or f.Type.Name(f.type)[5:].lower()
                repeated = "repeated " if f.label == f.LABEL_REPEATED else ""
                lines.append(f"field {where}.{f.name} = {f.number} {repeated}{kind}{oneof}")
        for enum in file.enum_type:
            lines += [f"value {file.package}.{enum.name}.{v.name} = {v.number}" for v in enum.value]
        for service in file.service:
            for m in service.method:
                streams = ("stream " if m.client_streaming else "", "stream " if m.server_streaming else "")
                lines.append(f"rpc {file.package}.{service.name}.{m.name} "
                             f"{streams[0]}{m.input_type.lstrip('.')} -> {streams[1]}{m.output_type.lstrip('.')}")
    return sorted(lines)


def check_fields(recorded, current):
    """What was recorded stands; what is new is to be recorded."""
    gone = [f"changed or gone: {line}" for line in recorded if line not in set(current)]
    new = [f"not recorded (tests/layers/record): {line}" for line in current if line not in set(recorded)]
    return gone + new


def check_recursion(descriptor_set):
    """No message can contain itself: protobuf-c has no limit of nesting."""
    edges = {}

    def visit(prefix, message):
        name = f"{prefix}.{message.name}"
        edges[name] = {f.type_name for f in message.field if f.type_name}
        for inner in message.nested_type:
            visit(name, inner)

    for file in descriptor_set.file:
        for message in file.message_type:
            visit(f".{file.package}", message)
    found = []
    for start in sorted(edges):
        seen, todo = set(), list(edges[start])
        while todo:
            name = todo.pop()
            if name == start:
                found.append(f"{start} can contain itself")
                break
            if name not in seen:
                seen.add(name)
                todo += edges.get(name, ())
    return found


def check_request_names(descriptor_set):
    """Each rpc has a request and a reply of its own name."""
    found = []
    for file in descriptor_set.file:
        if file.package != "ptd.v1":
            continue
        for service in file.service:
            for m in service.method:
                if m.name == "Session":
                    wanted = ".ptd.v1.SessionRequest"
                else:
                    wanted = f".ptd.v1.{m.name}Request"
                if m.input_type != wanted or m.output_type != wanted[:-7] + "Response":
                    found.append(f"{service.name}.{m.name}: {m.input_type} -> {m.output_type}")
    return found
