//go:build unix

package main

import (
	"errors"
	"net"
	"sync/atomic"
)

// wires are the connections of a node to the others, as the credentials of its host:
// that is where each passes by. While they are cut, each of them breaks as soon as
// anything passes, wherever in its frame or its snapshot that is.
type wires struct{ cut atomic.Bool }

func (w *wires) Accepted(conn net.Conn) (net.Conn, error)          { return wire{conn, w}, nil }
func (w *wires) Dialled(conn net.Conn, _ string) (net.Conn, error) { return wire{conn, w}, nil }

type wire struct {
	net.Conn
	of *wires
}

var errCut = errors.New("soak: the wire is cut")

// NetConn lets the transport find the connection that it knows.
func (w wire) NetConn() net.Conn { return w.Conn }

func (w wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if w.of.cut.Load() {
		return 0, w.breaks()
	}
	return n, err
}

func (w wire) Write(p []byte) (int, error) {
	if w.of.cut.Load() {
		return 0, w.breaks()
	}
	return w.Conn.Write(p)
}

func (w wire) breaks() error { return errors.Join(errCut, w.Conn.Close()) }
