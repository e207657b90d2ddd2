package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"ftpgate/internal/lab"
)

// Agent is a generator in a process of its own. It does one job at a time.
type Agent struct {
	cmd *lab.Cmd
	in  *json.Encoder
	out *json.Decoder
}

// StartAgent runs a command that ends in Serve, over its standard input and
// output. The agent ends with the lab.
func StartAgent(ctx context.Context, h *lab.Host, name string, args ...string) (*Agent, error) {
	a := &Agent{cmd: h.Command(ctx, name, args...)}
	a.cmd.Stderr = os.Stderr
	in, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	a.in, a.out = json.NewEncoder(in), json.NewDecoder(out)
	return a, a.cmd.Start()
}

// Do has a job done.
func (a *Agent) Do(j Job) (Outcome, error) {
	if err := a.give(j); err != nil {
		return Outcome{}, err
	}
	return a.outcome(j)
}

// Begin returns when a bulk transfer moves. Its outcome comes from the returned
// function.
func (a *Agent) Begin(j Job) (end func() (Outcome, error), err error) {
	if err := a.give(j); err != nil {
		return nil, err
	}
	var o Outcome
	if err := a.out.Decode(&o); err != nil {
		return nil, ended(j, err)
	}
	if !o.Running {
		return nil, fmt.Errorf("%s: %s", j.Do, o.Error)
	}
	return func() (Outcome, error) { return a.outcome(j) }, nil
}

func (a *Agent) give(j Job) error {
	if err := a.in.Encode(j); err != nil {
		return fmt.Errorf("give the load generator a job: %w", err)
	}
	return nil
}

func (a *Agent) outcome(j Job) (Outcome, error) {
	for {
		var o Outcome
		err := a.out.Decode(&o)
		switch {
		case err != nil:
			return Outcome{}, ended(j, err)
		case o.Running:
		case o.Error != "":
			return o, fmt.Errorf("%s: %s", j.Do, o.Error)
		default:
			return o, nil
		}
	}
}

func ended(j Job, err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("the load generator ended")
	}
	return fmt.Errorf("%s: %w", j.Do, err)
}
