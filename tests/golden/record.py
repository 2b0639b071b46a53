#!/usr/bin/env python3
"""Runs the golden cases against any thermos_runner with the original's command line and stores what it leaves.

    THERMOS_BIN=DIR GOLDEN_OUT=OUT record.py [--contain] [-j N] [case ...]
    record.py --list

Needs root: each case gets a mount namespace of its own over /mnt. With --contain everything runs in a process namespace
that ends with the recorder, so that nothing outlives it. DIR holds thermos_runner and thermos. OUT/CASE then has the
layout of fixtures/golden/CASE. compare.py lists the differences."""
import sys, os, json, subprocess, time, signal, shutil, stat, hashlib, re
sys.path.insert(0, os.environ.get('TCKPT_DIR', os.path.dirname(os.path.abspath(__file__))))
import tckpt
BIN = os.environ.get('THERMOS_BIN', '.')
WORK = os.environ.get('GOLDEN_WORK', '/tmp/golden-work')
OUT = os.environ.get('GOLDEN_OUT', '/tmp/golden-out')
M = '/mnt'
ENV = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root', 'LANG': 'C.UTF-8', 'USER': 'root', 'LOGNAME': 'root'}
C = {}

def P(name, cmd, **kw):
    return dict(name=name, cmdline=cmd, **kw)

def T(name, *procs, **kw):
    return dict(name=name, processes=list(procs), **kw)

def order(*names):
    return [{'order': list(names)}]

def case(name, task, note='', args=(), pre=None, act=None, timeout=100, **kw):
    C[name] = dict(task=task, note=note, args=list(args), pre=pre, act=act, timeout=timeout, **kw)
