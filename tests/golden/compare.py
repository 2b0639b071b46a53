#!/usr/bin/env python3
"""compare.py GOLDEN OUT [case ...]: what differs between recorded cases, apart from pids, times, arbitrary order, dumps for people.

Compared: exit code, also of what a case starts on the side; each process's states with sequence numbers and return codes;
the task's states; where a task was rejected, that it was (no header in the stream and an exit code other than 0: the same,
unless the original's was 1 for a crash); which fields each kind of record carries, and the header's values; the task file
left under the root, by value; names, sizes and hashes of log files (for some: see NORMAL); kind, mode and owner of what lies
under checkpoint root and sandbox. One line per difference; the last line counts cases that agree wholly."""
import json, os, re, sys

def read(*path):
    p = os.path.join(*path)
    return open(p, errors='surrogateescape').read() if os.path.exists(p) else ''

def load(d):
    r = {'dir': d, 'task': [], 'procs': {}, 'header': False, 'tree': {}, 'fields': {}, 'files': {}}
    m = json.loads(read(d, 'meta.json') or '{}')
    if not m: raise OSError('no meta.json in ' + d)
    r['exit'], r['logs'], r['limits'] = m['exit_code'], {k: tuple(v) for k, v in m['log_files'].items()}, m.get('limits')
    r['events'] = [re.sub(r' (stdout|stderr) .*', '', e, flags=re.S) for e in m['events'] if re.search(r': rc -?\d+', e)]
    r['input'] = (read(d, 'cmd.txt'), read(d, 'task.json'))
    r['post'] = [re.sub(r'\d+', 'N', x) for x in read(d, 'post.txt').splitlines()]
    for line in read(d, 'states.txt').splitlines():
        if line == 'HEADER': r['header'] = True
        elif line.startswith('TASK '): r['task'].append(line[5:])
        elif '#' in line:
            name, rest = line.rsplit('#', 1); r['procs'].setdefault(name, []).append(rest)
        else: r['task'].append(line)
    for line in read(d, 'fields.txt').splitlines():
        k, v = re.split(': | = ', line, maxsplit=1); r['fields'].setdefault(k, []).append(v)
    for line in read(d, 'tree.txt').splitlines():
        f = re.match(r"(\S) (\d+) (\d+:\d+) \S+ ('.*'|\".*\")", line)
        if f: r['tree'][f.group(4).strip('\'"')] = (f.group(1), f.group(2), f.group(3))
    for s in ('active', 'finished'):
        t = read(d, 'tasks.%s.json' % s)
        if t: r['files'][s] = json.loads(t)
    return r

def squeeze(states):
    """A repeated task state marks a take-over, not a transition."""
    return [s for i, s in enumerate(states) if i == 0 or s != states[i - 1]]

def values(a, b, at='task file'):
    """Where two JSON values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in sorted(set(a) | set(b)):
            yield from values(a.get(k, 'none'), b.get(k, 'none'), '%s.%s' % (at, k))
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)): yield from values(x, y, '%s[%d]' % (at, i))
    elif a != b or type(a) != type(b): yield '%s: %.80r, golden %.80r' % (at, b, a)

def environment(text, limits):
    """What a process finds itself in. Limits are the machine's: they must be those that the runner was started with. Of
    the shell's and its supervisor's pids, what they are to each other; of its supervisor's insides, nothing."""
    who = {}; of = lambda pid: who.setdefault(pid, 'another'); part = 'environment'
    for line in text.splitlines():
        if line.startswith('umask '): part = 'state'
        m = re.match(r'pid (\d+) ppid (\d+)$', line)
        if m: who.update({m.group(1): 'shell', m.group(2): 'coordinator', '0': 'none', '-1': 'none'}); continue
        if line == 'ppid:': part = 'supervisor'
        if line.startswith('uid='): part = 'state'
        if part == 'supervisor' or re.match(r'total |SigQ', line): continue
        if re.search(r'\(.*-\w\) \S+$', line):
            if limits is not None and line not in limits: yield 'limit not as inherited: ' + line
            continue
        m = re.match(r'(\d+) \((.*)\) \S (-?\d+) (-?\d+) (-?\d+) (-?\d+) (-?\d+)$', line)
        if m:
            pid, _, parent, *rest = m.groups()
            if of(parent) == 'another': who[parent] = 'runner'
            yield '%s: parent %s, group %s, session %s, terminal %s' % tuple(map(of, [pid, parent] + rest[:3])); continue
        m = re.match(r'(Sig\w+|ShdPnd):\t(\w{16})$', line)
        # The C library keeps 32 and 33 for itself, and leaves them ignored in what it spawns.
        if m: yield 'signals %s: %016x' % (m.group(1), int(m.group(2), 16) & ~(3 << 31)); continue
        m = re.match(r'(\S{10})\S? +\d+ +\S+ +\S+ +\d+ +.*? (\d+ -> .*)$', line)
        yield 'descriptor %s %s' % m.groups() if m else '%s: %s' % (part, line)

