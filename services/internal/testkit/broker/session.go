package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// forgetSilentMembers removes from the saved state the groups with members that have
// been silent for longer than their session: everyone joins those anew. kfake would
// drop the members only, and leave them their partitions, which nobody else then gets.
func forgetSilentMembers(dataDir string, session time.Duration, now time.Time) error {
	file := filepath.Join(dataDir, "session_state.json")
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the saved groups: %w", err)
	}
	var state map[string]json.RawMessage
	var groups map[string]json.RawMessage
	if json.Unmarshal(data, &state) != nil || json.Unmarshal(state["consumerGroups"], &groups) != nil {
		return nil // there are none, or kfake says what is wrong
	}
	for name, saved := range groups {
		var group struct {
			Members []struct {
				LastHeartbeat time.Time `json:"lastHeartbeat"`
			} `json:"members"`
		}
		if err := json.Unmarshal(saved, &group); err != nil {
			return fmt.Errorf("reading the saved group %q: %w", name, err)
		}
		for _, m := range group.Members {
			if now.Sub(m.LastHeartbeat) > session/2 { // before kfake looks again, a little later
				delete(groups, name)
			}
		}
	}
	if state["consumerGroups"], err = json.Marshal(groups); err != nil {
		return fmt.Errorf("encoding the saved groups: %w", err)
	}
	if data, err = json.Marshal(state); err != nil {
		return fmt.Errorf("encoding the saved state: %w", err)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("writing the saved groups: %w", err)
	}
	return nil
}