case('single_success', T('single', P('hello', 'echo hello; echo oops >&2')), 'one process, rc 0')
case('single_failure', T('single', P('bad', 'echo failing >&2; exit 3')), 'one process, rc 3; task FAILED')
case('sequential3', T('seq', P('a', 'echo a'), P('b', 'echo b'), P('c', 'echo c'), constraints=order('a', 'b', 'c')), 'order a,b,c')
case('parallel5', T('par', *[P('p%d' % i, 'echo p%d; sleep 0.%d' % (i, i + 1)) for i in range(5)]), '5 independent processes')
case('diamond', T('diamond', P('a', 'echo a'), P('b', 'sleep 0.3; echo b'), P('c', 'echo c'), P('d', 'echo d'), constraints=[{'order': ['a', 'b', 'd']}, {'order': ['a', 'c', 'd']}]), 'a then b and c, then d')
CNT = 'n=$(cat cnt 2>/dev/null || echo 0); n=$((n+1)); echo $n > cnt; echo run $n; '
case('retry_then_success', T('retry', P('flaky', CNT + '[ $n -ge 3 ]', max_failures=3, min_duration=1)), 'fails twice, then succeeds; max_failures 3')
case('retry_exceeded', T('retry', P('flaky', CNT + 'exit 7', max_failures=2, min_duration=1)), 'max_failures 2, always rc 7')
case('unlimited_failures', T('retry', P('flaky', CNT + '[ $n -ge 5 ]', max_failures=0, min_duration=0)), 'max_failures 0; succeeds at the 5th run; min_duration 0')
case('daemon_max_failures', T('daemon', P('d', CNT + '[ $((n%2)) = 1 ]', daemon=True, max_failures=2, min_duration=1)), 'daemon, odd runs succeed, even fail, max_failures 2')
case('ephemeral', T('eph', P('main', 'sleep 1; echo main done'), P('e', 'trap "echo got term; exit 0" TERM; sleep 60 & wait', ephemeral=True)), 'ephemeral is terminated when main is done')
case('final_after_success', T('fin', P('main', 'echo main'), P('f', 'echo final', final=True)))
case('final_order', T('fin', P('main', 'echo main'), P('f1', 'echo f1', final=True), P('f2', 'echo f2', final=True), constraints=order('f1', 'f2')))
case('final_fails', T('fin', P('main', 'echo main'), P('f', 'exit 5', final=True)), 'a failing final process')
case('final_on_kill', T('fin', P('main', 'sleep 60'), P('f', 'echo final', final=True)), 'SIGUSR1 to the runner 3 s after its start', act=lambda s: s.after(3, signal.SIGUSR1))
case('final_wait_exceeded', T('fin', P('main', 'echo main'), P('f', 'sleep 60', final=True), finalization_wait=3), 'final process outlives finalization_wait 3')
case('finalization_wait_zero', T('fin', P('main', 'echo main'), P('f', 'echo final', final=True), finalization_wait=0), 'finalization_wait 0')
case('task_max_failures_2', T('mf', P('a', 'exit 1'), P('b', 'sleep 1'), P('c', 'sleep 1'), max_failures=2), 'one failure allowed: SUCCESS')
case('task_max_failures_0', T('mf', P('a', 'exit 1'), P('b', 'exit 2'), max_failures=0), 'unlimited task failures')
case('max_concurrency_2', T('conc', *[P('p%d' % i, 'sleep 0.2') for i in range(5)], max_concurrency=2))
case('run_limit_100', T('lim', P('x', 'exit 1', max_failures=0, min_duration=0)), 'unlimited failures stop at 100 runs', timeout=400, keep_logs=0)
case('cmd_not_found', T('nf', P('x', 'nosuchcommand-xyz --flag')), 'rc 127')
case('cmd_not_executable', T('nf', P('x', '/etc/passwd')), 'rc 126')
case('multiline_bash', T('ml', P('x', '\nset -eu\nfunction greet {\n  local name="$1"\n  printf \'hello %s\\n\' "$name"\n}\nfor w in a "b c" $\'tab\\tx\'; do greet "$w"; done\ncat <<EOF\nheredoc $((1+2))\nEOF\narr=(1 2 3); echo "${#arr[@]} ${arr[@]:1}"\n')), 'bashisms, heredoc')
case('pipefail_default', T('pf', P('x', 'false | true; echo "rc=$?"; set -o; shopt; echo "flags=$-"')), 'shell options as seen inside')
case('sigpipe_ignored', T('sp', P('x', 'yes | head -n 1; echo "${PIPESTATUS[@]}"')), 'SIGPIPE disposition inherited by processes')
case('environment', T('env', P('x', 'env -0 | sort -z | tr \'\\0\' \'\\n\'; echo "umask $(umask)"; pwd; ulimit -a; echo "pid $$ ppid $PPID"; cut -d\' \' -f1-8 /proc/$$/stat; cut -d\' \' -f1-8 /proc/$PPID/stat; ls -l /proc/$$/fd; tr \'\\0\' \'|\' </proc/$$/cmdline; echo; grep -E \'^(Sig|Shd)\' /proc/$$/status; echo ppid:; ls -l /proc/$PPID/fd;  grep -E \'^(Sig|Shd)\' /proc/$PPID/status; id')), 'environment, umask, fds, session, signal masks')
case('environment_preserve', T('env', P('x', "env -0 | sort -z | tr '\\0' '\\n' ")), '--preserve_env', args=['--preserve_env'])

def prof(s):
    os.makedirs(M + '/sandbox')
    open(M + '/sandbox/.thermos_profile', 'w').write('export FROM_PROFILE="yes it is"\nPROFILE_LOCAL=1\necho profile ran >&2\n')
case('thermos_profile', T('prof', P('setup', "echo hi; (echo 'export LATER=1') >> .thermos_profile"), P('x', 'env -0 | sort -z | tr \'\\0\' \'\\n\'; echo "local=$PROFILE_LOCAL"; bash -c \'echo nested bash\'; sh -c \'echo nested sh\' '), constraints=order('setup', 'x')), '.thermos_profile in the sandbox; appended to by the first process', pre=prof)
case('setuid_nobody', T('su', P('x', "env -0 | sort -z | tr '\\0' '\\n'; id; pwd; touch f; ls -lan . .logs .logs/x .logs/x/0")), '--setuid=nobody', args=['--setuid=nobody'], pre=lambda s: (os.makedirs(M + '/sandbox'), os.chown(M + '/sandbox', 65534, 65534)))

