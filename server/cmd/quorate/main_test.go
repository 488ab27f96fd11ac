package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quorate": main})
}

// TestScripts plays the scripts in testdata, each a story of a user at a prompt.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"oneline": oneLine,
			"occupy":  occupy,
			"single":  single,
			"demo":    startDemo,
			"enddemo": endDemo,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("QUORATE_ENDPOINTS", "")
			env.Setenv("HOME", env.WorkDir)
			return os.MkdirAll(env.Getenv("TMPDIR"), 0o755)
		},
	})
}
