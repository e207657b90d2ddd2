package stand

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ftpgate/internal/lab/bench/profile"
)

// auditConfig has the daemon write down all that it can.
const auditConfig = "\n[audit]\njson = %q\nxferlog = %q\n"

// startAudited runs a daemon that records transfers, and can be profiled.
func startAudited(ctx context.Context, st *Stand) error {
	service := `tls.mode = "refuse"` + fmt.Sprintf(auditConfig, filepath.Join(st.dir, "audit.json"), filepath.Join(st.dir, "xferlog"))
	return st.startProgram(ctx, st.setting.Profiled, service)
}

// Profile has the gateway's processor time written to the setting's file while f
// runs. The gateway is one that is built for it.
func (st *Stand) Profile(ctx context.Context, f func() error) error {
	if err := os.Remove(st.setting.Profile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := st.signalled(ctx, profile.Begun(st.setting.Profile)); err != nil {
		return err
	}
	err := f()
	return errors.Join(err, st.signalled(ctx, st.setting.Profile))
}

// ProfileFile is what Profile has written.
func (st *Stand) ProfileFile() string { return st.setting.Profile }

// signalled tells the gateway, and waits for the file that it makes then.
func (st *Stand) signalled(ctx context.Context, file string) error {
	if err := st.gateway.Process.Signal(profile.Signal); err != nil {
		return fmt.Errorf("profile the gateway: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if _, err := os.Stat(file); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the gateway makes no %s: %w\n%s", file, ctx.Err(), st.Log())
		case <-time.After(10 * time.Millisecond): // until the next look
		}
	}
}