def chr(s):
    sb = M + '/sandbox'
    os.makedirs(sb + '/bin')
    for f in ['/bin/bash', '/usr/bin/env', '/bin/pwd', '/bin/ls'] + sorted(set(subprocess.run("ldd /bin/bash /usr/bin/env /bin/ls | grep -o '/[^ ]*\\.so[^ ]*'", shell=True, capture_output=True, text=True).stdout.split())):
        d = sb + ('/bin/' + os.path.basename(f) if '/bin/' in f else f)
        os.makedirs(os.path.dirname(d), exist_ok=True)
        shutil.copy(os.path.realpath(f), d)
    open(sb + '/.thermos_profile', 'w').write('export FROM_PROFILE=1\n')
    os.makedirs(sb + '/etc')
    os.makedirs(sb + '/dev')
    for f in ('/etc/passwd', '/etc/group'):
        shutil.copy(f, sb + f)
case('chroot', T('chroot', P('x', 'env; pwd; ls -a /')), '--enable_chroot with a bash inside the sandbox', args=['--enable_chroot'], pre=chr)
case('chroot_no_passwd', T('chroot', P('x', 'env')), '--enable_chroot, no bash inside', args=['--enable_chroot'], timeout=80, cleanup=True)
case('setuid_unknown', T('su', P('x', 'id')), '--setuid of an unknown user: exit code', args=['--setuid=nosuchuser'])
case('ports_and_context', T('ports', P('x', 'echo {{thermos.ports[http]}} {{thermos.ports[admin]}} {{thermos.task_id}} {{thermos.user}}')), 'context interpolation', args=['--port=http:31337', '--port=admin:8081'])
case('ports_missing', T('ports', P('x', 'echo {{thermos.ports[http]}}')), 'unbound port')
case('extra_port', T('ports', P('x', 'echo none')), 'a port that no process uses', args=['--port=http:31337'])
case('unbound_ref', T('ref', P('x', 'echo {{nosuch.thing}}')), 'unbound mustache')
case('mustache_escape', T('esc', P('x', 'echo {{&notaref}} && echo ${x} "{{ }}" $(( 1 )) %(x)s {not} }}')), 'escaped mustache and odd braces')
case('mustache_escape_ok', T('esc', P('x', 'echo "{{&notaref}}" ; echo "${x}" $(( 1 )) "%(x)s {not} }}"; echo "{{ }}" "{{}}" "{{a b}}"')), 'escaped mustache and odd braces that are no refs')
case('mustache_escape_only', T('esc', P('x', 'echo "{{&notaref}}" ; echo "${x}" $(( 1 )) "%(x)s {not} }}"')), 'escaped mustache and odd braces')
case('default_task_name', dict(processes=[P('first', 'echo 1'), P('second', 'echo 2')]), 'no task name: default {{processes[0].name}}')
case('log_rotate', T('rot', P('x', 'for i in $(seq 1 400); do echo "line $i 0123456789012345678901234567890123456789"; sleep 0.002; done; echo err >&2', logger=dict(mode='rotate', rotate=dict(log_size=4000, backups=3)))), 'rotate 4000 bytes x 3')
case('log_rotate_flags', T('rot', P('x', 'head -c 3000000 /dev/zero | tr "\\0" y')), 'rotate by flags, 1 MiB x 2', args=['--process_logger_mode=rotate', '--rotate_log_size_mb=1', '--rotate_log_backups=2'], keep_logs=0)
case('log_both', T('both', P('x', 'echo out; echo err >&2', logger=dict(destination='both'))), 'destination both')
case('log_console', T('con', P('x', 'echo out; echo err >&2', logger=dict(destination='console'))), 'destination console')
case('log_none', T('none', P('x', 'echo out; echo err >&2', logger=dict(destination='none'))), 'destination none')
case('log_flags_both', T('both', P('x', 'echo out; echo err >&2'), P('y', 'echo yout', logger=dict(destination='none'))), 'flag both; y has its own logger', args=['--process_logger_destination=both'])
case('log_bad_destination', T('bad', P('x', 'echo out', logger=dict(destination='syslog'))), 'invalid enum value')
case('log_bad_flag', T('bad', P('x', 'echo out')), 'invalid flag value', args=['--process_logger_destination=syslog'], timeout=25, act=lambda s: s.after(15, signal.SIGUSR1))
case('signal_and_final_order', T('x', P('main', 'kill -TERM $PPID; sleep 1', max_failures=1)), 'a process that sends SIGTERM to its coordinator', timeout=60, cleanup=True)
case('kill_during_final', T('x', P('main', 'true'), P('f', 'sleep 20; echo f', final=True), finalization_wait=40), 'SIGUSR1 while FINALIZING', act=lambda s: s.when(lambda: any((r.get('record') and r['record'][0]['name'] == 'process_status' and any((x['value'] == 'f' for x in r['record'][0]['value'])) and any((x['value'] == [2, 'RUNNING'] for x in r['record'][0]['value'])) for r in (s.recs() if os.path.exists(M + '/root/checkpoints/' + s.tid + '/runner') else []))), 1, signal.SIGUSR1), timeout=120)
case('ephemeral_final', T('x', P('main', 'true'), P('fe', 'sleep 30', final=True, ephemeral=True), P('f', 'sleep 1', final=True)), 'ephemeral final process', timeout=80)
case('only_ephemeral', T('x', P('e', 'sleep 29', ephemeral=True)), 'only ephemeral processes: complete at once', timeout=60, post=lambda s: (time.sleep(1), open(M + '/post.txt', 'w').write('alive 1 s after the runner exited:\n' + subprocess.run('ps -eo pid,ppid,pgid,sid,stat,args | grep "sleep 29" | grep -v grep', shell=True, capture_output=True, text=True).stdout)))
case('cmdline_long', T('x', P('a', 'echo ' + 'x' * 100000 + ' | wc -c')), '100 kB command line')
case('cmdline_too_long', T('x', P('a', 'echo ' + 'x' * 140000 + ' | wc -c', min_duration=0)), 'command line over the 128 KiB limit of one argument', timeout=130)
case('empty_cmdline', T('x', P('a', '')), 'empty command line')
case('many_sequential_retries', T('x', P('a', CNT + '[ $n -ge 2 ]', max_failures=2, min_duration=0), P('b', 'echo b', max_failures=2, min_duration=0), constraints=order('a', 'b')), 'dependency waits for the retry')
case('big_stdout', T('big', P('x', 'seq 1 2000000')), '~15 MB on stdout', keep_logs=0)
case('binary_stdout', T('bin', P('x', "printf '\\000\\001\\377\\n\\xc3\\x28'")), 'non-UTF-8 bytes')
case('odd_names', T('odd', *[P(n, 'echo x') for n in ('with space', '-dash', 'a.b', 'a:b', 'UPPER', 'x' * 100, '$dollar', 'semi;colon', 'quote"d', "apos'", '*')]), 'names that are accepted')
case('percent_name', T('odd', P('50%', 'echo x'), P('%(run)s', 'echo y')), 'percent signs in a process name (path template)', timeout=25, act=lambda s: s.after(15, signal.SIGUSR1))
for n, v in (('dot', '.hidden'), ('slash', 'a/b'), ('empty', '')):
    case('name_' + n, T('odd', P(v, 'echo x')), 'process name %r' % v, timeout=40)
