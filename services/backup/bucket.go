package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// partSize is how many bytes are held in memory for an upload. The object store accepts
// at most 10,000 parts, which limits a dump to 80 GB.
const partSize = 8 << 20

// bucket is a store in an S3-compatible object store. An object appears once all its
// parts have been uploaded.
type bucket struct {
	client *minio.Client
	cfg    s3Config
}

// newBucket connects through a transport; nil stands for the default one.
func newBucket(cfg s3Config, transport http.RoundTripper) (*bucket, error) {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("reading S3_ENDPOINT: %w", err)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(cfg.AccessKey.Reveal(), cfg.SecretKey.Reveal(), ""),
		Secure: endpoint.Scheme == "https",
		Region: cfg.Region, Transport: transport,
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the object store: %w", err)
	}
	return &bucket{client: client, cfg: cfg}, nil
}

func (b *bucket) put(ctx context.Context, name string, write func(io.Writer) error) error {
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := write(writer)
		writer.CloseWithError(err)
		done <- err
	}()
	_, err := b.client.PutObject(ctx, b.cfg.Bucket, b.cfg.Prefix+name, reader, -1, minio.PutObjectOptions{
		PartSize: partSize, NumThreads: 1,
		SendContentMd5: true, // supported by every store, unlike checksums in trailers
	})
	reader.CloseWithError(err) // so that write ends if the store refuses the upload
	if failed := <-done; failed != nil && err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("writing %s to the bucket %q: %w", name, b.cfg.Bucket, err)
	}
	return nil
}

func (b *bucket) get(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := b.client.GetObject(ctx, b.cfg.Bucket, b.cfg.Prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("opening a dump in the bucket %q: %w", b.cfg.Bucket, err)
	}
	if _, err := object.Stat(); err != nil { // nothing was requested before
		if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
			err = fs.ErrNotExist
		}
		return nil, errors.Join(fmt.Errorf("opening %s in the bucket %q: %w", name, b.cfg.Bucket, err), object.Close())
	}
	return object, nil
}

func (b *bucket) names(ctx context.Context) ([]string, error) {
	var names []string
	for object := range b.client.ListObjects(ctx, b.cfg.Bucket, minio.ListObjectsOptions{Prefix: b.cfg.Prefix}) {
		if object.Err != nil {
			return nil, fmt.Errorf("listing the bucket %q: %w", b.cfg.Bucket, object.Err)
		}
		names = append(names, strings.TrimPrefix(object.Key, b.cfg.Prefix))
	}
	return names, nil
}

func (b *bucket) remove(ctx context.Context, name string) error {
	if err := b.client.RemoveObject(ctx, b.cfg.Bucket, b.cfg.Prefix+name, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("deleting a dump in the bucket %q: %w", b.cfg.Bucket, err)
	}
	return nil
}
