// Package audit writes down what users did: one JSON object a line, and the
// xferlog of wu-ftpd, which existing tools read. docs/audit.md has the fields.
//
//	log, err := audit.Open(audit.Options{JSON: "/var/log/ftpgate/audit.json", Logger: logger})
//	log.Write(audit.Login{Time: now, Who: who, OK: true, Reply: 230}) // never waits
//	err = log.Reopen()                                                // after logrotate has renamed
//	err = log.Close()
//
// Each file has a queue and one goroutine, which alone writes it: whole lines, as
// many at once as are waiting. What a disk does not take waits and is tried again,
// so that a disk that was full for a while costs nothing. When the queue is full
// too, events are dropped and counted, and the JSON says so at the place where
// they are missing.
//
// Be aware: nothing is synced, so a power cut takes the last seconds, and may
// leave a line cut; the next start ends that line and says so. A file is renamed
// by others only: until Reopen its lines go to the renamed one. Open, Reopen and
// Reconfigure wait for a file system that hangs; Write and Close do not.
package audit