case('task_name_odd', T('my task/with:odd', P('a', 'echo x')), 'task name is not validated the same way')
case('bad_cycle', T('bad', P('a', 'x'), P('b', 'x'), constraints=[{'order': ['a', 'b']}, {'order': ['b', 'a']}]))
case('bad_unknown_in_order', T('bad', P('a', 'echo a'), constraints=order('a', 'nosuch')))
case('bad_all_unknown_in_order', T('bad', P('a', 'echo a'), constraints=order('nosuch1', 'nosuch2')))
case('bad_final_regular_order', T('bad', P('a', 'echo a'), P('f', 'echo f', final=True), constraints=order('a', 'f')))
case('bad_after_daemon', T('bad', P('a', 'echo a', daemon=True), P('b', 'echo b'), constraints=order('a', 'b')))
case('bad_no_cmdline', dict(name='bad', processes=[dict(name='a')]))
case('bad_no_processes', dict(name='bad'))
case('empty_processes', dict(name='bad', processes=[]), 'no processes at all', timeout=40)
case('bad_json', '{"name": "x", "processes": [', 'not JSON')
case('string_numbers', T('sn', P('a', 'exit 1', max_failures='2', min_duration='1'), finalization_wait='5'), 'numbers given as strings')
case('float_number', T('sn', P('a', 'exit 1', max_failures=2.9, min_duration=1)), 'a float for an integer field')
case('bool_strings', T('sn', P('a', 'echo a'), P('f', 'echo f', final='true')), 'a boolean given as a string')
case('negative_max_failures', T('neg', P('a', 'exit 1', max_failures=-1, min_duration=1)), 'negative max_failures')
case('resources_ignored', T('res', P('a', 'echo a', resources=dict(cpu=1.0, ram=1, disk=1)), resources=dict(cpu=0.5, ram=1048576, disk=1048576, gpu=0)))
case('sigusr1', T('k', P('a', 'sleep 60'), P('b', 'trap "sleep 1; echo bye; exit 0" TERM; sleep 60 & wait')), 'kill', act=lambda s: s.after(2.5, signal.SIGUSR1))
case('sigusr2', T('k', P('a', 'sleep 60'), P('f', 'echo f', final=True)), 'lose', act=lambda s: s.after(2.5, signal.SIGUSR2))
case('sigint', T('k', P('a', 'sleep 60')), 'SIGINT to the runner', act=lambda s: s.after(2.5, signal.SIGINT), timeout=120)
case('sigterm', T('k', P('a', 'sleep 60')), 'SIGTERM to the runner: dies, processes go on', act=lambda s: s.after(2.5, signal.SIGTERM), cleanup=True)
case('kill_before_start', T('k', P('a', 'sleep 60')), 'SIGUSR1 very early (as soon as the checkpoint exists)', act=lambda s: s.when(lambda: os.path.exists(M + '/root/checkpoints/' + s.tid + '/runner'), 0, signal.SIGUSR1), cleanup=True)

