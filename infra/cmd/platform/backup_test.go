package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// dumping is a machine with a stack that has backups, whose Jobs succeed unless a test sets otherwise.
func dumping(t *testing.T) *machine {
	t.Helper()
	m := newMachine(t)
	m.write(filepath.Join(m.root, "Pulumi.mine.yaml"), "config:\n  shopstream:cluster: {context: minikube}\n  shopstream:mongo: {backup: {schedule: 30 2 * * *}}\n")
	m.set("cronjob", `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"x","namespace":"shop-data"},"spec":{"template":{"spec":{"containers":[{"name":"backup","image":"backup:1","args":["dump"]}]}}}}`)
	m.set("job", "SuccessCriteriaMet\nComplete\n")
	m.set("job-log", "1234 purchases dumped\n")
	return m
}

// created returns the arguments of the Job that was created.
func created(t *testing.T, m *machine) []string {
	t.Helper()
	var job struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Image string
						Args  []string
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(m.read("created")), &job); err != nil || len(job.Spec.Template.Spec.Containers) != 1 || job.Spec.Template.Spec.Containers[0].Image != "backup:1" {
		t.Fatalf("created %s: %v", m.read("created"), err)
	}
	return job.Spec.Template.Spec.Containers[0].Args
}

func TestBackupDumpsAndShowsTheLog(t *testing.T) {
	m := dumping(t)
	m.platform("backup", "STACK=mine").succeeds().says("1234 purchases dumped").did("-n shop-data create job mongodb-backup-", "--from=cronjob/mongodb-backup")
	if got := created(t, m); !slices.Equal(got, []string{"dump"}) {
		t.Errorf("its arguments are %q", got)
	}
}

func TestABackupThatFailsSaysWhy(t *testing.T) {
	m := dumping(t)
	m.set("job", "FailureTarget\nFailed\n")
	m.set("job-log", "no space left on device\n")
	m.platform("backup", "STACK=mine").fails().says("no space left on device", "has failed; its log says why")
	m.unset("cronjob")
	m.platform("backup", "STACK=mine").fails().says("which make up declares", "not found")
}

func TestWhatDumpsNothingIsNotBackedUp(t *testing.T) {
	m := dumping(t)
	for _, command := range []string{"backup", "restore"} {
		m.platform(command).fails().says("set mongo.backup.schedule").didNot("create job")
	}
}

// Ctrl-C doesn't stop the Job.
func TestABackupGoesOnWhenNobodyWaits(t *testing.T) {
	m := dumping(t)
	m.set("job", "")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	m.within(ctx, "backup", "STACK=mine").fails().says("which goes on: kubectl -n shop-data logs -f job/mongodb-backup-")
}

func TestRestoreListsTheDumpsFirst(t *testing.T) {
	m := dumping(t)
	m.platform("restore", "STACK=mine").succeeds().says("make restore STACK=mine BACKUP=name", "for a database other than shopping").did("--from=cronjob/mongodb-restore")
	if got := created(t, m); !slices.Equal(got, []string{"list"}) {
		t.Errorf("its arguments are %q", got)
	}
}

func TestRestoreInsertsOneDump(t *testing.T) {
	m := dumping(t)
	m.platform("restore", "STACK=mine", "BACKUP=purchases-20261125T023000Z").succeeds().did("--from=cronjob/mongodb-restore")
	if got := created(t, m); !slices.Equal(got, []string{"restore", "purchases-20261125T023000Z", "shopping"}) {
		t.Errorf("its arguments are %q", got)
	}
	m.platform("restore", "STACK=mine", "BACKUP=purchases-20261125T023000Z", "INTO=shopping_look").succeeds()
	if got := created(t, m); !slices.Equal(got, []string{"restore", "purchases-20261125T023000Z", "shopping_look"}) {
		t.Errorf("its arguments are %q", got)
	}
}

// In production somebody has to say yes.
func TestRestoreIntoProductionAsks(t *testing.T) {
	m := dumping(t)
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = stdin
	t.Cleanup(func() { os.Stdin = before })
	m.platform("restore", "STACK=prod", "BACKUP=purchases-20261125T023000Z").fails().says("set YES=1").didNot("create job")
	m.platform("restore", "STACK=prod").succeeds() // a list harms nobody
	m.platform("restore", "STACK=prod", "BACKUP=purchases-20261125T023000Z", "YES=1").succeeds().did("create job")
}

func TestStatusShowsWhenADumpSucceededLast(t *testing.T) {
	m := dumping(t)
	m.set("namespaces", "shop")
	m.set("pods", "shop api-1 Running true 0\n")
	last := time.Now().Add(-90 * time.Minute).UTC().Format(time.RFC3339)
	m.set("cronjobs", "mongodb-backup\t30 2 * * *\t"+last+"\nmongodb-drill\t30 4 * * 0\t\n")
	m.platform("status", "STACK=mine").succeeds().says("mongodb-backup  30 2 * * *  "+last+", 1h30m0s ago", "mongodb-drill   30 4 * * 0  NEVER")
}
