#!/usr/bin/env python3
"""Decode a Thermos checkpoint stream (4-byte big-endian length + TBinaryProtocol struct RunnerCkpt)."""
import struct, sys, json
PS = ['WAITING','FORKED','RUNNING','SUCCESS','KILLED','FAILED','LOST']
TS = ['ACTIVE','SUCCESS','FAILED','KILLED','LOST','CLEANING','FINALIZING']
T = {2:'bool',3:'byte',4:'double',6:'i16',8:'i32',10:'i64',11:'string',12:'struct',13:'map',14:'set',15:'list'}
NAMES = {
 'RunnerCkpt': {1:('runner_header','RunnerHeader'),2:('process_status','ProcessStatus'),3:('task_status','TaskStatus')},
 'RunnerHeader': {1:'task_id',2:'launch_time_ms',3:'sandbox',4:'hostname',5:'user',6:'ports',7:'log_dir',8:'uid'},
 'ProcessStatus': {1:'seq',3:'process',5:'state',6:'start_time',7:'pid',8:'stop_time',9:'return_code',10:'coordinator_pid',11:'fork_time'},
 'TaskStatus': {1:'state',2:'timestamp_ms',3:'runner_pid',4:'runner_uid'}}
def val(b, o, t, sname=None):
    if t in (2,3): return struct.unpack_from('>b', b, o)[0], o+1
    if t == 4: return struct.unpack_from('>d', b, o)[0], o+8
    if t == 6: return struct.unpack_from('>h', b, o)[0], o+2
    if t == 8: return struct.unpack_from('>i', b, o)[0], o+4
    if t == 10: return struct.unpack_from('>q', b, o)[0], o+8
    if t == 11:
        n = struct.unpack_from('>i', b, o)[0]; s = b[o+4:o+4+n]
        return s.decode('utf-8', 'surrogateescape'), o+4+n
    if t == 12: return st(b, o, sname)
    if t == 13:
        kt, vt, n = struct.unpack_from('>bbi', b, o); o += 6; d = {}
        for _ in range(n):
            k, o = val(b, o, kt); v, o = val(b, o, vt); d[str(k)] = v
        return {'__map__': [T.get(kt,kt), T.get(vt,vt)], 'items': d}, o
    if t in (14,15):
        et, n = struct.unpack_from('>bi', b, o); o += 5; l = []
        for _ in range(n):
            v, o = val(b, o, et); l.append(v)
        return l, o
    raise ValueError('type %r at %d' % (t, o))
def st(b, o, sname):
    out = []
    while True:
        t = b[o]; o += 1
        if t == 0: return out, o
        fid = struct.unpack_from('>h', b, o)[0]; o += 2
        nm = NAMES.get(sname, {}).get(fid, '?%d' % fid); sub = None
        if isinstance(nm, tuple): nm, sub = nm
        v, o = val(b, o, t, sub)
        if nm == 'state': v = [v, (PS if sname == 'ProcessStatus' else TS)[v]]
        if sub: v = v
        out.append({'id': fid, 'type': T.get(t, t), 'name': nm, 'value': v})
def decode(b):
    o = 0; recs = []
    while o < len(b):
        if o + 4 > len(b): recs.append({'offset': o, 'truncated': b[o:].hex()}); break
        n = struct.unpack_from('>I', b, o)[0]
        if o + 4 + n > len(b): recs.append({'offset': o, 'length': n, 'truncated': b[o+4:].hex()}); break
        v, e = st(b, o+4, 'RunnerCkpt')
        recs.append({'offset': o, 'length': n, 'consumed': e-o-4, 'record': v}); o += 4 + n
    return recs
def text(recs):
    L = []
    for i, r in enumerate(recs):
        if 'truncated' in r: L.append('#%d @%d TRUNCATED %s' % (i, r['offset'], r['truncated'])); continue
        f = r['record'][0]; fs = f['value']
        L.append('#%d @%d len=%d %s{%s}' % (i, r['offset'], r['length'], f['name'], ', '.join(
            '%d:%s %s=%s' % (x['id'], x['type'], x['name'],
              (repr(x['value']) if x['name'] != 'state' else '%d(%s)' % tuple(x['value']))) for x in fs)))
    return '\n'.join(L) + '\n'
def fields(recs):
    """Which fields each kind of record carries, one line per combination, and what the header says. Ids from 100 up are
    extensions, which readers of the original skip."""
    L = set()
    for r in recs:
        if 'record' not in r: continue
        f = r['record'][0]; v = [x for x in f['value'] if x['id'] < 100]; kind = f['name']
        for x in v:
            if x['name'] == 'state': kind += ' ' + x['value'][1]
        L.add(kind + ': ' + ' '.join('%d:%s' % (x['id'], x['type']) for x in v))
        if f['name'] == 'runner_header':
            for x in v:
                if x['name'] != 'launch_time_ms':
                    y = x['value']['items'] if x['type'] == 'map' else x['value']
                    L.add('runner_header %s = %r' % (x['name'], dict(sorted(y.items())) if isinstance(y, dict) else y))
    return ''.join(x + '\n' for x in sorted(L))
if __name__ == '__main__':
    recs = decode(open(sys.argv[1], 'rb').read())
    if '--json' in sys.argv: json.dump(recs, sys.stdout, indent=1)
    else: sys.stdout.write(text(recs))