def haswaiting(s):
    try:
        return any((r.get('record') and r['record'][0]['name'] == 'process_status' for r in s.recs()))
    except Exception:
        return False

def atwait(s):
    s.when(lambda: haswaiting(s), 0, signal.SIGUSR1)

def coordkill(s):
    s.running()
    st = s.pstate('a')
    os.kill(st['coordinator_pid'], 9)
    s.note('SIGKILL to the coordinator')

def shkill(s):
    s.running()
    st = s.pstate('a')
    os.kill(st['pid'], 15)
    s.note('SIGTERM to the shell')
case('shell_killed', T('k', P('a', CNT + '[ $n -ge 2 ] || sleep 30; echo done', min_duration=1)), 'SIGTERM to the shell of a: KILLED with rc -15, then rerun', act=shkill)

def recov(wait, kill_coord=False, args=()):

    def f(s):
        s.running()
        os.kill(s.p.pid, 9)
        s.p.wait()
        s.note('SIGKILL to the runner at %.3f' % s.t())
        if kill_coord:
            st = s.pstate('a')
            os.kill(st['coordinator_pid'], 9)
            try:
                os.kill(st['pid'], 9)
            except ProcessLookupError:
                pass  # A shell may die with its coordinator, and its pid be gone by now.
            s.note('SIGKILL to coordinator and shell of a')
        s.snap('at_kill')
        time.sleep(wait)
        s.snap('before_restart')
        s.start()
        s.note('restarted at %.3f' % s.t())
    return f
case('recovery_running', T('rec', P('a', 'sleep 8; echo a done'), P('b', 'echo b'), constraints=order('a', 'b')), 'runner killed while a runs, restarted at once', act=recov(0.2))
case('recovery_coordinator_dead', T('rec', P('a', CNT + '[ $n -ge 2 ] || sleep 30; echo a done', min_duration=1), P('b', 'echo b'), constraints=order('a', 'b')), 'runner, coordinator and process killed: LOST, rerun', act=recov(0.5, True))

def torn(s):
    recov(4)
    s.running()
    os.kill(s.p.pid, 9)
    s.p.wait()
    f = M + '/root/checkpoints/' + s.tid + '/runner'
    n = os.path.getsize(f)
    os.truncate(f, n - 7)
    s.note('checkpoint truncated by 7 bytes')
    s.snap('torn')
    time.sleep(0.2)
    s.start()
case('recovery_torn_checkpoint', T('rec', P('a', 'sleep 6; echo a done')), 'last record of the runner checkpoint is cut', act=torn, cleanup=True, timeout=40)

def second(s):
    s.running()
    r = s.runonce()
    s.note('second runner on the same task: rc %d stdout %r stderr %r' % r)
