// Watches and sessions: what fires, what catches up, what outlives a server, what expires; the client's lock recipe.
package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

func watches() {
	it, other := dial(usual), dial(usual)
	defer it.Close()
	defer other.Close()
	there, _, events, err := it.ExistsW("/w")
	ok(err)
	equal(there, false, "exists before the create")
	must(other.Create("/w", nil, 0, open))
	expect(events, zk.EventNodeCreated, "/w")
	_, _, events, err = it.GetW("/w")
	ok(err)
	must(other.Set("/w", []byte("1"), -1))
	expect(events, zk.EventNodeDataChanged, "/w")
	_, _, events, err = it.ChildrenW("/w")
	ok(err)
	must(other.Set("/w", []byte("2"), -1))
	expectNone(it, events)
	must(other.Create("/w/a", nil, 0, open))
	expect(events, zk.EventNodeChildrenChanged, "/w")
	_, _, events, err = it.ChildrenW("/w")
	ok(err)
	ok(other.Delete("/w/a", -1))
	expect(events, zk.EventNodeChildrenChanged, "/w")
	_, _, data, err := it.ExistsW("/w")
	ok(err)
	_, _, child, err := it.ChildrenW("/w")
	ok(err)
	ok(other.Delete("/w", -1))
	expect(data, zk.EventNodeDeleted, "/w")
	expect(child, zk.EventNodeDeleted, "/w")
	_, _, _, err = it.GetW("/w")
	refused(err, zk.ErrNoNode, "getData of nothing")
}

// Creates /d, /gone, /k, /same, and gives the watches on them and on /new, which is not there.
func watched(it *client) map[string]<-chan zk.Event {
	events := map[string]<-chan zk.Event{}
	var err error
	for _, path := range []string{"/d", "/gone", "/same"} {
		must(it.Create(path, nil, 0, open))
		_, _, events[path], err = it.GetW(path)
		ok(err)
	}
	must(it.Create("/k", nil, 0, open))
	_, _, events["/k"], err = it.ChildrenW("/k")
	ok(err)
	_, _, events["/new"], err = it.ExistsW("/new")
	ok(err)
	return events
}

func changeAll(other *client, events map[string]<-chan zk.Event, between func()) {
	must(other.Set("/d", []byte("x"), -1))
	ok(other.Delete("/gone", -1))
	must(other.Create("/k/x", nil, 0, open))
	must(other.Create("/new", nil, 0, open))
	between()
	expect(events["/d"], zk.EventNodeDataChanged, "/d")
	expect(events["/gone"], zk.EventNodeDeleted, "/gone")
	expect(events["/k"], zk.EventNodeChildrenChanged, "/k")
	expect(events["/new"], zk.EventNodeCreated, "/new")
}

func watchesCatchUp() {
	it, other := dial(usual), dial(usual)
	defer it.Close()
	defer other.Close()
	events := watched(it)
	it.cut()
	changeAll(other, events, func() { it.mend(); it.back() })
	expectNone(it, events["/same"])
	must(other.Set("/same", nil, -1))
	expect(events["/same"], zk.EventNodeDataChanged, "/same")
}

func restartInMidSession() { outlives("stop") }

func killInMidSession() { outlives("kill", "kill") }

func outlives(ends ...string) {
	it, other := dial(20*time.Second), dial(20*time.Second)
	defer other.Close()
	session := it.SessionID()
	must(it.Create("/s", []byte("kept"), 0, open))
	must(it.Create("/s/mine", nil, zk.FlagEphemeral, open))
	for i := 0; i < 100; i++ {
		must(it.Create("/s/n-", []byte{byte(i)}, zk.FlagSequence, open))
	}
	events := watched(it)
	_, before, err := it.Get("/s")
	ok(err)
	for _, end := range ends {
		ask(end)
		it.noticed()
		other.noticed()
		ask("start")
		it.back()
		other.back()
	}
	var data []byte
	var after *zk.Stat
	eventually("a read after the restart", func() bool { data, after, err = it.Get("/s"); return err == nil })
	equal(string(data), "kept", "data after the restart")
	equal(*after, *before, "the stat after the restart")
	equal(it.SessionID(), session, "the session")
	equal(it.wasIn(zk.StateExpired), false, "expired on the way")
	_, owned, err := it.Get("/s/mine")
	ok(err)
	equal(owned.EphemeralOwner, session, "the ephemeral's owner")
	for _, each := range events {
		expectNone(it, each)
	}
	changeAll(other, events, func() {})
	equal(must(other.Create("/s/n-", nil, zk.FlagSequence, open)), "/s/n-0000000101", "the next sequential name")
	it.Close()
	eventually("the ephemeral is gone", func() bool { there, _, _ := other.Exists("/s/mine"); return !there })
}

func expiry() {
	it, other := dial(4*time.Second), dial(usual)
	defer it.Close()
	defer other.Close()
	session := it.SessionID()
	must(it.Create("/held", nil, zk.FlagEphemeral, open))
	_, _, mine, err := it.ExistsW("/elsewhere")
	ok(err)
	time.Sleep(7 * time.Second)
	there, _, events, err := other.ExistsW("/held")
	ok(err)
	equal(there, true, "the ephemeral while its client pings")
	began := time.Now()
	must(it.Sync("/held"))
	it.cut()
	// Until the cut it may have been heard of.
	atLast(other, "the ephemeral is gone", time.Now(), 4*time.Second+ticks, func() bool { return len(events) > 0 })
	took := time.Since(began)
	expect(events, zk.EventNodeDeleted, "/held")
	fmt.Printf("timeout 4 s, gone %v after a last sign of life\n", took)
	if took < 3900*time.Millisecond {
		fail("expired %v after a sign of life, expected 4 s at least", took)
	}
	it.mend()
	eventually("the client is told", func() bool { return it.wasIn(zk.StateExpired) })
	equal((<-mine).Err, error(zk.ErrSessionExpired), "what its watch says")
	it.back()
	if it.SessionID() == session {
		fail("the new session has the old id")
	}
	must(it.Create("/held", nil, zk.FlagEphemeral, open))
}

func locks() {
	var inside, held int32
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			it := dial(usual)
			defer it.Close()
			for round := 0; round < 10; round++ {
				lock := zk.NewLock(it.Conn, "/lock/one", open)
				ok(lock.Lock())
				equal(atomic.AddInt32(&inside, 1), int32(1), "holders of the lock")
				held++
				atomic.AddInt32(&inside, -1)
				ok(lock.Unlock())
			}
		}()
	}
	all.Wait()
	equal(held, int32(40), "times held")
	first, second := dial(usual), dial(usual)
	defer second.Close()
	ok(zk.NewLock(first.Conn, "/lock/two", open).Lock())
	waiting := make(chan error)
	go func() { waiting <- zk.NewLock(second.Conn, "/lock/two", open).Lock() }()
	select {
	case err := <-waiting:
		fail("a held lock was given away (%v)", err)
	case <-time.After(300 * time.Millisecond):
	}
	first.Close()
	ok(<-waiting)
}
