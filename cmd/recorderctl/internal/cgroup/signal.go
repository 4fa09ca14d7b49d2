package cgroup

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signals passes signals that this process gets on to a command. Use it from
// before the command starts, so that none is missed.
type Signals struct {
	ch   chan os.Signal
	done chan struct{}
}

// CatchSignals begins to catch signals. Those that this process was started to
// ignore, as nohup has it, stay ignored.
func CatchSignals() *Signals {
	s := &Signals{ch: make(chan os.Signal, 16), done: make(chan struct{})}
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(sig) {
			signal.Notify(s.ch, sig)
		}
	}
	return s
}

// Wait passes signals on until the command has ended, and returns its exit status:
// 128 + n if signal n ended it.
func (s *Signals) Wait(cmd *exec.Cmd) (int, error) {
	go func() {
		defer close(s.done)
		for sig := range s.ch {
			if (sig == syscall.SIGINT || sig == syscall.SIGQUIT) && foreground() {
				continue // typed: the terminal has sent it to the command as well
			}
			_ = cmd.Process.Signal(sig) // it may have ended
		}
	}()
	err := cmd.Wait()
	s.stop()
	<-s.done
	if cmd.ProcessState == nil {
		return 1, err
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// stop ends catching signals.
func (s *Signals) stop() {
	signal.Stop(s.ch)
	close(s.ch)
}

// foreground reports whether this process is what its terminal sends signals to.
func foreground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	pgrp, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}
