#!/usr/bin/env python3
"""Builds a runnable Mesos 1.11.0 master and agent out of one package and the C compiler.

    setup.py DEST

The package is fetched from the Python package index with setuptools, which knows eggs (27 MB;
PIP_INDEX_URL names another index). DEST gets bin/ (node, mesos-containerizer, mesos-fetcher) and
lib/. Needs: cc, libcrypto.so.3, libz.so.1, libstdc++.so.6, setuptools before 80."""
import hashlib, os, re, shutil, struct, subprocess, sys, warnings, zipfile
warnings.simplefilter('ignore')
from pkg_resources import Requirement
from setuptools.package_index import PackageIndex
HERE = os.path.dirname(os.path.abspath(__file__))
dest = os.path.abspath(sys.argv[1])
lib, bin_, tmp = (os.path.join(dest, d) for d in ('lib', 'bin', 'tmp'))
shutil.rmtree(dest, ignore_errors=True)
for d in (lib, bin_, tmp): os.makedirs(d)
index = PackageIndex(os.environ.get('PIP_INDEX_URL', 'https://pypi.org/simple').rstrip('/') + '/', python='2.7', platform='linux-x86_64')
found = index.fetch_distribution(Requirement.parse('mesos.scheduler==1.11.0'), tmp)
if found is None: sys.exit('the package index has no mesos.scheduler 1.11.0')
egg = found.location
if hashlib.sha256(open(egg, 'rb').read()).hexdigest() != '4940ebb70894ee004cf8a12b7b66b52a351be1070ec2a4e6f7dae4ec04f8cb61': sys.exit('not the expected egg')
so = os.path.join(lib, 'libmesos.so')
with zipfile.ZipFile(egg) as z, z.open('mesos/scheduler/_scheduler.so') as r, open(so, 'wb') as f: shutil.copyfileobj(r, f)

# --- what does the object want? (ELF dynamic symbols and their versions)
b = open(so, 'rb').read(); off = struct.unpack_from('<Q', b, 40)[0]; es, n, _ = struct.unpack_from('<HHH', b, 58)
secs = [struct.unpack_from('<IIQQQQIIQQ', b, off + i * es) for i in range(n)]
sec = {s[1]: s for s in secs if s[1] in (11, 0x6ffffffe, 0x6fffffff)}   # dynsym, verneed, versym
strtab = secs[sec[11][6]][4]
def name(o):
    o += strtab; return b[o:b.index(0, o)].decode()
ver = {}; p = sec[0x6ffffffe][4]
while True:
    _, cnt, file, aux, nxt = struct.unpack_from('<HHIII', b, p); a = p + aux
    for _i in range(cnt):
        _h, _f, idx, nm, an = struct.unpack_from('<IHHII', b, a); ver[idx] = (name(file), name(nm)); a += an
    if not nxt: break
    p += nxt
missing = []                                                            # (library or None, version or None, symbol)
for i in range(1, sec[11][5] // 24):
    nm, info, _o, shndx, _v, _s = struct.unpack_from('<IBBHQQ', b, sec[11][4] + 24 * i)
    if shndx == 0 and info >> 4 == 1:
        v = struct.unpack_from('<H', b, sec[0x6fffffff][4] + 2 * i)[0] & 0x7fff; l, x = ver.get(v, (None, None)); missing.append((l, x, name(nm)))

# --- stand-ins. Everything aborts with its name, apart from these few.
REAL = {
 'ERR_clear_error': 'void ERR_clear_error(void){}', 'apr_initialize': 'int apr_initialize(void){return 0;}', 'apr_terminate': 'void apr_terminate(void){}', **{f: 'int %s(void){return 0;}' % f for f in ('sasl_server_init', 'sasl_client_init', 'sasl_auxprop_add_plugin', 'sasl_done', 'sasl_set_mutex')}, 'curl_easy_init': 'void*curl_easy_init(void){return 0;}', 'curl_easy_cleanup': 'void curl_easy_cleanup(void*c){}', 'curl_global_init': 'int curl_global_init(long f){return 0;}',
 'EVP_sha256': 'const void*EVP_sha256(void){return ((const void*(*)(void))real("EVP_sha256"))();}', 'EVP_sha1': 'const void*EVP_sha1(void){return ((const void*(*)(void))real("EVP_sha1"))();}',
 'SHA256': 'void*SHA256(const void*d,size_t n,void*m){return ((void*(*)(const void*,size_t,void*))real("SHA256"))(d,n,m);}',
 'HMAC': 'void*HMAC(const void*e,const void*k,int l,const void*d,size_t n,void*m,unsigned*ml){return ((void*(*)(const void*,const void*,int,const void*,size_t,void*,unsigned*))real("HMAC"))(e,k,l,d,n,m,ml);}'}
HEAD = '''#include <stdio.h>
#include <stdlib.h>
#include <stddef.h>
#include <dlfcn.h>
__attribute__((unused)) static void*real(const char*n){static void*h;if(!h)h=dlopen("libcrypto.so.3",RTLD_NOW|RTLD_LOCAL);if(!h)h=dlopen("libcrypto.so.1.1",RTLD_NOW|RTLD_LOCAL);void*p=h?dlsym(h,n):0;if(!p){fprintf(stderr,"no libcrypto for %s\\n",n);abort();}return p;}
'''
def build(soname, symbols, versions):
    c = HEAD
    for s in sorted({s for s, _ in symbols}):
        c += (REAL[s] if s in REAL else 'long %s[8];' % s if s.startswith(('PyExc_', '_Py_None')) else 'void %s(void){fprintf(stderr,"not available: %s\\n");abort();}' % (s, s)) + '\n'
    src = os.path.join(tmp, soname + '.c'); open(src, 'w').write(c); args = ['cc', '-w', '-O1', '-fPIC', '-shared', '-Wl,-soname,' + soname, src, '-o', os.path.join(lib, soname), '-ldl']
    if versions:
        m = ''; prev = ''
        for v in sorted(versions):
            l = sorted({s for s, x in symbols if x == v}); m += '%s { %s %s } %s;\n' % (v, 'global: ' + ' '.join(x + ';' for x in l) if l else '', '' if prev else 'local: *;', prev); prev = v
        open(src + '.map', 'w').write(m); args.insert(1, '-Wl,--version-script=' + src + '.map')
    subprocess.run(args, check=True)
for l in ('libssl.so.1.0.0', 'libcrypto.so.1.0.0', 'libcurl.so.4', 'libsasl2.so.2'):
    build(l, [(s, x) for f, x, s in missing if f == l], {x for f, x in ver.values() if f == l})
loose = [s for f, _, s in missing if f is None]
build('libapr-1.so.0', [(s, None) for s in loose if s.startswith('apr_')], None)
build('libsvn_subr-1.so.1', [(s, None) for s in loose if s.startswith('svn_')], None)
build('libsvn_delta-1.so.1', [], None)
build('libpystub.so', [(s, None) for s in loose if re.match('_?Py', s)], None)
subprocess.run(['cc', '-O1', os.path.join(HERE, 'node.c'), '-o', os.path.join(bin_, 'node'), '-ldl'], check=True)
shutil.copy(os.path.join(bin_, 'node'), os.path.join(bin_, 'mesos-containerizer'))
shutil.copy(os.path.join(HERE, 'mesos-fetcher'), os.path.join(bin_, 'mesos-fetcher')); os.chmod(os.path.join(bin_, 'mesos-fetcher'), 0o755)
shutil.rmtree(tmp); print('ready:', dest)
