package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quorate-db/quorate/transport/certs/certstest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"quorate": main})
}

// TestScripts plays the scripts in testdata, each a story of a user at a prompt.
func TestScripts(t *testing.T) {
	ca := certstest.New(t)
	files := ca.Issue(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"oneline": oneLine,
			"occupy":  occupy,
			"single":  single,
			"demo":    startDemo,
			"enddemo": endDemo,
			"log":     writeLog,
			"spoil":   spoil,

			"recording": writeRecording,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("QUORATE_ENDPOINTS", "")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("CA", files.CA)
			env.Setenv("CERT", files.Cert)
			env.Setenv("KEY", files.Key)
			return os.MkdirAll(env.Getenv("TMPDIR"), 0o755)
		},
	})
}
