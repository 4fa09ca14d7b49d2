#!/usr/bin/env python3
"""mkimage.py OUT.tar REF CONFIG_JSON SRC=DST[:MODE]... : a docker-archive of one layer, made by hand.
SRC '->target' makes a symlink; SRC 'dir' makes an empty directory."""
import sys, io, json, tarfile, hashlib, platform
out, ref, cfg, *files = sys.argv[1:]
layer = io.BytesIO()
dirs = set()
with tarfile.open(fileobj=layer, mode='w', format=tarfile.USTAR_FORMAT) as t:
    def mkdirs(path):
        parts = path.strip('/').split('/')
        for i in range(1, len(parts)+1):
            d = '/'.join(parts[:i])
            if d and d not in dirs:
                dirs.add(d)
                ti = tarfile.TarInfo(d); ti.type = tarfile.DIRTYPE
                ti.mode = 0o1777 if d == 'tmp' else 0o755
                t.addfile(ti)
    for f in files:
        src, dst = f.split('=', 1)
        dst = dst.lstrip('/')
        if src == 'dir':
            mkdirs(dst); continue
        if '/' in dst: mkdirs(dst.rsplit('/', 1)[0])
        ti = tarfile.TarInfo(dst)
        if src.startswith('->'):
            ti.type = tarfile.SYMTYPE; ti.linkname = src[2:]; t.addfile(ti)
        else:
            data = open(src, 'rb').read(); ti.size = len(data); ti.mode = 0o755
            t.addfile(ti, io.BytesIO(data))
data = layer.getvalue()
diff = 'sha256:' + hashlib.sha256(data).hexdigest()
conf = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()], "os": "linux", "created": "2026-01-01T00:00:00Z", "config": json.loads(cfg),
                   "rootfs": {"type": "layers", "diff_ids": [diff]},
                   "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "mkimage.py"}]}).encode()
cid = hashlib.sha256(conf).hexdigest()
with tarfile.open(out, 'w', format=tarfile.USTAR_FORMAT) as t:
    def add(n, d):
        ti = tarfile.TarInfo(n); ti.size = len(d); ti.mode = 0o644; t.addfile(ti, io.BytesIO(d))
    add(cid + '.json', conf); add('layer.tar', data)
    add('manifest.json', json.dumps([{"Config": cid + '.json', "RepoTags": [ref], "Layers": ['layer.tar']}]).encode())
print(ref, 'config', cid[:12], 'layer', len(data))
