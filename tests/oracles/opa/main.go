// Command opa answers for OPA: it is what every answer of the engine is held against.
//
//	opa cases            writes OPA's own conformance cases, one JSON object a line
//	opa eval             reads questions from stdin, one JSON object a line, and writes an answer for each
//
// Nothing of OPA is changed: its compiler and its evaluator (topdown) run as its own server runs them.
package main

import (
	"bufio"
	"fmt"
	"os"
)

func main() {
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "cases":
		err = writeCases(out)
	case len(os.Args) == 2 && os.Args[1] == "eval":
		err = answer(os.Stdin, out)
	default:
		err = fmt.Errorf("usage: %s cases | eval", os.Args[0])
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "opa oracle:", err)
		os.Exit(1)
	}
}
