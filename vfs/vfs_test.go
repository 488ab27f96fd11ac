package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quorate-db/quorate/vfs"
)

// everywhere runs a story on the real file system and on the one in memory: what
// the simulator stands on must answer like what users stand on.
func everywhere(t *testing.T, story func(t *testing.T, disk vfs.FS, dir string)) {
	t.Run("OS", func(t *testing.T) { story(t, vfs.OS{}, t.TempDir()) })
	t.Run("O_DSYNC", func(t *testing.T) { story(t, vfs.OS{Mode: vfs.DSync}, t.TempDir()) })
	t.Run("Mem", func(t *testing.T) {
		mem := vfs.NewMem()
		must(t, mem.MakeDir("/data"))
		story(t, mem, "/data")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, disk vfs.FS, path, content string) vfs.File {
	t.Helper()
	f, err := disk.Create(path)
	must(t, err)
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func content(t *testing.T, disk vfs.FS, path string) string {
	t.Helper()
	f, err := disk.Open(path)
	must(t, err)
	size, err := f.Size()
	must(t, err)
	var b bytes.Buffer
	_, err = io.Copy(&b, io.NewSectionReader(f, 0, size))
	must(t, err)
	must(t, f.Close())
	return b.String()
}

func TestWritesAndTruncationsAreReadBack(t *testing.T) {
	everywhere(t, func(t *testing.T, disk vfs.FS, dir string) {
		path := filepath.Join(dir, "a")
		f := create(t, disk, path, "hello")
		if _, err := f.WriteAt([]byte("!"), 7); err != nil {
			t.Fatal(err)
		}
		must(t, f.Sync())
		if got := content(t, disk, path); got != "hello\x00\x00!" {
			t.Fatalf("a gap is not filled with zeros: %q", got)
		}
		must(t, f.Truncate(2))
		must(t, f.Truncate(4))
		if got := content(t, disk, path); got != "he\x00\x00" {
			t.Fatalf("what was cut off came back: %q", got)
		}
		short := make([]byte, 8)
		if n, err := f.ReadAt(short, 1); n != 3 || err != io.EOF {
			t.Fatalf("reading over the end: %d bytes, %v", n, err)
		}
		if n, err := f.ReadAt(short, 9); n != 0 || err != io.EOF {
			t.Fatalf("reading behind the end: %d bytes, %v", n, err)
		}
		must(t, f.Close())
		if f.Sync() == nil {
			t.Fatal("a closed file could be synced")
		}
		must(t, create(t, disk, path, "").Close())
		if got := content(t, disk, path); got != "" {
			t.Fatalf("Create left %q of the old file", got)
		}
	})
}

func TestNamesComeAndGo(t *testing.T) {
	everywhere(t, func(t *testing.T, disk vfs.FS, dir string) {
		deep := filepath.Join(dir, "x", "y")
		must(t, disk.MakeDir(deep))
		must(t, disk.MakeDir(deep))
		for _, name := range []string{"b", "a", "c"} {
			must(t, create(t, disk, filepath.Join(deep, name), name).Close())
		}
		must(t, disk.Rename(filepath.Join(deep, "c"), filepath.Join(deep, "a")))
		must(t, disk.Remove(filepath.Join(deep, "b")))
		must(t, disk.SyncDir(deep))
		names, err := disk.List(deep)
		must(t, err)
		if !slices.Equal(names, []string{"a"}) {
			t.Fatalf("names = %q, want just a", names)
		}
		if got := content(t, disk, filepath.Join(deep, "a")); got != "c" {
			t.Fatalf("a holds %q, want what c held", got)
		}
		if names, err = disk.List(dir); err != nil || !slices.Equal(names, []string{"x"}) {
			t.Fatalf("a directory is listed as %q, %v", names, err)
		}
		if err := disk.MakeDir(filepath.Join(deep, "a", "z")); err == nil {
			t.Fatal("a directory was made inside a file")
		}
	})
}

func TestWhatDoesNotExistIsNotFound(t *testing.T) {
	everywhere(t, func(t *testing.T, disk vfs.FS, dir string) {
		missing := filepath.Join(dir, "missing")
		_, open := disk.Open(missing)
		_, create := disk.Create(filepath.Join(missing, "a"))
		_, list := disk.List(missing)
		_, lock := disk.Lock(missing)
		for what, err := range map[string]error{
			"open": open, "create": create, "list": list, "lock": lock,
			"remove": disk.Remove(missing), "rename": disk.Rename(missing, missing+"2"), "syncdir": disk.SyncDir(missing),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v, want not exist", what, err)
			}
		}
	})
}

func TestD13ADirectoryHasOneOwner(t *testing.T) {
	everywhere(t, func(t *testing.T, disk vfs.FS, dir string) {
		lock, err := disk.Lock(dir)
		must(t, err)
		_, err = disk.Lock(dir)
		var locked *vfs.LockedError
		if !errors.As(err, &locked) || locked.Dir != dir {
			t.Fatalf("second lock: %v", err)
		}
		must(t, lock.Close())
		lock, err = disk.Lock(dir)
		must(t, err)
		must(t, lock.Close())
	})
}

func TestTheSpaceThatIsLeftIsTold(t *testing.T) {
	everywhere(t, func(t *testing.T, disk vfs.FS, dir string) {
		free, total, err := disk.Space(dir)
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		must(t, err)
		if free < 0 || total < free || total == 0 {
			t.Errorf("%d of %d bytes are free", free, total)
		}
	})
}
