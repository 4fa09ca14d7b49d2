package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/recorderd/recorderd/api"
	"github.com/recorderd/recorderd/internal/abi32"
	"github.com/recorderd/recorderd/internal/must"
	"github.com/recorderd/recorderd/recorder/dump"
	"github.com/recorderd/recorderd/recorder/replay"
)

// The calls of real programs, as recorded and as strace shows them. strace itself
// runs in the recorded cgroup: both watch the very same run, so that ids, addresses
// and results must be equal, and nothing needs to be normalised but the times.
func TestSameAsStrace(t *testing.T) {
	bin := t.TempDir()
	compile(t, "testdata/torture.c", filepath.Join(bin, "torture"), "-O1", "-pthread", "-w")
	compile(t, "testdata/i386.c", filepath.Join(bin, "i386"), "-m32", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie")
	sh := func(script string) []string { return []string{"/bin/sh", "-c", script} }
	work := t.TempDir()
	compile(t, "testdata/threads.cc", filepath.Join(bin, "threads"), "-O1", "-pthread")
	goProgram := filepath.Join(bin, "gonet")
	if b, err := exec.Command("go", "build", "-o", goProgram, "testdata/gonet.go").CombinedOutput(); err != nil {
		t.Fatalf("build gonet.go: %v\n%s", err, b)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer web.Close()
	file := func(name, text string) string {
		name = filepath.Join(work, name)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	nginx := file("nginx.conf", "daemon on; user root; worker_processes 1; pid "+work+"/nginx.pid; error_log "+work+"/error.log;\n"+
		"events {}\nhttp { access_log off; server { listen unix:"+work+"/nginx.sock; root "+work+"; location /x { return 200 hello; } } }\n")
	index := file("index.html", "<p>hello\n")
	node := file("n.js", "const fs=require('fs'),net=require('net'),cp=require('child_process');fs.readdirSync('/etc');fs.writeFileSync('"+work+"/n','x');"+
		"const s=net.createServer(c=>{c.end('hi')});s.listen('"+work+"/n.sock',()=>{net.connect('"+work+"/n.sock',()=>{}).on('data',d=>{console.log(''+d);s.close();cp.execSync('true')})})")
	tmux := file("tmux.sh", "cd "+work+"; tmux -S t.sock -f /dev/null new-session -d 'sleep 0.3; echo done' \\; new-window true; tmux -S t.sock list-windows; tmux -S t.sock kill-server; sleep 0.2")
	asyncio := file("aio.py", `import asyncio, os, select, signal, socket
async def serve(r, w):
    w.write((await r.read(100)).upper()); await w.drain(); w.close()
async def main():
    s = await asyncio.start_server(serve, '127.0.0.1', 0)
    async def call(i):
        r, w = await asyncio.open_connection('127.0.0.1', s.sockets[0].getsockname()[1])
        w.write(b'x%d' % i); w.write_eof(); await r.read(); w.close()
    await asyncio.gather(*(call(i) for i in range(3)))
    p = await asyncio.create_subprocess_exec('cat', stdin=-1, stdout=-1); print(await p.communicate(b'hi'))
    p = await asyncio.create_subprocess_shell('sleep 9'); p.terminate(); await p.wait()
    l = asyncio.get_running_loop(); l.add_signal_handler(signal.SIGUSR1, lambda: None); os.kill(os.getpid(), signal.SIGUSR1); await asyncio.sleep(0.01)
    u, _ = await l.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=('127.0.0.1', 0)); u.sendto(b'x', u.get_extra_info('sockname')); await asyncio.sleep(0.01); u.close(); s.close()
asyncio.run(main())
a, b = socket.socketpair(); b.send(b'x'); select.select([a], [b], [a], 1); os.times()
`)
	for _, tc := range []struct {
		name string
		args []string
	}{
		{"torture", []string{filepath.Join(bin, "torture")}},
		{"i386", []string{filepath.Join(bin, "i386")}},
		{"shell", sh(`for i in 1 2 3; do echo $i | cat | (read x; echo "<$x>"); done; (exit 3); echo $?; ls /nonexistent 2>/dev/null || true; x=$(echo a; echo b); echo "$x" >/dev/null`)},
		{"git", sh("cd " + work + " && git init -q g && cd g && echo hello >f && git -c user.name=a -c user.email=b add f && git -c user.name=a -c user.email=b commit -qm one && git log --oneline | cat")},
		{"tar", sh("cd " + work + " && mkdir -p d/e && echo 1 >d/a && echo 2 >d/e/b && tar czf d.tgz d && tar tzvf d.tgz && tar xzf d.tgz -C /tmp --transform 's,^d,recorderd-tar,' && rm -r /tmp/recorderd-tar")},
		{"python3", []string{"python3", "-c", "import json,socket,subprocess,threading\nt=threading.Thread(target=lambda: open('/etc/passwd').read()); t.start(); t.join()\nprint(json.dumps({'a':1})); subprocess.run(['true'])\ns=socket.socket()\ntry: s.connect(('127.0.0.1',1))\nexcept OSError as e: print(e)"}},
		{"perl", []string{"perl", "-e", `open(F,"<","/etc/passwd"); my @l=<F>; print scalar(@l),"\n"; system("true"); kill 0,$$; opendir(D,"/etc"); readdir(D); sleep 0;`}},
		{"find", []string{"find", "/etc/apt", "-type", "f", "-name", "*.list"}},
		{"make and gcc", sh("cd " + work + " && printf 'int main(){return 0;}' >m.c && printf 'm: m.c\n\tgcc -o m m.c\n' >Makefile && make -s && ./m")},
		{"gzip", sh("head -c 300000 /dev/zero | gzip | gunzip | wc -c")},
		{"sort and awk", sh("seq 1000 | sort -R | awk '{s+=$1} END{print s}'")},
		{"redis", sh("redis-server --port 0 --unixsocket " + work + "/r.sock --save '' --daemonize no >/dev/null & p=$!; for i in $(seq 100); do redis-cli -s " + work + "/r.sock ping >/dev/null 2>&1 && break; sleep 0.1; done; redis-cli -s " + work + "/r.sock set a b; redis-cli -s " + work + "/r.sock get a; redis-cli -s " + work + "/r.sock shutdown nosave; wait $p")},
		{"go program", []string{goProgram}},
		{"threaded c++", []string{filepath.Join(bin, "threads")}},
		{"bash", []string{"/bin/bash", "-c", `set -m; f() { local x; while read -r x; do echo "$x" | tr a-z A-Z; done; }; printf 'a\nb\n' | f; sleep 0.1 & wait; trap 'echo usr1' USR1; kill -USR1 $$; a=(1 2 3); echo "${a[@]}" <<<x; diff <(echo 1) <(echo 2); exec 3</etc/passwd; read -u 3 l; [[ -f /etc/hosts && ! -x /etc/hosts ]]; kill %9; exit 3`}},
		{"coreutils", sh("cd " + work + ` && mkdir -p c && seq 100 | tee c/a | sort -rn | uniq | head -3; cp -a c/a c/b; ln -s a c/l; ln c/a c/h; mv c/b c/m; touch -d 2001-02-03 c/t; chmod 640 c/a; stat c/a c/l >/dev/null; ls -la c >/dev/null; df . >/dev/null; dd if=/dev/zero of=c/d bs=4k count=3 status=none; truncate -s 100k c/d; du -s c >/dev/null; md5sum c/*; cut -c1 c/a | wc -l; mkfifo c/f; timeout 1 cat c/f & echo x >c/f; wait; nice -n 5 true; env true; date >/dev/null; id >/dev/null; uname -a >/dev/null; nproc; shuf -i 1-9 -n 3 >/dev/null; split -n 2 c/a c/s; comm c/a c/a >/dev/null; sync c/a; readlink -f c/l; realpath c; tty; rm -r c`)},
		{"curl", []string{"curl", "-sS", web.URL, "-o", "/dev/null", web.URL + "/two", "-o", "/dev/null", "http://127.0.0.1:1/"}},
		{"nginx", sh("nginx -c " + nginx + " && for i in 1 2 3; do curl -s --unix-socket " + work + "/nginx.sock http://x/x; curl -s --unix-socket " + work + "/nginx.sock http://x/index.html; done; nginx -c " + nginx + " -s quit; while [ -e " + work + "/nginx.pid ]; do sleep 0.1; done; cat " + index)},
		{"sqlite3", []string{"sqlite3", filepath.Join(work, "db"), "pragma journal_mode=wal; create table t(a,b); begin; insert into t values(1,2),(3,4); commit; select sum(a) from t; vacuum; .tables"}},
		{"node", []string{"node", node}},
		{"ip", sh("ip addr; ip link show lo; ip -6 route; ip route show table all; ip neigh; ip rule; ip netns")},
		{"ss", sh("ss -tan; ss -ulnp; ss -x; ss -s")},
		{"ps", sh("ps aux; ps -eLf; pgrep -l nothing; free; uptime; vmstat; w; top -b -n 1 | head -3")},
		{"sshd", sh("ssh-keygen -q -t ed25519 -N '' -f " + work + "/key && mkdir -p /run/sshd && $(command -v sshd) -t -h " + work + "/key -f /dev/null; ssh -V")},
		{"tmux", []string{"env", "-i", "PATH=" + os.Getenv("PATH"), "TERM=screen", "/bin/sh", tmux}},
		{"xz", sh("cd " + work + " && seq 30000 >x && xz -T2 x && xz -l x.xz && xz -dc x.xz | tail -1; bzip2 -c x.xz | bunzip2 | wc -c")},
		{"rsync", sh("cd " + work + " && mkdir -p r/s && seq 1000 >r/s/a && rsync -a r/ q/ && seq 1001 >r/s/a && rsync -ac --delete r/ q/ && rm -r r q")},
		{"openssl", sh("cd " + work + " && openssl genpkey -algorithm ed25519 -out k.pem && openssl req -x509 -key k.pem -subj /CN=x -out c.pem && openssl x509 -in c.pem -noout -text && echo hi | openssl enc -aes-256-cbc -pbkdf2 -pass pass:x | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x && openssl rand -hex 4")},
		{"dpkg and apt", sh("dpkg -l | wc -l; apt-get --version; dpkg-query -S /bin/sh; apt-config dump | wc -l")},
		{"util-linux", sh("cd " + work + " && lsblk; findmnt -n /; flock lock true; taskset -p $$; chrt -p $$; ionice; setsid true; unshare -u true; ipcs; i=$(ipcmk -Q); ipcrm -q ${i##* }; i=$(ipcmk -M 4096); ipcrm -m ${i##* }; i=$(ipcmk -S 2); ipcs -s -i ${i##* }; ipcrm -s ${i##* }; lscpu; prlimit >/dev/null; setpriv --dump; script -qc 'stty -a' s.log; mountpoint /; getopt -o a -- -a; dmesg -s 100 | tail -1; swapon; losetup; hexdump -C lock; rev /etc/hostname; lslocks; logger -s --no-act x; namei /etc/passwd; fallocate -l 4096 fa; blkid -p /dev/vda")},
		{"diff, patch and sed", sh("cd " + work + " && seq 9 >p1; sed 's/5/x/' p1 >p2; diff -u p1 p2 >p.diff; patch p1 p.diff; cmp p1 p2; sed -i s/x/y/ p1; grep -n y p1; find . -name 'p*' -newer p.diff -print0 | xargs -0 ls -l; tput -T xterm cols; awk 'BEGIN{\"date\"|getline; print length}'")},
		{"stopped", sh("sleep 9 & p=$!; sleep 0.2; kill -STOP $p; sleep 0.2; kill -CONT $p; kill $p; wait $p; trap 'echo term' TERM; kill -TERM $$; times; ulimit -a >/dev/null; sh -c 'kill -SEGV $$'; sh -c 'exit 300'")},
		{"asyncio", []string{"python3", asyncio}},
		{"dd and fallocate", sh("cd " + work + ` && mkdir -p f && cd f && dd if=/dev/zero of=1 bs=4k count=20 oflag=direct conv=fsync status=none && dd if=1 of=2 iflag=direct,fullblock oflag=append,sync conv=notrunc status=none; cp --sparse=always 1 3; fallocate -l 1M 4; fallocate -p -o 4096 -l 4096 4; fallocate -d 4; fallocate -z -l 100 4; fallocate -c -l 4096 4; fallocate -i -l 4096 4; stat -f 4; df -i . >/dev/null; tail -c 100 1 | od -c | head -2; timeout -s KILL 0.05 sleep 1; shred -n1 -u 3; base64 1 | wc -c; mknod p p; chgrp root 1; nohup true; stdbuf -oL true; rm -r ../f`)},
		{"e2fsprogs", sh("cd " + work + ` && truncate -s 8M e && mkfs.ext4 -q e && e2fsck -fn e && tune2fs -l e | tail -1; resize2fs e 6M; debugfs -w -R 'write /etc/passwd p' e; dumpe2fs e | wc -l; lsattr -d .; chattr +d e; filefrag -v e; rm e`)},
		{"zstd and lz4", sh("mkdir -p " + work + "/zstd && cd " + work + "/zstd && " + `seq 40000 >z && zstd -q z -o z.zst && zstd -T2 -19 -q -f z -o z2.zst && zstd -dc z.zst | tail -1; zstd -l z.zst; lz4 -q z z.lz4 && lz4 -dc z.lz4 | wc -l; cat z.zst | zstd -t; zstd -q --rm z2.zst`)},
		{"jq", sh("mkdir -p " + work + "/jq && cd " + work + "/jq && " + `printf '{"a":[1,2,{"b":"x"}],"c":null}' >j && jq -c '.a[]' j && jq -r '.a[2].b' <j && jq -n '[range(2000)]|add' && jq . /nonexistent; jq -e .c j`)},
		{"wget", sh("mkdir -p " + work + "/wget && cd " + work + "/wget && " + `wget -q -O - http://127.0.0.1:1/ ; wget -q -T 1 -t 1 -O x http://localhost:9/; wget --version | head -1; wget -nv -i /dev/null`)},
		{"zip", sh("mkdir -p " + work + "/zip && cd " + work + "/zip && " + `mkdir -p a/b && seq 2000 >a/b/c && echo x >a/d && ln -s d a/l && zip -qry a.zip a && unzip -l a.zip && unzip -qo a.zip -d out && zip -qd a.zip a/d && unzip -p a.zip a/b/c | tail -1; zipinfo -1 a.zip; rm -r out`)},
		{"gdb", sh("mkdir -p " + work + "/gdb && cd " + work + "/gdb && " + `printf 'int f(int x){return x+1;}int main(){return f(1);}' >g.c && gcc -g -o g g.c && gdb -nx -batch -ex 'info functions f' -ex 'disassemble main' -ex 'list f' ./g; readelf -h g; nm g | tail -1`)},
		{"php", sh("mkdir -p " + work + "/php && cd " + work + "/php && " + `php -n -r '$f=fopen("p","w"); fwrite($f,"hello"); fclose($f); echo md5_file("p"),"\n"; foreach(glob("/etc/apt/*") as $x) echo $x,"\n"; $s=stream_socket_pair(STREAM_PF_UNIX,STREAM_SOCK_STREAM,0); fwrite($s[0],"x"); echo fread($s[1],1); system("true"); usleep(10); @stream_socket_client("tcp://127.0.0.1:1"); session_start();'`)},
		{"ruby", sh("mkdir -p " + work + "/ruby && cd " + work + "/ruby && " + `ruby -e 'require "socket"; require "tempfile"; Tempfile.create("x"){|f| f.write "abc"; f.flush; puts File.size(f.path)}; s=TCPServer.new("127.0.0.1",0); t=Thread.new{c=s.accept; c.puts "hi"; c.close}; c=TCPSocket.new("127.0.0.1",s.addr[1]); puts c.gets; t.join; puts ` + "`" + `echo sub` + "`" + `; p=fork{exit 3}; Process.wait p; puts $?.exitstatus; Dir.children("/etc/apt"); IO.pipe{|r,w| w.write "x"; w.close; r.read}; Signal.trap("USR1"){}; Process.kill("USR1",$$); sleep 0.01; GC.start'`)},
		{"lua", sh("mkdir -p " + work + "/lua && cd " + work + "/lua && " + `lua5.4 -e 'local f=assert(io.open("l","w")); f:write(("x"):rep(9000)); f:close(); for l in io.lines("/etc/passwd") do n=(n or 0)+1 end print(n); os.rename("l","m"); os.remove("m"); print(os.getenv("HOME"), os.time()); local p=io.popen("echo hi"); print(p:read("a")); p:close(); os.execute("exit 3")'`)},
		{"ed and bc", sh("mkdir -p " + work + "/ed && cd " + work + "/ed && " + `printf 'one\ntwo\nthree\n' >e; printf '2s/two/TWO/\n,p\n$a\nfour\n.\nw\nq\n' | ed -s e; echo '2^200; scale=20; 4*a(1)' | bc -lq; printf 'line\n' >v; vi -es -c 's/line/row/' -c 'wq' v; cat v`)},
		{"vim", sh("mkdir -p " + work + "/vim && cd " + work + "/vim && " + `seq 50 >v; vim -n -es -u NONE -c '%s/1/x/g' -c 'w! w' -c 'qa!' v; wc w`)},
		{"gpg", sh("mkdir -p " + work + "/gpg && cd " + work + "/gpg && " + `mkdir -m 700 h; export GNUPGHOME=$PWD/h; echo hi >m; gpg -q --batch --passphrase x --pinentry-mode loopback -c m; gpg -q --batch --passphrase x --pinentry-mode loopback -d m.gpg; gpg --print-md sha256 m; gpgconf --kill all; gpg --version | head -1`)},
		{"busybox", sh("mkdir -p " + work + "/busybox && cd " + work + "/busybox && " + `busybox sh -c 'for i in 1 2; do echo $i; done | busybox sort -r; busybox ls -la /etc/apt; busybox find /etc/apt -name "*.list"; busybox tar cf t.tar /etc/hostname; busybox tar tf t.tar; busybox ps | busybox head -2; busybox df /; busybox free; busybox stat t.tar; busybox vi --help 2>/dev/null; busybox httpd --help 2>/dev/null; busybox md5sum t.tar; busybox id; busybox uptime; busybox wget -q -T 1 -O - http://127.0.0.1:1/; busybox nc -h 2>/dev/null; busybox timeout 1 sleep 0.1; busybox dd if=/dev/zero of=d bs=1k count=3 2>/dev/null'`)},
		{"binutils", sh("mkdir -p " + work + "/binutils && cd " + work + "/binutils && " + `printf 'int f(void){return 1;}' >b.c && gcc -c b.c && ar rcs b.a b.o && ar t b.a && ranlib b.a && objdump -d b.o | tail -2 && readelf -a /bin/true | wc -l && nm b.o && strip b.o && size /bin/true && strings -n 8 /bin/true | head -3 && objcopy b.o b2.o && ld -r -o b3.o b2.o && as -o e.o /dev/null && addr2line -e /bin/true 0 && c++filt _Z1fv`)},
		{"libc-bin", sh("mkdir -p " + work + "/libc && cd " + work + "/libc && " + `ldd /bin/ls; ldconfig -p | wc -l; locale -a; getent group root; iconv -f utf-8 -t latin1 /etc/hostname; getconf -a | wc -l; pldd $$; localedef --version | head -1; tzselect </dev/null; zdump UTC`)},
		{"python libraries", sh("mkdir -p " + work + "/python && cd " + work + "/python && " + `python3 -c 'import multiprocessing as mp,zipfile,tempfile,os,subprocess,mmap,fcntl,select,signal,resource,time,sqlite3,ssl,urllib.request,concurrent.futures as cf
def f(x): return x*x
if 1:
    d=tempfile.mkdtemp(); z=zipfile.ZipFile(d+"/a.zip","w",zipfile.ZIP_DEFLATED); z.writestr("x","y"*9999); z.close(); print(zipfile.ZipFile(d+"/a.zip").namelist())
    m=mmap.mmap(-1,8192); m[0:3]=b"abc"; m.close(); r,w=os.pipe(); os.set_blocking(r,False); fcntl.fcntl(w,1031,65536); p=select.poll(); p.register(r,1); p.poll(1); e=select.epoll(); e.register(r,1); e.poll(0.001)
    signal.setitimer(signal.ITIMER_REAL,5,1); signal.alarm(0); resource.setrlimit(resource.RLIMIT_CORE,(0,0)); os.sched_setaffinity(0,os.sched_getaffinity(0)); os.nice(1)
    with cf.ThreadPoolExecutor(2) as ex: print(list(ex.map(f,range(3))))
    pid=os.fork()
    if pid==0: os._exit(3)
    print(os.waitpid(pid,0)); q=mp.get_context("fork").Pool(2); print(q.map(f,[1,2])); q.close(); q.join()
    c=sqlite3.connect(d+"/db"); c.execute("create table t(a)"); c.commit(); os.sendfile(1,os.open("/etc/hostname",0),None or 0,5); os.posix_fallocate(os.open(d+"/f",66),0,4096); os.utime(d+"/f",(1,2)); os.setxattr(d+"/f","user.x",b"y") if 0 else 0; os.statvfs("/"); os.getrandom(4); os.memfd_create("m"); os.eventfd(1) if hasattr(os,"eventfd") else 0
    subprocess.run("exit 4",shell=True); os.mkfifo(d+"/p"); os.chown(d+"/f",0,0); os.truncate(d+"/f",10); os.copy_file_range(os.open("/etc/hostname",0),os.open(d+"/f",1),5); os.link(d+"/f",d+"/g"); os.scandir(d).close()
'`)},
		{"git clone and gc", sh("mkdir -p " + work + "/git && cd " + work + "/git && " + `git init -q --bare o.git && git clone -q o.git c 2>/dev/null; cd c && for i in 1 2 3; do seq $i >f$i; git add .; git -c user.name=a -c user.email=b commit -qm $i; done; git push -q origin HEAD 2>/dev/null; git branch x; git checkout -q x; git -c user.name=a -c user.email=b commit -q --allow-empty -m e; git -c user.name=a -c user.email=b merge -q master 2>/dev/null; git gc -q; git log --stat | wc -l; git status -s; git diff HEAD~1 | wc -l; git stash list; git fsck 2>/dev/null; git archive HEAD | tar t; git grep -n 1; git blame f3 | wc -l`)},
		{"perl modules", sh("mkdir -p " + work + "/perl && cd " + work + "/perl && " + `perl -MIO::Socket::INET -MFile::Temp=tempdir -MTime::HiRes=usleep,setitimer,ITIMER_REAL -MPOSIX -e '$d=tempdir(CLEANUP=>1); open F,">","$d/a"; print F "x"x9000; close F; flock(F,2); $s=IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1"); $p=fork; unless($p){ $c=IO::Socket::INET->new(PeerAddr=>"127.0.0.1:".$s->sockport); print $c "hi\n"; exit 2 } $c=$s->accept; print scalar <$c>; waitpid $p,0; print $?>>8,"\n"; pipe R,W; syswrite W,"abc"; sysread R,$b,3; $r=""; vec($r,fileno(R),1)=1; select($r,undef,undef,0.01); local $SIG{ALRM}=sub{print "alrm\n"}; setitimer(ITIMER_REAL,0.01); usleep(50000); sigprocmask(SIG_BLOCK,POSIX::SigSet->new(SIGINT)); utime 1,2,"$d/a"; rename "$d/a","$d/b"; symlink "b","$d/l"; print readlink "$d/l"; chmod 0600,"$d/b"; stat "$d/b"; opendir D,$d; readdir D; print ` + "`" + `echo hi` + "`" + `; exec "true"'`)},
		{"node workers", sh("mkdir -p " + work + "/node && cd " + work + "/node && " + `node -e 'const fs=require("fs"),{Worker}=require("worker_threads"),http=require("http"),zlib=require("zlib"),cp=require("child_process"),dgram=require("dgram");fs.mkdtempSync("/tmp/nx");const w=new Worker("require(\"worker_threads\").parentPort.postMessage(1)",{eval:true});w.on("message",()=>{const s=http.createServer((q,r)=>r.end(zlib.gzipSync("x".repeat(9999)))).listen(0,()=>{http.get({port:s.address().port},r=>{r.resume();r.on("end",()=>{s.close();cp.spawnSync("true");const u=dgram.createSocket("udp4");u.bind(0,()=>{u.send("x",u.address().port,"127.0.0.1",()=>u.close())})})})})});fs.createReadStream("/etc/passwd").pipe(fs.createWriteStream("np"));fs.watch(".",()=>{}).close();setTimeout(()=>{},20)'`)},
		{"make in parallel", sh("mkdir -p " + work + "/make && cd " + work + "/make && " + `for i in 1 2 3 4; do printf "int f$i(void){return $i;}" >m$i.c; done; printf 'all: m1.o m2.o m3.o m4.o\n\tar rcs m.a $^\nclean:\n\trm -f *.o\n' >Makefile; make -s -j3 all && make -s clean && make -n all | wc -l; make -q all; gcc -MM m1.c; g++ -x c++ -fsyntax-only m1.c; gcc -E - </dev/null | wc -l; gcc -shared -fPIC -o m.so m1.c`)},
		{"tar of many kinds", sh("mkdir -p " + work + "/tar && cd " + work + "/tar && " + `mkdir -p s/t && seq 500 >s/a && ln s/a s/h && ln -s a s/l && mkfifo s/p && truncate -s 1M s/sp && tar cSf s.tar --listed-incremental=snap s && tar xSf s.tar -C . --xattrs --no-same-owner && tar df s.tar; tar rf s.tar /etc/hostname 2>/dev/null; tar cJf s.txz s; tar tJf s.txz | wc -l; tar c s | tar x -O s/a | wc -l; cpio --help >/dev/null 2>&1; xz -9e -k s.tar; bzip2 -k s.tar; gzip -l /nonexistent; tar --zstd -cf s.tzst s; tar xf s.tzst s/a; rm -r s`)},
		{"systemd", sh("mkdir -p " + work + "/systemd && cd " + work + "/systemd && " + `systemd-tmpfiles --cat-config | wc -l; journalctl --version | head -1; journalctl -n 1 --no-pager; systemctl --version | head -1; systemctl is-system-running; systemd-detect-virt; systemd-path; systemd-id128 new; hostnamectl --no-pager; loginctl --version | head -1; systemd-escape a/b; systemd-cat true; busctl --version | head -1; systemd-analyze --version | head -1`)},
		{"sqlite3 full text", sh("mkdir -p " + work + "/sqlite && cd " + work + "/sqlite && " + `sqlite3 x.db 'pragma mmap_size=1000000; create virtual table f using fts5(a); insert into f values("hello world"),("x"); select count(*) from f where f match "hello"; attach "y.db" as y; create table y.t as select * from f; vacuum; pragma integrity_check; .backup b.db' ; sqlite3 x.db .dump | wc -l; sqlite3 -readonly x.db 'select 1'; (sqlite3 x.db 'begin exclusive; select 1;' & sqlite3 x.db 'pragma busy_timeout=100; select count(*) from f'; wait)`)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.name == "i386" {
				abi32.Need(t)
			}
			sameAsStrace(t, tc.args)
		})
	}
}

func compile(t *testing.T, src, out string, flags ...string) {
	t.Helper()
	if b, err := exec.Command(map[string]string{".c": "gcc", ".cc": "g++"}[filepath.Ext(src)], append(flags, "-o", out, src)...).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", src, err, b)
	}
}

func sameAsStrace(t *testing.T, args []string) {
	root := testRoot(t)
	r := testRecorder(t, Config{RingSize: 64 << 20, MemoryBudget: 400 << 20, CaptureStdio: 4096, CaptureData: 4096, Watch: []string{"/" + filepath.Base(root)}, OnlyWatched: true, Hierarchy: "v2"})
	cg := filepath.Join(root, "c")
	if err := os.Mkdir(cg, 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "strace")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", append([]string{"-f", "-ttt", "-T", "-o", out, "--"}, args...)...)
	dir, err := os.Open(cg)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null")
	if b, err := cmd.CombinedOutput(); err != nil {
		if _, ok := err.(*exec.ExitError); !ok {
			t.Fatalf("strace: %v\n%s", err, b)
		}
	}
	list, err := r.List(t.Context())
	// Other containers of this machine are recorded, too.
	list = slices.DeleteFunc(list, func(rec api.Recording) bool { return rec.Container.Cgroup != "/"+filepath.Base(root)+"/c" })
	if err != nil || len(list) != 1 {
		t.Fatalf("%d recordings, %v", len(list), err)
	}
	if list[0].Coverage.Overwritten != 0 {
		t.Fatalf("%d records were overwritten: the ring is too small for this test", list[0].Coverage.Overwritten)
	}
	var raw bytes.Buffer
	if err := r.Dump(t.Context(), list[0].ID, replay.Query{}, &raw); err != nil {
		t.Fatal(err)
	}
	shown := func(q replay.Query) string {
		t.Helper()
		in, err := dump.NewReader(bytes.NewReader(raw.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		q.HostPids = true
		if _, err := replay.Run(&out, in, replay.Options{Query: q}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := shown(replay.Query{Format: replay.FormatStrace})
	theirs, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Fields(string(theirs))[0]
	got := threads(text)
	got[first] = fromExec(got[first])
	compareThreads(t, threads(string(theirs)), got)
	textAndJSON(t, text, shown(replay.Query{Format: replay.FormatJSON}))
}

var forks = map[string]bool{"clone": true, "clone3": true, "fork": true, "vfork": true}

// textAndJSON demands that JSON says of each call what text says.
func textAndJSON(t *testing.T, text, asJSON string) {
	t.Helper()
	calls := map[string][]string{} // by thread
	for line := range strings.Lines(asJSON) {
		var of struct {
			Type, State, Syscall string
			HostTid              int
			DurationNs           *int64
		}
		if err := json.Unmarshal([]byte(line), &of); err != nil {
			t.Fatal(err)
		}
		born := of.DurationNs == nil && forks[of.Syscall] // a task comes out of a call that it never made
		if of.Type == "call" && of.State == "" && !born {
			tid := strconv.Itoa(of.HostTid)
			calls[tid] = append(calls[tid], line)
		}
	}
	compared, wrong := 0, 0
	half, skip := map[string]string{}, map[string]bool{}
	for line := range strings.Lines(text) {
		m := tracedLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		tid, shown := m[1], duration.ReplaceAllString(m[2], "")
		if u := unfinished.FindStringSubmatch(shown); u != nil {
			half[tid] = u[1]
			continue
		}
		if r := resumed.FindStringSubmatch(shown); r != nil {
			shown = half[tid] + r[1]
		}
		if by := superseded.FindStringSubmatch(shown); by != nil {
			skip[tid], skip[by[1]] = true, true // in JSON each is who it was
		}
		if skip[tid] || !finishedCall.MatchString(shown) || strings.HasPrefix(shown, "exec") && strings.HasSuffix(shown, " = 0") {
			continue // no call, or a new program, which is an event of its own
		}
		of := calls[tid]
		if strings.HasSuffix(shown, " = ?") { // it did not return, as far as text tells
			if len(of) > 0 && strings.Contains(of[0], `"syscall":"`+callOf(shown)+`"`) {
				calls[tid] = of[1:]
			}
			continue
		}
		if len(of) == 0 {
			t.Fatalf("JSON ends before %s", line)
		}
		calls[tid] = of[1:]
		if strings.HasPrefix(shown, "restart_syscall(") {
			continue // text knows from another call what is resumed
		}
		compared++
		if err := must.SameAsJSON(shown, []byte(of[0])); err != nil {
			if wrong++; wrong < 8 {
				t.Error(err)
			}
		}
	}
	t.Logf("%d of %d calls are the same in JSON", compared-wrong, compared)
	if wrong > 0 {
		t.Errorf("%d of %d calls are not the same in JSON", wrong, compared)
	}
}

// fromExec leaves out what strace's child does before it becomes the program.
func fromExec(lines []string) []string {
	for i, line := range lines {
		if strings.HasPrefix(line, "execve(") && strings.HasSuffix(line, " = 0") {
			return lines[i:]
		}
	}
	return lines
}

var (
	tracedLine = regexp.MustCompile(`^(\d+) +\d+\.\d+ (.*)$`)
	duration   = regexp.MustCompile(` <\d+\.\d+>$`)
	unfinished = regexp.MustCompile(`^(.*?) ?<unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^<\.\.\. \w+ resumed>(.*)$`)
	result     = regexp.MustCompile(`\)? += (.*)$`)
	blanks     = regexp.MustCompile(`\) += `)
	callName   = regexp.MustCompile(`^(\w+)\(`)
	secret     = regexp.MustCompile(`^getrandom\((?:0x[0-9a-f]+|"[^ ]*"(?:\.\.\.)?), (.*)`)                                        // never captured
	entries    = regexp.MustCompile(` /\* \d+ entries \*/`)                                                                        // directories' contents are not captured
	xattr      = regexp.MustCompile(`^([fl]?[gs]etxattr\((?:"[^"]*"|\d+), "[^"]*", )(?:0x[0-9a-f]+|"(?:[^"\\]|\\.)*"(?:\.\.\.)?)`) // values are never captured
	ifindex    = regexp.MustCompile(`if_nametoindex\("([^"]*)"\)`)                                                                 // strace asks the kernel
	quoted     = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	superseded = regexp.MustCompile(`^\+\+\+ superseded by execve in pid (\d+) \+\+\+$`)
	epollData  = regexp.MustCompile(`\bdata=(0x[0-9a-f]+|0)\b`) // as strace 6.13 shows it
)

// newer are names that strace 6.1 does not know, as it shows their values.
var newer = strings.NewReplacer("MAP_DROPPABLE", "0x8 /* MAP_??? */", "MADV_GUARD_INSTALL", "0x66 /* MADV_??? */", "MADV_GUARD_REMOVE", "0x67 /* MADV_??? */",
	", STATX_MNT_ID_UNIQUE,", ", 0x4000 /* STATX_??? */,", "|STATX_MNT_ID_UNIQUE,", "|0x4000,")

// threads takes strace's output apart: the lines of each thread, in order,
// without times, each call in one piece.
func threads(s string) map[string][]string {
	out := map[string][]string{}
	half := map[string]string{}
	for line := range strings.Lines(s) {
		m := tracedLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		tid, text := m[1], duration.ReplaceAllString(m[2], "")
		if u := unfinished.FindStringSubmatch(text); u != nil {
			half[tid] = u[1]
			continue
		}
		if r := resumed.FindStringSubmatch(text); r != nil {
			text = half[tid] + r[1]
			delete(half, tid)
		}
		text = blanks.ReplaceAllString(text, ") = ")
		if open, ok := half[tid]; ok && strings.HasPrefix(text, "+++") {
			out[tid] = append(out[tid], open+" <unfinished ...>")
			delete(half, tid)
		}
		text = secret.ReplaceAllString(text, "getrandom(..., $1")
		text = newer.Replace(text)
		text = xattr.ReplaceAllString(text, "$1...")
		text = ifindex.ReplaceAllStringFunc(text, func(s string) string {
			if i, err := net.InterfaceByName(ifindex.FindStringSubmatch(s)[1]); err == nil {
				return strconv.Itoa(i.Index)
			}
			return s
		})
		text = entries.ReplaceAllString(text, "")
		text = epollData.ReplaceAllStringFunc(text, func(s string) string {
			v, _ := strconv.ParseUint(strings.TrimPrefix(s, "data="), 0, 64)
			return fmt.Sprintf("data={u32=%d, u64=%d}", uint32(v), v)
		})
		out[tid] = append(out[tid], text)
	}
	for tid, text := range half {
		out[tid] = append(out[tid], text+" <unfinished ...>")
	}
	return out
}

// brief is what must be the same in any case: the call's name, its result with the
// error, and the strings.
func brief(line string) string {
	name := callName.FindStringSubmatch(line)
	if name == nil {
		return line
	}
	ret := result.FindStringSubmatch(line)
	res := ""
	if ret != nil {
		res = ret[1]
	}
	return name[1] + " " + strings.Join(quoted.FindAllString(line, -1), " ") + " = " + res
}

// compareThreads demands that each thread's calls are the same, and nearly all
// lines to the letter.
func compareThreads(t *testing.T, theirs, ours map[string][]string) {
	t.Helper()
	lines, same, shown := 0, 0, 0
	differing := map[string]int{}
	for tid, want := range theirs {
		got := dying(want, ours[tid])
		if len(got) != len(want) {
			t.Errorf("thread %s: strace has %d lines, the recording %d; they part at:\n%s", tid, len(want), len(got), firstDifference(want, got))
			continue
		}
		for i := range want {
			lines++
			// Of calls that strace 6.1 does not know, it shows the registers.
			if want[i] == got[i] || strings.HasPrefix(want[i], "syscall_0x") && result.FindString(want[i]) == result.FindString(got[i]) {
				same++
				continue
			}
			differing[callOf(want[i])]++
			// Netlink messages hold names, which strace shows apart.
			if brief(want[i]) != brief(got[i]) && !strings.Contains(want[i], "{nlmsg_len=") {
				t.Errorf("thread %s, line %d:\n strace    %s\n recording %s", tid, i, want[i], got[i])
			} else if shown < 12 {
				shown++
				t.Logf("differs in detail:\n strace    %s\n recording %s", want[i], got[i])
			}
		}
	}
	if lines == 0 {
		t.Fatal("nothing was compared")
	}
	t.Logf("%d of %d lines are the same to the letter (%.2f %%); others by call: %v", same, lines, 100*float64(same)/float64(lines), differing)
	if same*100 < lines*99 {
		t.Errorf("only %d of %d lines are the same", same, lines)
	}
}

// cutShort matches what strace shows of a thread's last call when another thread ends
// the process: no result, or the number of exit_group instead of one, or not even the call.
var cutShort = regexp.MustCompile(fmt.Sprintf(`= \?(?: <unavailable>)?$|<unfinished \.\.\.>$|^<\.\.\. \?\?\? resumed>|\) = %d$`, syscall.SYS_EXIT_GROUP))

// dying makes the ends of two threads comparable. A thread that is killed in a
// call while it is being traced: strace sees no result, the recording does; and what
// it begins after that is cancelled for the tracer's sake (ENOSYS) and never shown.
func dying(want, got []string) []string {
	same := 0
	for same < min(len(want), len(got)) && brief(want[same]) == brief(got[same]) {
		same++
	}
	w, g := want[same:], got[same:]
	if len(w) == 0 || len(g) == 0 || len(w) > 3 || len(g) > 3 || w[len(w)-1] != g[len(g)-1] || !strings.HasPrefix(w[len(w)-1], "+++ ") {
		return got
	}
	for _, line := range w[:len(w)-1] {
		if !cutShort.MatchString(line) {
			return got
		}
	}
	for i, line := range g[:len(g)-1] {
		if !strings.Contains(line, "ENOSYS") && (i >= len(w)-1 || callOf(line) != callOf(w[i])) {
			return got
		}
	}
	return append(got[:same:same], w...)
}

func callOf(line string) string {
	if m := callName.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return "other"
}

func firstDifference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		w, g := "(nothing)", "(nothing)"
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if brief(w) != brief(g) {
			return fmt.Sprintf(" line %d\n strace    %s\n recording %s", i, w, g)
		}
	}
	return " nowhere"
}

// testRoot makes a cgroup for recorded cgroups, which goes with the test.
func testRoot(t *testing.T) string {
	t.Helper()
	h, err := FindHierarchy("v2")
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(h.Mount, fmt.Sprintf("recorderd-coretest-%d-%d", os.Getpid(), testNumber.Add(1)))
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "remove "+root, func() bool {
			filepath.Walk(root, func(path string, fi os.FileInfo, err error) error { //nolint:errcheck // tried again
				if err == nil && fi.IsDir() && path != root {
					os.Remove(path)
				}
				return nil
			})
			return os.Remove(root) == nil
		})
	})
	return root
}
