//go:build !database

package main

func openDatabase(string) error { return nil }
