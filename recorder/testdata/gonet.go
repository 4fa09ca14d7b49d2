// Goroutines, sockets, files and a child process, for TestSameAsStrace.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second)
			if err != nil {
				panic(err)
			}
			fmt.Fprintf(c, "hello %d\n", i)
			c.(*net.TCPConn).CloseWrite()
			b, _ := io.ReadAll(c)
			os.Stdout.Write(b)
			c.Close()
		})
	}
	wg.Wait()
	l.Close()
	if u, err := net.ListenPacket("udp", "[::1]:0"); err == nil {
		u.WriteTo([]byte("x"), u.LocalAddr())
		u.SetReadDeadline(time.Now().Add(time.Second))
		u.ReadFrom(make([]byte, 16))
		u.Close()
	}
	filepath.WalkDir("/etc/apt", func(string, os.DirEntry, error) error { return nil })
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	<-c
	exec.Command("true").Run()
	time.Sleep(2 * time.Millisecond)
}
