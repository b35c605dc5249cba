// What a session may rely on, under a random load and through kills: the same rules as the other languages' judges check.
package main

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const workers = 4

type worker struct {
	*client
	random                 *rand.Rand
	own, held              string
	writtenMin, writtenMax int // what the own znode may hold: a range after a lost connection
	sharedZxid             int64
	sequence, ops          int
	events                 <-chan zk.Event
	watchedZxid            int64
}

// True if the answer is there; false if the connection was lost, and the outcome with it.
func answered(err error) bool {
	if errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) {
		time.Sleep(50 * time.Millisecond)
		return false
	}
	ok(err)
	return true
}

func (w *worker) step() {
	switch w.random.Intn(8) {
	case 0, 1:
		w.writtenMax++
		if _, err := w.Set(w.own, []byte(strconv.Itoa(w.writtenMax)), -1); answered(err) {
			w.writtenMin = w.writtenMax
		}
	case 2, 3:
		w.checkOwn(w.client)
	case 4, 5:
		w.shared()
	case 6:
		w.sequential()
	case 7:
		w.pair()
	}
	w.ops++
}

func (w *worker) checkOwn(by *client) {
	data, _, err := by.Get(w.own)
	if !answered(err) {
		return
	}
	if value, _ := strconv.Atoi(string(data)); value < w.writtenMin || w.writtenMax < value {
		fail("%s holds %d, expected %d to %d", w.own, value, w.writtenMin, w.writtenMax)
	}
}

func (w *worker) shared() {
	if w.random.Intn(2) == 0 {
		if _, err := w.Set("/stress/shared", []byte("go"), -1); !answered(err) {
			return
		}
	}
	var stat *zk.Stat
	var err error
	if w.events == nil {
		_, stat, w.events, err = w.GetW("/stress/shared")
		if !answered(err) {
			w.events = nil
			return
		}
		w.watchedZxid = stat.Mzxid
	} else if _, stat, err = w.Get("/stress/shared"); !answered(err) {
		return
	} else if stat.Mzxid != w.watchedZxid {
		expect(w.events, zk.EventNodeDataChanged, "/stress/shared")
		w.events = nil
	}
	if stat.Mzxid < w.sharedZxid {
		fail("mzxid of the shared znode went from %x back to %x", w.sharedZxid, stat.Mzxid)
	}
	w.sharedZxid = stat.Mzxid
}

func (w *worker) sequential() {
	path, err := w.Create("/stress/seq/go-", nil, zk.FlagEphemeralSequential, open)
	if !answered(err) {
		return
	}
	number := must(strconv.Atoi(path[strings.LastIndex(path, "-")+1:]))
	if number <= w.sequence {
		fail("sequence %d after %d", number, w.sequence)
	}
	w.sequence = number
	answered(w.Delete(path, -1))
}

// Two znodes that are always made and removed together.
func (w *worker) pair() {
	one, _, err := w.Exists(w.own + "/one")
	if !answered(err) {
		return
	}
	two, _, err := w.Exists(w.own + "/two")
	if !answered(err) {
		return
	}
	equal(one, two, "both halves of a transaction")
	var requests []any
	for _, name := range []string{"/one", "/two"} {
		if one {
			requests = append(requests, &zk.DeleteRequest{Path: w.own + name, Version: -1})
		} else {
			requests = append(requests, &zk.CreateRequest{Path: w.own + name, Acl: open})
		}
	}
	_, err = w.Multi(requests...)
	answered(err)
}

func stress(loaded func(), isOver func() bool) {
	root := dial(20 * time.Second)
	defer root.Close()
	for _, path := range []string{"/stress", "/stress/shared", "/stress/seq", "/stress/own", "/stress/eph"} {
		if _, err := root.Create(path, nil, 0, open); err != zk.ErrNodeExists {
			ok(err)
		}
	}
	var all sync.WaitGroup
	crew := make([]*worker, workers)
	for i := range crew {
		name := fmt.Sprintf("go-%d-%d", os.Getpid(), i)
		w := &worker{client: dial(20 * time.Second), random: rand.New(rand.NewSource(int64(i))), sequence: -1}
		w.own, w.held = "/stress/own/"+name, "/stress/eph/"+name
		must(w.Create(w.own, []byte("0"), 0, open))
		must(w.Create(w.held, nil, zk.FlagEphemeral, open))
		crew[i] = w
		all.Add(1)
		go func() {
			defer all.Done()
			for !isOver() {
				w.step()
			}
		}()
	}
	loaded()
	all.Wait()
	root.back()
	ops := 0
	for _, w := range crew {
		w.back()
		equal(w.wasIn(zk.StateExpired), false, "a session lost on the way")
		w.checkOwn(root)
		_, stat, err := root.Get(w.held)
		ok(err)
		equal(stat.EphemeralOwner, w.SessionID(), "the owner of what the session holds")
		w.Close()
		eventually("its ephemeral is gone", func() bool { there, _, err := root.Exists(w.held); return err == nil && !there })
		ops += w.ops
	}
	fmt.Printf("%d operations\n", ops)
}

func guaranteesThroughKills() {
	loaded, done := make(chan struct{}), make(chan struct{})
	var over atomic.Bool
	go func() {
		stress(func() { close(loaded) }, over.Load)
		close(done)
	}()
	<-loaded
	for i := 0; i < 2; i++ {
		time.Sleep(4 * time.Second)
		ask("kill")
		ask("start")
	}
	time.Sleep(4 * time.Second)
	over.Store(true)
	<-done
}

func stressWorker() {
	stress(func() { fmt.Println("loaded") }, func() bool {
		_, err := os.Stat(os.Getenv("STRESS_UNTIL"))
		return err == nil
	})
}
