package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/test/cases"
)

const module = "github.com/open-policy-agent/opa"

// conformanceCase is one of OPA's, with where it comes from.
type conformanceCase struct {
	// Rego is "v0" or "v1".
	Rego string `json:"rego"`
	// Folder is the topic, such as "withkeyword".
	Folder string `json:"folder"`
	// Case is as OPA's loader gives it.
	Case cases.TestCase `json:"case"`
}

// writeCases loads the cases of the OPA version in go.mod with OPA's own loader.
func writeCases(out io.Writer) error {
	folder, err := casesFolder()
	if err != nil {
		return err
	}
	lines := json.NewEncoder(out)
	for _, rego := range []string{"v0", "v1"} {
		root := filepath.Join(folder, rego)
		set, err := cases.Load(root)
		if err != nil {
			return fmt.Errorf("loading %s: %w", root, err)
		}
		for _, c := range set.Sorted().Cases {
			path, err := filepath.Rel(root, c.Filename)
			if err != nil {
				return err
			}
			topic, _, _ := strings.Cut(filepath.ToSlash(path), "/")
			if err := lines.Encode(conformanceCase{Rego: rego, Folder: topic, Case: c}); err != nil {
				return err
			}
		}
	}
	return nil
}

// casesFolder finds the cases in the module's source, which the Go command has downloaded to build this program.
// OPA_CASES names them where the program runs without the Go command.
func casesFolder() (string, error) {
	if folder := os.Getenv("OPA_CASES"); folder != "" {
		return folder, nil
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("finding the source of %s (run this in the folder of its go.mod, or set OPA_CASES): %w", module, err)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "v1", "test", "cases", "testdata"), nil
}
