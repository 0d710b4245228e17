package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// folder is the data folder, locked by this process.
type folder struct {
	path string
	lock *os.File
}

// openFolder creates the data folder if needed and locks it. The kernel holds the lock and
// releases it when the process ends, so a crash leaves nothing to clean up.
func openFolder(path string) (*folder, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("resolving DATA_DIR %q: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return nil, fmt.Errorf("making the data folder (choose another with DATA_DIR): %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(abs, "local.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder (choose another with DATA_DIR): %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			holder, _ := io.ReadAll(lock)
			return nil, fmt.Errorf("another run%s uses the data folder %s: stop it, or choose another folder with DATA_DIR", process(holder), abs)
		}
		return nil, fmt.Errorf("locking the data folder %s: %w", abs, err)
	}
	f := &folder{path: abs, lock: lock}
	if err := f.sign(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// sign writes who holds the lock, for the error message of a second run.
func (f *folder) sign() error {
	if err := f.lock.Truncate(0); err != nil {
		return fmt.Errorf("writing to the data folder: %w", err)
	}
	if _, err := f.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("writing to the data folder: %w", err)
	}
	return nil
}

// sub returns a folder inside, after checking that it can be read and written: the broker
// and the database would find out late, with an error that names neither.
func (f *folder) sub(name string) (string, error) {
	path := filepath.Join(f.path, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", fmt.Errorf("making the data folder (choose another with DATA_DIR): %w", err)
	}
	if _, err := os.ReadDir(path); err != nil {
		return "", fmt.Errorf("reading the data folder (choose another with DATA_DIR): %w", err)
	}
	probe, err := os.CreateTemp(path, ".probe-*")
	if err != nil {
		return "", fmt.Errorf("writing to the data folder (choose another with DATA_DIR): %w", err)
	}
	return path, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func (f *folder) close() {
	// The file stays: if it were removed, two runs could lock two files.
	_ = f.lock.Close()
}

func process(signature []byte) string {
	if pid := strings.TrimSpace(string(signature)); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
