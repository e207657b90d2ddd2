// Package audit writes down what users did: one JSON object a line, and the
// xferlog of wu-ftpd, which existing tools read.
package audit
