// What every judge here uses: connections, assertions that say what was expected, and the words to the harness.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

var (
	hosts string
	stdin = bufio.NewReader(os.Stdin)
	open  = zk.WorldACL(zk.PermAll)
)

func fail(format string, args ...any) {
	for depth := 1; depth < 6; depth++ {
		if _, file, line, ok := runtime.Caller(depth); ok {
			fmt.Printf("%s:%d\n", file, line)
		}
	}
	fmt.Printf(format+"\n", args...)
	os.Exit(1)
}

// Fails unless both are equal in depth; `what` is a noun phrase.
func equal(found, expected any, what string) {
	if !reflect.DeepEqual(found, expected) {
		fail("%s: found %v (%T), expected %v (%T)", what, found, found, expected, expected)
	}
}

// The call before gave no error.
func ok(err error) {
	if err != nil {
		fail("failed: %v", err)
	}
}

// The value of a call that gave no error.
func must[T any](value T, err error) T {
	ok(err)
	return value
}

func refused(err, expected error, what string) {
	if err != expected {
		fail("%s: answered %v, expected %v", what, err, expected)
	}
}

// How long a session lasts that nobody wants to end: a busy machine may stand still for a while.
const usual = 30 * time.Second

// How long anything may take that is waited for: it costs nothing where all is well.
const patience = 60 * time.Second

// Waits for the condition.
func eventually(what string, condition func() bool) {
	for end := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			fail("not within %v: %s", patience, what)
		}
	}
}

// By how much a session may outlive its timeout: it ends with a tick of the server's clock, which is half a second here.
const ticks = 1600 * time.Millisecond

// Waits until the condition holds, which must come within the limit from `began` on. What the machine is late is not counted: twice
// the longest turn of a write and a look, which is nothing where all is well. Gives how long it took.
func atLast(it *client, what string, began time.Time, limit time.Duration, condition func() bool) time.Duration {
	longest, turn := time.Duration(0), time.Now()
	for {
		must(it.Set("/", nil, -1))
		done, now := condition(), time.Now()
		longest, turn = max(longest, now.Sub(turn)), now
		took := now.Sub(began)
		if limit+2*longest < took {
			fail("%s: after %v, not %v; turns took up to %v", what, took, limit, longest)
		}
		if done {
			return took
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Asks the harness for restart, kill, stop or start; returns when done.
func ask(action string) {
	fmt.Printf("@%s\n", action)
	if answer, err := stdin.ReadString('\n'); err != nil || answer != "ok\n" {
		fail("the harness answered %q to @%s (%v)", answer, action, err)
	}
}

// A connection, what became of its session, and a way to cut it.
type client struct {
	*zk.Conn
	lock   sync.Mutex
	states []zk.State
	socket net.Conn
	isCut  bool
	// The socket, where it had no session yet at the last look.
	unanswered net.Conn
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func dial(timeout time.Duration) *client {
	it := &client{}
	conn, _, err := zk.Connect([]string{hosts}, timeout,
		zk.WithLogger(silent{}), zk.WithLogInfo(false), zk.WithEventCallback(it.note), zk.WithDialer(it.dial))
	ok(err)
	it.Conn = conn
	if os.Getenv("JUDGE_SERVER") == "reference" {
		go it.nudge()
	}
	eventually("a session", func() bool { return conn.State() == zk.StateHasSession })
	return it
}

// A connection that reaches the reference while it starts may stay open without an answer, and this client then waits for a minute.
func (it *client) nudge() {
	for range time.Tick(3 * time.Second) {
		it.lock.Lock()
		if it.State() == zk.StateConnected && it.socket == it.unanswered {
			it.socket.Close()
		}
		it.unanswered = nil
		if it.State() == zk.StateConnected {
			it.unanswered = it.socket
		}
		it.lock.Unlock()
	}
}

func (it *client) note(event zk.Event) {
	if event.Type == zk.EventSession {
		it.lock.Lock()
		defer it.lock.Unlock()
		it.states = append(it.states, event.State)
	}
}

func (it *client) dial(network, address string, timeout time.Duration) (net.Conn, error) {
	it.lock.Lock()
	defer it.lock.Unlock()
	if it.isCut {
		return nil, fmt.Errorf("the way to the server is cut")
	}
	socket, err := net.DialTimeout(network, address, timeout)
	it.socket = socket
	return socket, err
}

func (it *client) cut() {
	it.lock.Lock()
	it.isCut = true
	it.socket.Close()
	it.lock.Unlock()
	eventually("the cut is noticed", func() bool { return it.State() != zk.StateHasSession })
}

func (it *client) noticed() {
	eventually("the end of the server is noticed", func() bool { return it.State() != zk.StateHasSession })
}

func (it *client) mend() {
	it.lock.Lock()
	defer it.lock.Unlock()
	it.isCut = false
}

func (it *client) back() {
	eventually("a session again", func() bool { return it.State() == zk.StateHasSession })
}

func (it *client) wasIn(state zk.State) bool {
	it.lock.Lock()
	defer it.lock.Unlock()
	for _, each := range it.states {
		if each == state {
			return true
		}
	}
	return false
}

// The next event of a watch, which must be this one.
func expect(events <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case event := <-events:
		if event.Err != nil || event.Type != kind || event.Path != path {
			fail("event %v of %s (%v), expected %v of %s", event.Type, event.Path, event.Err, kind, path)
		}
	case <-time.After(patience):
		fail("no event within %v, expected %v of %s", patience, kind, path)
	}
}

// The watch has not fired, not even after a sync.
func expectNone(it *client, events <-chan zk.Event) {
	must(it.Sync("/"))
	select {
	case event := <-events:
		fail("event %v of %s (%v), expected none", event.Type, event.Path, event.Err)
	default:
	}
}