case('second_runner', T('rec', P('a', 'sleep 6; echo a done')), 'a second runner started on a task that has one', act=second)
case('rerun_terminal', T('rec', P('a', 'echo a done')), 'runner started again on a finished task', after=lambda s: s.note('rerun: rc %d stdout %r stderr %r' % s.runonce()))

def changed(s):
    s.running()
    os.kill(s.p.pid, 9)
    s.p.wait()
    t = json.load(open(M + '/task.json'))
    t['processes'][0]['cmdline'] += '; true'
    json.dump(t, open(M + '/task.json', 'w'))
    s.start()
case('recovery_changed_task', T('rec', P('a', 'sleep 6; echo a done')), 'restart with a different task.json', act=changed, cleanup=True, timeout=40)

def tkill(s):
    s.running()
    r = subprocess.run([BIN + '/thermos', 'kill', '--root=' + M + '/root', s.tid], capture_output=True, text=True, env=ENV)
    s.note('thermos kill: rc %d stdout %r stderr %r' % (r.returncode, r.stdout, r.stderr))
case('thermos_kill', T('k', P('a', 'sleep 60'), P('b', 'echo b; sleep 1'), P('f', 'echo final', final=True)), 'thermos kill of a running task', act=tkill)

def tkill2(s):
    s.running()
    os.kill(s.p.pid, 9)
    s.p.wait()
    tkill(s)

class S:

    def __init__(s, name):
        s.name = name
        s.c = C[name]
        s.tid = 'golden-' + name.replace('_', '-')
        s.notes = []
        s.t0 = time.time()
        s.nstart = 0

    def t(s):
        return time.time() - s.t0

    def note(s, x):
        s.notes.append(x)

    def cmd(s):
        return ['thermos_runner', '--thermos_json=' + M + '/task.json', '--sandbox=' + M + '/sandbox', '--checkpoint_root=' + M + '/root', '--task_id=' + s.tid, '--hostname=host.example', '--log_dir=' + M + '/log', '--log_to_disk=DEBUG'] + s.c['args']

    def start(s):
        c = s.cmd()
        sfx = '' if not s.nstart else '.%d' % (s.nstart + 1)
        s.nstart += 1
        s.p = subprocess.Popen([BIN + '/' + c[0]] + c[1:], stdin=subprocess.DEVNULL, stdout=open(M + '/stdout' + sfx, 'wb'), stderr=open(M + '/stderr' + sfx, 'wb'), env=ENV, cwd='/', preexec_fn=lambda: (os.umask(s.c.get('umask', 18)), signal.signal(signal.SIGINT, signal.SIG_DFL), signal.signal(signal.SIGQUIT, signal.SIG_DFL), signal.signal(signal.SIGHUP, signal.SIG_DFL)))

    def runonce(s):
        c = s.cmd()
        r = subprocess.run([BIN + '/' + c[0]] + c[1:], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENV, cwd='/', timeout=60)
        return (r.returncode, r.stdout, r.stderr)

    def running(s, extra=1.0, limit=15):
        t = time.time()
        while time.time() - t < limit and s.p.poll() is None:
            try:
                ok = any((r.get('record') and r['record'][0]['name'] == 'process_status' and any((x['value'] == [2, 'RUNNING'] for x in r['record'][0]['value'])) for r in s.recs()))
            except Exception:
                ok = False
            if ok:
                break
            time.sleep(0.05)
        time.sleep(extra)

    def after(s, n, sig):
        s.running()
        s.note('%s sent at %.3f' % (sig.name, s.t()))
        s.p.poll() is None and os.kill(s.p.pid, sig)

    def when(s, f, n, sig):
        while not f() and s.p.poll() is None:
            time.sleep(0.002)
        s.note('%s sent at %.3f' % (sig.name, s.t()))
        s.p.poll() is None and os.kill(s.p.pid, sig)

    def recs(s):
        return tckpt.decode(open(M + '/root/checkpoints/' + s.tid + '/runner', 'rb').read())

    def pstate(s, name):
        d = {}
        for r in s.recs():
            f = r['record'][0]
            if f['name'] == 'process_status':
                v = {x['name']: x['value'] for x in f['value']}
                if v.get('process') == name:
                    d.update(v)
        return d

    def snap(s, n):
        shutil.copytree(M + '/root/checkpoints/' + s.tid, M + '/snap.' + n)

