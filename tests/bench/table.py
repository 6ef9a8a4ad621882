#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sets the results of run.sh beside their peers: a table on stdout, bench.jsonl and bench.svg in the build folder.

Usage: table.py RAW OUT   Fails when a limit of memory or of many contexts is not kept; a slow row is
shown, not failed, since machines differ.
"""
import functools
import json
import math
import os
import sys

NS, RATE, US, MIB, BYTES, PAGES = 'ns', 'ops/s', 'us', 'MiB', 'B', 'pages'
OPS_PER_CALL = {'unary_4x32': 1, 'batch512_2x4': 512, 'calls_4x32': 1, 'calls_4x32_tls': 1, 'calls_40x9': 1,
                'overload_goodput': 1,
                'session_1024': 1}
# Measured against another row of ours.
OWN_PEERS = {'threads_apart': 'threads_one', 'threads_interleaved': 'threads_interleaved_bare',
             'contexts_one_among': 'contexts_one', 'contexts_spread': 'contexts_spread_bare',
             'range_in_4tib': 'range_4gib', 'random_in_4tib': 'random_in_4tib_bare',
             'points_in_4tib': 'points_in_4tib_bare', 'tables_at_rest': 'tables_at_rest_needed',
             'host_fault_random': 'fault_map_random_section', 'own_wipe': 'own_wipe_memset', 'own_donate_scattered': 'own_donate_page',
             'calls_4x32_tls': 'calls_4x32', 'overload_goodput': 'calls_4x32', 'overload_p99': 'calls_4x32_p99'}
# The bare loops of core_bare.c: peers of 16K and 64K, where KVM's code, built for 4K, is none.
BARE = {'map_range': 'store_range_bare', 'unmap_range': 'store_range_bare', 'wrprotect_range': 'store_range_bare',
        'age_range': 'store_range_bare', 'set_owner_range': 'store_range_bare', 'get_leaf_random': 'load_random_bare',
        'relax_random': 'cas_random_bare', 'mkyoung_random': 'cas_random_bare', 'fault_map_random': 'cas_random_bare',
        'unmap_random': 'cas_random_bare', 'map_random': 'cas_random_bare'}
# One call at a time, beside the same peer.
SINGLE = ('relax_random', 'mkyoung_random', 'unmap_random')

# name, unit, target (at most; for rates at least), and what the peer had on the machine of the targets: a faster or
# slower machine is judged by the ratio of the two
ROWS = [
    ('map_range', NS, 0.9, 9.2), ('unmap_range', NS, 0.9, 4.3), ('wrprotect_range', NS, 0.7, 3.4),
    ('age_range', NS, 0.6, 2.6), ('set_owner_range', NS, 1.1, 8.6),
    ('get_leaf_random', NS, 5, 19.5), ('relax_random', NS, 9, 25), ('mkyoung_random', NS, 9, 25.7),
    ('fault_map_random', NS, 13, 36),
    ('unmap_random', NS, 11, 27), ('map_unmap_1g_block', NS, 14, 14),
    ('threads_apart', NS, 1, 1.8), ('threads_interleaved', NS, 1, 0.8), ('contexts_one_among', NS, 1.2, 1),
    ('contexts_spread', NS, 1.5, 1), ('range_in_4tib', NS, 1.2, 1), ('random_in_4tib', NS, 1.5, 1),
    ('points_in_4tib', NS, 1.5, 1),
    ('tables_at_rest', PAGES, 1.03, 1), ('tables_at_rest_needed', PAGES, None, None),
    ('extent_find_random', NS, 1000, None), ('extent_set_random', NS, None, None), ('host_fault_random', NS, 1.3, 1),
    ('own_plain_page', NS, None, None), ('own_donate_page', NS, None, None), ('own_donate_page_bare', NS, None, None),
    ('own_donate_page_bits', NS, None, None), ('own_donate_page_alone', NS, None, None), ('own_donate_page_near', NS, None, None),
    ('own_donate_page_more', NS, 150, None), ('own_donate_scattered', NS, 2, 1),
    ('own_plain_1g', NS, None, None), ('own_donate_1g', NS, None, None), ('own_donate_1g_more', NS, 2, None),
    ('own_wipe', NS, 1 / 0.9, 1), ('own_wipe_memset', NS, None, None),
    ('unary_4x32', RATE, 450e3, 103e3), ('batch512_2x4', RATE, 25e6, 7.3e6), ('unary_lone', US, 12, 21),
    ('unary_lone_unix', US, 10, 21), ('session_1024', RATE, 1.2e6, 103e3), ('calls_4x32', RATE, None, None),
    ('calls_4x32_tls', RATE, 0.6, 1), ('calls_40x9', RATE, None, None), ('overload_goodput', RATE, 0.9, 1), ('calls_4x32_p99', US, None, None),
    ('overload_p99', US, 5, 1), ('idle_daemon_rss', MIB, 16, None),
    ('empty_context_40bit', BYTES, 4096, None), ('start_tables_40bit', BYTES, 8192, None),
    ('empty_context_32bit', BYTES, 4096, None), ('start_tables_32bit', BYTES, 64, None),
]
# Not met: the bench fails. What is measured against the machine's speed is shown only.
LIMITS = {'contexts_one_among', 'contexts_spread',
          'idle_daemon_rss', 'empty_context_40bit', 'empty_context_32bit', 'start_tables_40bit', 'start_tables_32bit'}


def better(name, a, b):
    """The better of two results; for every number but a rate, less is better."""
    return b if a is None else max(a, b) if name in OPS_PER_CALL else min(a, b)


def in_unit(name, value):
    """h2load counts calls a second; a lone call is told as its time."""
    if name.startswith('unary_lone'):
        return 1e6 / value
    return value * OPS_PER_CALL.get(name, 1)


def read_passes(raw, *files):
    """name -> its value in each pass."""
    passes = {}
    for file in files:
        path = os.path.join(raw, file)
        if not os.path.exists(path):
            continue
        with open(path) as lines:
            for line in lines:
                name, value = line.split()[:2]
                passes.setdefault(name, []).append(in_unit(name, float(value)))
    return passes


def best_of(passes):
    return {name: functools.reduce(lambda a, b, name=name: better(name, a, b), values) for name, values in passes.items()}


def beside(passes):
    """Rows beside others of ours: what these had in the pass in which the row was best. What else the machine did then, it
    did to both."""
    best = best_of(passes)
    return {row: passes[peer][passes[row].index(best[row])] for row, peer in OWN_PEERS.items()
            if row in passes and len(passes.get(peer, ())) == len(passes[row])}


def ratio_of(unit, value, peer):
    return None if peer is None else value / peer if unit == RATE else peer / value


def rows_of(passes, peers):
    own = best_of(passes)
    known = [row for row in ROWS if row[0] in own]
    named = {row[0] for row in ROWS}
    others = [(name, NS, None, None) for name in own if name not in named]
    peers = {**peers, **beside(passes)}
    for suffix in ('_16k', '_64k'):
        peers.update({row + suffix: own[bare + suffix] for row, bare in BARE.items() if bare + suffix in own})
    for row, peer in [('session_1024', 'unary_4x32'), ('unary_lone_unix', 'unary_lone'),
                      ('fault_map_random_section', 'fault_map_random'), *((row + '_single', row) for row in SINGLE)]:
        if peer in peers:
            peers[row] = peers[peer]
    for name, unit, target, peer_then in known + others:
        value, peer = own[name], peers.get(name)
        yield {'name': name, 'unit': unit, 'value': value, 'peer': peer, 'ratio': ratio_of(unit, value, peer),
               'target': target, 'target_ratio': target and ratio_of(unit, target, peer_then)}


def number(value):
    if value is None:
        return '-'
    if value >= 1e6:
        return f'{value / 1e6:.2f} M'
    return f'{value / 1e3:.1f} k' if value >= 1e4 else f'{value:.0f}' if value == int(value) else f'{value:.2f}'


def kept(row):
    """None: there is no target. By ratio where there is one, else by the number itself."""
    if row['target'] is None:
        return None
    if row['ratio'] is not None and row['target_ratio'] is not None:
        return row['ratio'] >= row['target_ratio']
    return row['value'] >= row['target'] if row['unit'] == RATE else row['value'] <= row['target']


def print_table(rows):
    form = '{:<30} {:<6} {:>9} {:>9} {:>6}  {:<12} {:<9} {}'
    print(form.format('name', 'unit', 'value', 'peer', 'ratio', 'target', 'as ratio', '').rstrip())
    for row in rows:
        target = '' if row['target'] is None else ('>= ' if row['unit'] == RATE else '<= ') + number(row['target'])
        ratio = '-' if row['ratio'] is None else f'{row["ratio"]:.2f}'
        as_ratio = '' if row['target_ratio'] is None else f'>= {row["target_ratio"]:.2f}'
        verdict = {None: '', True: 'met', False: 'not met'}[kept(row)]
        print(form.format(row['name'], row['unit'], number(row['value']), number(row['peer']), ratio, target, as_ratio,
                          verdict).rstrip())


def write_jsonl(rows, path):
    with open(path, 'w') as file:
        for row in rows:
            line = {key: row[key] for key in ('name', 'unit', 'value', 'peer', 'ratio')}
            file.write(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()}) + '\n')


def svg(rows):
    """Horizontal bars of the ratio on a logarithmic scale; bars behind the peer are hatched, the line at 1 is heavy."""
    bars = [r for r in rows if r['ratio'] is not None]
    top, step, left, width = 64, 26, 190, 460
    low = min([0.5] + [r['ratio'] for r in bars]) / 1.05
    high = max([4.0] + [r['ratio'] for r in bars]) * 1.05
    at = lambda v: left + width * (math.log(v) - math.log(low)) / (math.log(high) - math.log(low))
    bottom = top + step * max(len(bars), 1)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{bottom + 44}" '
           'font-family="sans-serif" font-size="13" fill="black">',
           '<defs><pattern id="behind" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
           '<rect width="6" height="6" fill="white"/><rect width="2" height="6" fill="black"/></pattern></defs>',
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="12" y="24" font-size="16" font-weight="bold">ptd against its peers, measured in one run</text>',
           '<text x="12" y="44">ratio, logarithmic; right of 1: ptd is faster; hatched: slower</text>']
    ticks = [t for t in (0.1, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64) if low <= t <= high]
    for tick in ticks:
        line = 'stroke="black" stroke-width="2"' if tick == 1 else 'stroke="#999" stroke-dasharray="2 3"'
        out.append(f'<line x1="{at(tick):.1f}" y1="{top - 8}" x2="{at(tick):.1f}" y2="{bottom}" {line}/>')
        out.append(f'<text x="{at(tick):.1f}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>')
    for i, row in enumerate(bars):
        y, end, one = top + i * step, at(row['ratio']), at(1)
        fill = '#444' if row['ratio'] >= 1 else 'url(#behind)'
        out.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{row["name"]}</text>')
        out.append(f'<rect x="{min(end, one):.1f}" y="{y + 2}" width="{abs(end - one):.1f}" height="{step - 8}" '
                   f'fill="{fill}" stroke="black"/>')
        out.append(f'<text x="{max(end, one) + 5:.1f}" y="{y + 15}" stroke="white" stroke-width="3" '
                   f'paint-order="stroke">{row["ratio"]:.2f}</text>')
    if not bars:
        out.append(f'<text x="12" y="{top + 14}">no peer was there to measure against</text>')
    out.append(f'<text x="12" y="{bottom + 36}" font-size="11">core rows: KVM\'s own page-table code in user space; '
               'daemon rows: the C++ gRPC server doing nothing</text></svg>')
    return '\n'.join(out) + '\n'


def main(raw, out):
    rows = list(rows_of(read_passes(raw, 'core.txt', 'rpc.txt', 'memory.txt'),
                        best_of(read_passes(raw, 'kvm.txt', 'grpc.txt'))))
    print_table(rows)
    with open(os.path.join(raw, 'absent')) as file:
        for line in sorted(set(file)):
            print('peer ' + line.rstrip())
    behind = [r['name'] for r in rows if r['ratio'] is not None and r['ratio'] < 1]
    if any(r['ratio'] is not None for r in rows):
        print('slower than the peer:', ', '.join(behind) or 'none')
    write_jsonl(rows, os.path.join(out, 'bench.jsonl'))
    with open(os.path.join(out, 'bench.svg'), 'w') as file:
        file.write(svg(rows))
    broken = [r['name'] for r in rows if r['name'] in LIMITS and not kept(r)]
    if broken:
        sys.exit('bench: over its limit: ' + ', '.join(broken))


if __name__ == '__main__':
    main(*sys.argv[1:])
