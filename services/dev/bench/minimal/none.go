//go:build !database

package main

func openDatabase() error { return nil }
