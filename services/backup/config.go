package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"shopstream/services/internal/envconf"
	"shopstream/services/internal/mongox"
	"shopstream/services/internal/telemetry"
)

type config struct {
	Log   telemetry.Config
	Mongo mongox.Config
	S3    s3Config

	Folder  string        `env:"BACKUP_FOLDER" doc:"Folder of the dumps. Set this or S3_BUCKET."`
	Keep    int           `env:"BACKUP_KEEP" envDefault:"14" doc:"How many dumps to keep; older ones are deleted after a dump that succeeded."`
	Scratch string        `env:"SCRATCH_DATABASE" envDefault:"shopping_drill" doc:"Database that a drill restores into. Its collection is dropped before and after."`
	Timeout time.Duration `env:"TIMEOUT" envDefault:"3h" doc:"How long a dump, a drill or a restore may take."`
}

type s3Config struct {
	Endpoint  string         `env:"S3_ENDPOINT" envDefault:"https://s3.amazonaws.com" doc:"Address of the object store, https://host or http://host:port."`
	Bucket    string         `env:"S3_BUCKET" doc:"Bucket of the dumps, which must exist."`
	Region    string         `env:"S3_REGION" doc:"Region of the bucket; if empty, the object store is asked for it."`
	Prefix    string         `env:"S3_PREFIX" doc:"Prefix of the dumps' names, such as shop/."`
	AccessKey envconf.Secret `env:"S3_ACCESS_KEY" doc:"Access key of the object store."`
	SecretKey envconf.Secret `env:"S3_SECRET_KEY" doc:"Secret key of the object store."`
}

// Validate implements envconf.Validator.
func (c config) Validate() error {
	var faults []error
	if (c.Folder == "") == (c.S3.Bucket == "") {
		faults = append(faults, errors.New("no place for the dumps, or two: set either BACKUP_FOLDER or S3_BUCKET"))
	}
	if c.Keep < 1 {
		faults = append(faults, fmt.Errorf("BACKUP_KEEP must be 1 or more, not %d", c.Keep))
	}
	if c.Scratch == "" || c.Scratch == c.Mongo.Database {
		faults = append(faults, fmt.Errorf("SCRATCH_DATABASE must be another database than MONGO_DATABASE, not %q: a drill drops its purchases", c.Scratch))
	}
	if c.Timeout <= 0 {
		faults = append(faults, errors.New("TIMEOUT must be greater than 0"))
	}
	return errors.Join(faults...)
}

// Validate implements envconf.Validator.
func (c s3Config) Validate() error {
	if c.Bucket == "" {
		return nil
	}
	var faults []error
	if u, err := url.Parse(c.Endpoint); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || (u.Path != "" && u.Path != "/") {
		faults = append(faults, fmt.Errorf("S3_ENDPOINT must be like https://s3.amazonaws.com, not %q", c.Endpoint))
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		faults = append(faults, errors.New("S3_ACCESS_KEY and S3_SECRET_KEY are required with S3_BUCKET"))
	}
	return errors.Join(faults...)
}
