// Runs one judge (or `all`, one after the other, on one server).
package main

import (
	"fmt"
	"os"
	"time"
)

var judges = []struct {
	name string
	run  func()
}{
	{"every_op", everyOp},
	{"acls_and_auth", aclsAndAuth},
	{"transactions", transactions},
	{"four_letter_words", fourLetterWords},
	{"watches", watches},
	{"watches_catch_up", watchesCatchUp},
	{"restart_in_mid_session", restartInMidSession},
	{"kill_in_mid_session", killInMidSession},
	{"expiry", expiry},
	{"locks", locks},
	{"guarantees_through_kills", guaranteesThroughKills},
}

func main() {
	if len(os.Args) != 4 {
		os.Exit(2)
	}
	name := os.Args[2]
	hosts = os.Args[3]
	time.AfterFunc(280*time.Second, func() { fail("not done after 280 s") })
	if name == "stress_worker" {
		stressWorker()
		return
	}
	ran := false
	for _, judge := range judges {
		if name == "all" || name == judge.name {
			began := time.Now()
			judge.run()
			fmt.Printf("%s: passed in %v\n", judge.name, time.Since(began).Round(time.Millisecond))
			ran = true
		}
	}
	if !ran {
		fail("no judge of the name %q", name)
	}
}
