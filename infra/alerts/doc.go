// Package alerts tests the platform's alert rules with Prometheus's own engine. It is a module of its own, so that what
// Prometheus needs is no part of what the Pulumi program is built from; it reads the rules out of the golden manifests.
package alerts