def listing(text, limits):
    """Of `ls -lan` what does not change from day to day or with the file system."""
    section = ''
    for line in text.splitlines():
        m = re.match(r'(\S{10})\S? +\d+ +(\d+) +(\d+) +\d+ +\S+ +\S+ +\S+ (.*)$', line)
        if re.match(r'\.\S*:$', line): section = line[:-1] + '/'
        elif m and m.group(4) != '..': yield '%s %s:%s %s%s' % (m.groups()[:3] + (section, m.group(4)))
        elif not m and not re.match(r'total |$', line): yield line

def options(text, limits):
    """The shell's flags and options, without those that come and go with versions of bash."""
    kept = 'expand_aliases execfail inherit_errexit lastpipe login_shell restricted_shell sourcepath'.split(); old = True
    for line in text.splitlines():
        name = line.split()[0] if line.split() else ''
        if old or name in kept or '=' in line: yield ' '.join(line.split())
        old = old and name != 'xtrace'

# Logs with pids, dates or the machine's own in them: compared by the lines that these make of them.
NORMAL = {
    ('environment', 'x/0/stdout'): environment,
    ('setuid_nobody', 'x/0/stdout'): listing,
    ('pipefail_default', 'x/0/stdout'): options,
}
# What the recorder itself put there, from the machine it runs on.
OURS = {'chroot': r'/mnt/sandbox/(bin|dev|etc|lib|lib64)(/|$)'}

def differences(case, g, o):
    if g['input'] != o['input']: yield 'input is not that of the golden run'
    if not g['header'] and g['exit'] != 0:
        if o['header'] or o['exit'] == 0: yield 'should be rejected: exit %s, header %s' % (o['exit'], o['header'])
        elif g['exit'] not in (1, o['exit']): yield 'rejected with exit %s, golden %s' % (o['exit'], g['exit'])
        return
    if g['exit'] != o['exit']: yield 'exit %s, golden %s' % (o['exit'], g['exit'])
    if g['events'] != o['events']: yield 'on the side %s, golden %s' % (o['events'], g['events'])
    if g['post'] != o['post']: yield 'left running %s, golden %s' % (o['post'][1:], g['post'][1:])
    if squeeze(g['task']) != squeeze(o['task']): yield 'task states %s, golden %s' % (squeeze(o['task']), squeeze(g['task']))
    for n in sorted(set(g['procs']) | set(o['procs'])):
        a, b = g['procs'].get(n), o['procs'].get(n)
        if a != b: yield 'process %r: %s, golden %s' % (n, b and b[-6:], a and a[-6:])
    for n in sorted(set(g['fields']) & set(o['fields'])):
        if g['fields'][n] != o['fields'][n]: yield 'record %s: %s, golden %s' % (n, o['fields'][n], g['fields'][n])
    if set(g['files']) != set(o['files']): yield 'task file is %s, golden %s' % (sorted(o['files']), sorted(g['files']))
    for s in sorted(set(g['files']) & set(o['files'])): yield from values(g['files'][s], o['files'][s])
    for n in sorted(set(g['logs']) | set(o['logs'])):
        if g['logs'].get(n) == o['logs'].get(n): continue
        normal = NORMAL.get((case, n))
        if normal and n in g['logs'] and n in o['logs']:
            a, b = (list(normal(read(x['dir'], 'logs', n), x['limits'])) for x in (g, o))
            for x in a: x in b or (yield 'log %s lacks %r' % (n, x))
            for x in b: x in a or (yield 'log %s has %r' % (n, x))
        else: yield 'log %s: %s, golden %s' % (n, o['logs'].get(n, ('none',))[0], g['logs'].get(n, ('none',))[0])
    for n in sorted(set(g['tree']) | set(o['tree'])):
        if case in OURS and re.match(OURS[case], n): continue
        if g['tree'].get(n) != o['tree'].get(n): yield 'path %s: %s, golden %s' % (n, o['tree'].get(n), g['tree'].get(n))

def main():
    golden, out = sys.argv[1:3]; names = sys.argv[3:] or sorted(os.listdir(golden)); good = 0
    for n in names:
        try: d = list(differences(n, load(os.path.join(golden, n)), load(os.path.join(out, n))))
        except OSError as e: d = ['not run: %s' % e]
        good += not d
        for x in d: print('%s: %s' % (n, x))
    print('%d of %d cases agree wholly' % (good, len(names))); sys.exit(good != len(names))
if __name__ == '__main__': main()
