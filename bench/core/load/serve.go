package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Serve runs the cases that come in and answers each with its cost, until there
// are no more: so that a core that cannot be linked into the same program takes
// part in the same run.
func Serve[M any](in io.Reader, out io.Writer, cluster func(electionTicks int) *Cluster[M]) error {
	cases, costs := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c Case
		if err := cases.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("load: read a case: %w", err)
		}
		if err := costs.Encode(Run(c, cluster)); err != nil {
			return fmt.Errorf("load: write a cost: %w", err)
		}
	}
}
