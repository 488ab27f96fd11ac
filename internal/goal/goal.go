// Package goal prints figures beside their limits, one line each, for programs that
// read what a measurement prints:
//
//	GOAL <name> <value> <limit> ok|short
package goal

import (
	"fmt"
	"io"
	"strconv"
)

// AtMost prints a figure that should not be larger than its limit.
func AtMost(w io.Writer, name string, value, limit float64) {
	Print(w, name, value, limit, value <= limit)
}

// AtLeast prints a figure that should not be smaller than its limit.
func AtLeast(w io.Writer, name string, value, limit float64) {
	Print(w, name, value, limit, value >= limit)
}

// Print prints a figure of which somebody else judges whether it is good.
func Print(w io.Writer, name string, value, limit float64, ok bool) {
	line(w, name, number(value), limit, ok)
}

// Unknown prints that a figure could not be measured, which is short of any limit.
func Unknown(w io.Writer, name string, limit float64) {
	line(w, name, "none", limit, false)
}

// line ignores errors: whoever prints to a place that does not take it has no other
// one to say so.
func line(w io.Writer, name, value string, limit float64, ok bool) {
	verdict := "short"
	if ok {
		verdict = "ok"
	}
	_, _ = fmt.Fprintf(w, "GOAL %s %s %s %s\n", name, value, number(limit), verdict)
}

// number writes four digits, and all that stand before the point.
func number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
