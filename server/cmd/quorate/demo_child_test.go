package main

import "testing"

func TestReasonOfAnEnd(t *testing.T) {
	for _, c := range []struct{ log, want string }{
		{"", "exit status 1"},
		{"{\"msg\":\"starting\"}\nquorate: the port is taken\n", "the port is taken"},
		{"{\"msg\":\"starting\"}\npanic: index 3\n\ngoroutine 1:\nmain.main()\n", "panic: index 3"},
	} {
		if got := reason([]byte(c.log), "exit status 1"); got != c.want {
			t.Errorf("of %q: %q, want %q", c.log, got, c.want)
		}
	}
}
