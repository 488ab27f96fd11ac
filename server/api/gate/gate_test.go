package gate

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Who finds no place waits for one, and gets it in turn; nobody who comes later is
// let in before.
func TestPlacesAreGivenInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 3, 30)
		if !g.Try() || g.Try() {
			t.Fatal("a gate with one place has not exactly one")
		}
		var in []int
		for i := range 3 {
			go func() {
				if g.Wait(t.Context(), 10) {
					in = append(in, i)
				}
			}()
			synctest.Wait()
		}
		if g.Wait(t.Context(), 0) {
			t.Error("a fourth waited where three may")
		}
		for i := range 3 {
			g.Leave()
			synctest.Wait()
			if want := []int{0, 1, 2}[:i+1]; !slices.Equal(in, want) || g.Try() {
				t.Fatalf("after %d have left, %v are in, want %v and no place free", i+1, in, want)
			}
		}
		g.Leave()
		if !g.Try() {
			t.Error("all have left, and there is no place")
		}
	})
}

// The bytes of those who wait are bounded too, and are free again once they are in.
func TestBytesOfThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New(1, 10, 30)
		g.Try()
		go g.Wait(t.Context(), 20)
		synctest.Wait()
		if g.Wait(t.Context(), 11) {
			t.Error("31 bytes waited where 30 may")
		}
		g.Leave()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if g.Wait(ctx, 30) || time.Since(begin) != time.Second {
			t.Errorf("refused after %v, want 1s: as long as its context", time.Since(begin))
		}
		if g.waiting != (crowd{}) {
			t.Errorf("%+v wait after all have gone", g.waiting)
		}
	})
}
