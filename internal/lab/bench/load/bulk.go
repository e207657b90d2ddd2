package load

import (
	"fmt"
	"sync"
	"time"
)

// piece is what a bulk transfer reads and writes at once.
const piece = 256 << 10

// bulk moves Bytes in one transfer. With a Pace it waits now and then, so that
// so many bytes per second move and no more.
func bulk(j Job, running func()) (Outcome, error) {
	s, err := loggedIn(j)
	if err != nil {
		return Outcome{}, err
	}
	defer s.Close()
	var moved int64
	begin := sync.OnceFunc(running)
	o, err := crew(1, func(int) error {
		buf := make([]byte, piece)
		command, step := []byte("RETR "+ZerosName(j.Bytes)+"\r\n"), stream.read
		if j.Up {
			command, step = storeSink, func(d stream, b []byte) (int, error) { return len(b), d.write(b) }
		}
		_, err := s.transfer(j.Active, command, func(d stream) error {
			p := pace{rate: j.Pace, began: time.Now()}
			for !j.Up || moved < j.Bytes {
				n, err := step(d, buf)
				if err != nil || n == 0 {
					return err
				}
				moved += int64(n)
				begin()
				p.keep(moved)
			}
			return nil
		})
		return err
	})
	if err == nil && moved != j.Bytes {
		err = fmt.Errorf("moved %d bytes, want %d", moved, j.Bytes)
	}
	o.Count = 1
	o.Bytes = moved
	return o, err
}

// pace holds a transfer to a rate.
type pace struct {
	rate  float64 // bytes per second; 0: none
	began time.Time
}

// keep waits until so many bytes may have moved. It never waits for less than
// a millisecond: shorter sleeps are not what they say.
func (p pace) keep(moved int64) {
	if p.rate == 0 {
		return
	}
	due := time.Duration(float64(moved) / p.rate * float64(time.Second))
	if ahead := due - time.Since(p.began); ahead > time.Millisecond {
		time.Sleep(ahead)
	}
}