def tree(root):
    L = []
    for d, ds, fs in os.walk(root):
        ds.sort()
        for n in sorted(ds + fs):
            p = os.path.join(d, n)
            st = os.lstat(p)
            k = stat.S_IFMT(st.st_mode)
            kind = {stat.S_IFDIR: 'd', stat.S_IFREG: 'f', stat.S_IFLNK: 'l'}.get(k, '?')
            L.append((p, kind, '%04o' % (st.st_mode & 4095), st.st_uid, st.st_gid, st.st_size if kind == 'f' else '-', ' -> ' + os.readlink(p) if kind == 'l' else ''))
    return '\n'.join(('%s %s %s:%s %s %r%s' % (x[1], x[2], x[3], x[4], x[5], x[0], x[6]) for x in sorted(L, key=lambda x: x[0]))) + '\n'

def one(name):
    c = C[name]
    W = WORK + '/' + name
    shutil.rmtree(W, ignore_errors=True)
    os.makedirs(W)
    subprocess.check_call(['mount', '--bind', W, M])
    os.chdir(M)
    os.makedirs(M + '/log')
    os.makedirs(M + '/root')
    with open(M + '/task.json', 'w') as f:
        f.write(c['task'] if isinstance(c['task'], str) else json.dumps(c['task'], ensure_ascii=False, indent=1))
    shutil.copy(M + '/task.json', M + '/task.orig.json')
    s = S(name)
    if c['pre']:
        c['pre'](s)
    limits = subprocess.run(['/bin/bash', '-c', 'ulimit -a'], capture_output=True, text=True, env=ENV).stdout.splitlines()
    s.t0 = time.time()
    s.start()
    to = False
    try:
        if c['act']:
            c['act'](s)
        rc = s.p.wait(max(1, c['timeout'] - s.t()))
    except subprocess.TimeoutExpired:
        to = True
        os.kill(s.p.pid, 9)
        rc = s.p.wait()
        s.note('TIMEOUT: still running after %d s, killed by the harness' % c['timeout'])
    except Exception as e:
        s.note('harness: %r' % e)
        to = True
        if s.p.poll() is None:
            os.kill(s.p.pid, 9)
        rc = s.p.wait()
    wall = s.t()
    for x in s.notes:
        if x.startswith('harness: '):
            print('%s: %s' % (name, x), flush=True)
    if c.get('after'):
        c['after'](s)
    if c.get('post'):
        c['post'](s)
    O = OUT + '/' + name
    shutil.rmtree(O, ignore_errors=True)
    os.makedirs(O)
    shutil.copy(M + '/task.orig.json', O + '/task.json')
    open(O + '/cmd.txt', 'w').write(' '.join(("'%s'" % a if re.search('[^\\w=/:.,-]', a) else a for a in s.cmd())) + '\n')
    for f in sorted(os.listdir(M)):
        if f.startswith(('stdout', 'stderr', 'post')):
            shutil.copy(M + '/' + f, O + '/' + f)
        if f.startswith('snap.'):
            shutil.copytree(M + '/' + f, O + '/' + f)
    ck = M + '/root/checkpoints/' + s.tid
    states = None
    if os.path.isdir(ck):
        shutil.copytree(ck, O + '/checkpoint')
        L = []
        J = {}
        for f in sorted(os.listdir(ck)):
            b = open(ck + '/' + f, 'rb').read()
            try:
                r = tckpt.decode(b)
                L.append('== %s (%d bytes)\n%s' % (f, len(b), tckpt.text(r)))
                J[f] = r
            except Exception as e:
                L.append('== %s: cannot decode: %r\n' % (f, e))
        open(O + '/records.txt', 'w').write('\n'.join(L))
        json.dump(J, open(O + '/records.json', 'w'), ensure_ascii=False, indent=0)
        states = []
        for r in J.get('runner', []):
            if 'record' not in r:
                states.append('TRUNCATED')
                continue
            f = r['record'][0]
            v = {x['name']: x['value'] for x in f['value']}
            if f['name'] == 'runner_header':
                states.append('HEADER')
            elif f['name'] == 'task_status':
                states.append('TASK ' + v['state'][1])
            else:
                states.append('%s#%d %s%s' % (v.get('process'), v['seq'], v['state'][1], ' rc=%s' % v['return_code'] if 'return_code' in v else ''))
        open(O + '/fields.txt', 'w').write(tckpt.fields(J.get('runner', [])))
        open(O + '/states.txt', 'w').write('\n'.join(states) + '\n')
        r = subprocess.run([BIN + '/thermos', 'read', ck + '/runner'], capture_output=True, text=True, env=ENV, errors='surrogateescape')
        open(O + '/thermos_read.txt', 'w', errors='surrogateescape').write('rc=%d\n--stdout\n%s--stderr\n%s' % (r.returncode, r.stdout, r.stderr))
        r = subprocess.run([BIN + '/thermos', 'status', '--root=' + M + '/root', '--verbosity=3'], capture_output=True, text=True, env=ENV, errors='surrogateescape')
        open(O + '/thermos_status.txt', 'w', errors='surrogateescape').write('rc=%d\n--stdout\n%s--stderr\n%s' % (r.returncode, r.stdout, r.stderr))
    open(O + '/tree.txt', 'w').write(tree(M + '/root') + (tree(M + '/sandbox') if os.path.isdir(M + '/sandbox') else '(no sandbox)\n'))
    for st_ in ('active', 'finished'):
        d = M + '/root/tasks/' + st_
        if os.path.isdir(d):
            for f in os.listdir(d):
                shutil.copy(d + '/' + f, O + '/tasks.' + st_ + '.json')
    lg = M + '/sandbox/.logs'
    sums = {}
    if os.path.isdir(lg):
        for d, ds, fs in os.walk(lg):
            for f in fs:
                p = os.path.join(d, f)
                rel = os.path.relpath(p, lg)
                b = open(p, 'rb').read()
                sums[rel] = [len(b), hashlib.sha256(b).hexdigest()]
                if c.get('keep_logs', 1) and len(b) <= 20000:
                    q = O + '/logs/' + rel
                    os.makedirs(os.path.dirname(q), exist_ok=True)
                    open(q, 'wb').write(b)
    dl = M + '/log/thermos_runner.log'
    if os.path.exists(dl) and os.path.getsize(dl) < 2000000:
        shutil.copy(dl, O + '/runner_debug.log')
    json.dump(dict(name=name, note=c['note'], exit_code=rc, wall_s=round(wall, 3), harness_timeout=to, task_id=s.tid, events=s.notes, log_files=sums, limits=limits), open(O + '/meta.json', 'w'), ensure_ascii=False, indent=1)
    if True:
        for pid in [int(x) for x in os.listdir('/proc') if x.isdigit()]:
            try:
                cw = os.readlink('/proc/%d/cwd' % pid)
                if pid != os.getpid() and cw.startswith(M + '/sandbox') and (os.readlink('/proc/%d/ns/mnt' % pid) == os.readlink('/proc/self/ns/mnt')):
                    os.kill(pid, 9)
            except OSError:
                pass
    print('%-34s rc=%-4s %6.1fs %s' % (name, rc, wall, (states or ['-'])[-1]), flush=True)
if __name__ == '__main__':
    a = sys.argv[1:]
    if a[:1] == ['--contain']:
        os.execvp('unshare', ['unshare', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc', sys.executable, os.path.abspath(__file__), '--init'] + a[1:])
    if a[:1] == ['--init']:
        child = os.posix_spawn(sys.executable, [sys.executable, os.path.abspath(__file__)] + a[1:], os.environ)
        while True:
            pid, status = os.wait()
            if pid == child:
                sys.exit(os.waitstatus_to_exitcode(status))
    if a[:1] == ['--one']:
        one(a[1])
        sys.exit()
    if a[:1] == ['--list']:
        print(len(C))
        print('\n'.join(C))
        sys.exit()
    j = 4
    if a[:1] == ['-j']:
        j = int(a[1])
        a = a[2:]
    from concurrent.futures import ThreadPoolExecutor

    def go(n):
        return subprocess.run(['unshare', '-m', '--propagation', 'private', sys.executable, os.path.abspath(__file__), '--one', n]).returncode
    with ThreadPoolExecutor(j) as ex:
        failed = [n for n, rc in zip(a or list(C), ex.map(go, a or list(C))) if rc]
    if failed:
        sys.exit('could not be recorded: ' + ' '.join(failed))
