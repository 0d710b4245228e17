package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// stubs returns a folder with the real local, and with this test binary under the services'
// names. A stub behaves as the variable STUB_<name> says.
func stubs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Link(filepath.Join(built(t), "local"), filepath.Join(dir, "local")); err != nil {
		t.Fatal(err)
	}
	for _, name := range binaries(config{}) {
		if err := os.Link(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// stubbed returns the environment for the stubs. behaviour is name, mode, name, mode, …
func stubbed(behaviour ...string) map[string]string {
	env := map[string]string{"STUB": "1"}
	for i := 0; i < len(behaviour); i += 2 {
		env["STUB_"+behaviour[i]] = behaviour[i+1]
	}
	return env
}

// stub runs as a stub of a service.
func stub() int {
	name := filepath.Base(os.Args[0])
	mode := os.Getenv("STUB_" + name)
	if mode == "faulty" {
		fmt.Println("faulty setup")
		return 3
	}
	if name == "topics" {
		return 0
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		err := http.ListenAndServe(os.Getenv("HTTP_ADDR"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if mode == "unready" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			if strings.HasPrefix(r.URL.Path, "/exit/") {
				os.Exit(int(r.URL.Path[len("/exit/")] - '0'))
			}
		}))
		fmt.Println(err)
		os.Exit(1)
	}()
	<-stop
	if mode == "deaf" {
		fmt.Println("heard, and ignored")
		select {}
	}
	fmt.Print("drained, in a line without an end")
	return 0
}
