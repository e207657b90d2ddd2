package load

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// generator does one job after the other, and keeps sessions between them.
type generator struct {
	held    []*Session
	stalled []stream // data connections that nobody reads
}

// run does a job. Running is called when a bulk transfer has begun to move.
func (g *generator) run(j Job, running func()) (Outcome, error) {
	switch j.Do {
	case Transfers:
		return g.transfers(j)
	case Setups:
		return setups(j)
	case Bulk:
		return bulk(j, running)
	case Probe:
		return probe(j)
	case Hold:
		return Outcome{}, g.hold(j)
	case Stall:
		return Outcome{}, g.stall(j)
	case Release:
		g.release()
		return Outcome{}, nil
	case Noops:
		return noops(j)
	case Rest:
		return rest(j)
	}
	return Outcome{}, fmt.Errorf("no such job: %q", j.Do)
}

// crew runs n workers side by side until each has returned, and returns what
// that took.
func crew(n int, work func(i int) error) (Outcome, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n + 2))
	errs := make([]error, n)
	var working sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		working.Go(func() {
			<-start
			errs[i] = work(i)
		})
	}
	c, err := startClock()
	close(start)
	working.Wait()
	elapsed, busy, stopErr := c.stop()
	return Outcome{Seconds: elapsed.Seconds(), Busy: busy.Seconds()}, errors.Join(append(errs, err, stopErr)...)
}

// transfers fetches the small file over and over, in several sessions.
func (g *generator) transfers(j Job) (Outcome, error) {
	sessions := make([]*Session, j.Sessions)
	defer func() {
		for _, s := range sessions {
			if s != nil {
				s.Close()
			}
		}
	}()
	for i := range sessions {
		s, err := loggedIn(j)
		if err != nil {
			return Outcome{}, err
		}
		sessions[i] = s
	}
	took := make([][]latency, j.Sessions)
	for i := range took {
		took[i] = make([]latency, 0, 1<<14)
	}
	o, err := crew(j.Sessions, func(i int) error {
		end := time.Now().Add(j.duration()) // from when the clock runs
		buf := make([]byte, 4096)
		p := pace{rate: j.Pace / float64(j.Sessions), began: time.Now()}
		for {
			l, err := sessions[i].transfer(j.Active, fetchSmall, func(d stream) error { return drainSmall(d, buf) })
			if err != nil {
				return err
			}
			took[i] = append(took[i], l)
			if p.keep(int64(len(took[i]))); time.Now().After(end) {
				return nil
			}
		}
	})
	o.latencies(slices.Concat(took...))
	return o, err
}

// loggedIn returns a session as a job wants it.
func loggedIn(j Job) (*Session, error) {
	s, err := Dial(j.Server)
	if err != nil {
		return nil, err
	}
	if j.TLS {
		err = s.Secure(j.Server.Addr())
	}
	if err == nil {
		err = s.Login()
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func drainSmall(d stream, buf []byte) error {
	n, err := drain(d, buf)
	if err == nil && n != SmallSize {
		err = fmt.Errorf("got %d bytes, want %d", n, SmallSize)
	}
	return err
}

// setups begins and ends sessions, in several workers.
func setups(j Job) (Outcome, error) {
	counts := make([]int, j.Sessions)
	o, err := crew(j.Sessions, func(i int) error {
		end := time.Now().Add(j.duration())
		s := new(Session)
		for time.Now().Before(end) {
			if err := s.dial(j.Server); err != nil {
				return err
			}
			if err := s.Login(); err != nil {
				s.Close()
				return err
			}
			if err := s.Quit(); err != nil {
				return err
			}
			counts[i]++
		}
		return nil
	})
	for _, n := range counts {
		o.Count += n
	}
	return o, err
}

// probe is one session that transfers now and then while others do more.
func probe(j Job) (Outcome, error) {
	s, err := loggedIn(j)
	if err != nil {
		return Outcome{}, err
	}
	defer s.Close()
	var took []latency
	end := time.Now().Add(j.duration())
	o, err := crew(1, func(int) error {
		buf := make([]byte, 4096)
		for time.Now().Before(end) {
			l, err := s.transfer(j.Active, fetchSmall, func(d stream) error { return drainSmall(d, buf) })
			if err != nil {
				return err
			}
			took = append(took, l)
			time.Sleep(time.Millisecond) // a load so small that it is not what is measured
		}
		return nil
	})
	o.latencies(took)
	return o, err
}

// noops asks one session for nothing, Count times.
func noops(j Job) (Outcome, error) {
	s, err := loggedIn(j)
	if err != nil {
		return Outcome{}, err
	}
	defer s.Close()
	took := make([]latency, 0, j.Count)
	o, err := crew(1, func(int) error {
		for range j.Count {
			began := time.Now()
			if err := s.do(noop, 2); err != nil {
				return err
			}
			took = append(took, latency{reply: time.Since(began)})
		}
		return nil
	})
	o.latencies(took)
	return o, err
}

// rest does nothing: what is busy then is none of ours.
func rest(j Job) (Outcome, error) {
	return crew(1, func(int) error {
		t := unix.NsecToTimespec(j.duration().Nanoseconds())
		for {
			err := unix.Nanosleep(&t, &t)
			if err != unix.EINTR {
				return err
			}
		}
	})
}
