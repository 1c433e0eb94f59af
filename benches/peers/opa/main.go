// Command opa is OPA as a contestant: its library, in process, with a prepared query.
//
//	opa parsed|json FOLDER    loads policy.rego, data.json and inputs.jsonl, then answers orders from stdin, a line each
//	opa patterns              says of each pattern in the JSON array on stdin why it isn't one, or null
//
// The words on the pipe are those of src/child.rs.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"
)

const entrypoint = "data.meshguard.decision"

type order struct {
	Do        string `json:"do"`
	Decisions int    `json:"decisions"`
}

type report struct {
	Error           string   `json:"error,omitempty"`
	FirstDecisionNs int64    `json:"first_decision_ns,omitempty"`
	Effects         []string `json:"effects,omitempty"`
	Ns              int64    `json:"ns,omitempty"`
	LatenciesNs     []int64  `json:"latencies_ns,omitempty"`
}

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "patterns":
		err = patterns(os.Stdin, os.Stdout)
	case len(os.Args) == 3 && (os.Args[1] == "parsed" || os.Args[1] == "json"):
		err = serve(os.Args[1], os.Args[2], os.Stdin, os.Stdout)
	default:
		err = fmt.Errorf("usage: %s parsed|json FOLDER | patterns", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "opa peer:", err)
		os.Exit(1)
	}
}

func patterns(in io.Reader, out io.Writer) error {
	var texts []string
	if err := json.NewDecoder(in).Decode(&texts); err != nil {
		return err
	}
	refused := make([]*string, len(texts))
	for i, text := range texts {
		if _, err := regexp.Compile(text); err != nil {
			why := err.Error()
			refused[i] = &why
		}
	}
	return json.NewEncoder(out).Encode(refused)
}

func serve(way, folder string, in io.Reader, out io.Writer) error {
	replies := json.NewEncoder(out)
	p, err := load(way, folder)
	if err != nil {
		return replies.Encode(report{Error: err.Error()})
	}
	if err := replies.Encode(report{FirstDecisionNs: p.first.Nanoseconds()}); err != nil {
		return err
	}
	orders := json.NewDecoder(in)
	for {
		var o order
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r, err := p.follow(o)
		if err != nil {
			r = report{Error: err.Error()}
		}
		if err := replies.Encode(r); err != nil {
			return err
		}
	}
}

// peer is a prepared query with its inputs.
type peer struct {
	query rego.PreparedEvalQuery
	texts [][]byte
	// parsed has the inputs as values, unless they are to be read each time.
	parsed []ast.Value
	first  time.Duration
}

func load(way, folder string) (*peer, error) {
	policy, err := os.ReadFile(filepath.Join(folder, "policy.rego"))
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(folder, "data.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	inputs, err := os.ReadFile(filepath.Join(folder, "inputs.jsonl"))
	if err != nil {
		return nil, err
	}
	p := &peer{texts: bytes.Split(inputs, []byte("\n"))}
	if way == "parsed" {
		for _, text := range p.texts {
			value, err := read(text)
			if err != nil {
				return nil, err
			}
			p.parsed = append(p.parsed, value)
		}
	}
	started := time.Now()
	if p.query, err = prepare(policy, data); err != nil {
		return nil, err
	}
	if _, err := p.decide(0); err != nil {
		return nil, err
	}
	p.first = time.Since(started)
	return p, nil
}

func prepare(policy, data []byte) (rego.PreparedEvalQuery, error) {
	options := []func(*rego.Rego){rego.Query(entrypoint), rego.Module("policy.rego", string(policy))}
	if len(data) > 0 {
		document := map[string]any{}
		if err := util.UnmarshalJSON(data, &document); err != nil {
			return rego.PreparedEvalQuery{}, err
		}
		// As OPA's own server keeps it.
		store := inmem.NewFromObjectWithOpts(document, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
		options = append(options, rego.Store(store))
	}
	return rego.New(options...).PrepareForEval(context.Background())
}

// read makes an input of its text, as OPA's own server does.
func read(text []byte) (ast.Value, error) {
	var document any
	if err := util.UnmarshalJSON(text, &document); err != nil {
		return nil, err
	}
	return ast.InterfaceToValue(document)
}

// decide gives the decision, as JSON if the input was.
func (p *peer) decide(i int) (any, error) {
	var input ast.Value
	var err error
	if p.parsed != nil {
		input = p.parsed[i]
	} else if input, err = read(p.texts[i]); err != nil {
		return nil, err
	}
	results, err := p.query.Eval(context.Background(), rego.EvalParsedInput(input))
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return nil, errors.New("no decision")
	}
	value := results[0].Expressions[0].Value
	if p.parsed != nil {
		return value, nil
	}
	return json.Marshal(value)
}

func (p *peer) follow(o order) (report, error) {
	switch o.Do {
	case "effects":
		return p.effects()
	case "run":
		started := time.Now()
		for i := range o.Decisions {
			if _, err := p.decide(i % len(p.texts)); err != nil {
				return report{}, err
			}
		}
		return report{Ns: time.Since(started).Nanoseconds()}, nil
	case "each":
		latencies := make([]int64, o.Decisions)
		for i := range latencies {
			started := time.Now()
			if _, err := p.decide(i % len(p.texts)); err != nil {
				return report{}, err
			}
			latencies[i] = time.Since(started).Nanoseconds()
		}
		return report{LatenciesNs: latencies}, nil
	}
	return report{}, fmt.Errorf("no order %q", o.Do)
}

func (p *peer) effects() (report, error) {
	var r report
	for i := range p.texts {
		decision, err := p.decide(i)
		if err != nil {
			return r, err
		}
		if text, ok := decision.([]byte); ok {
			if err := json.Unmarshal(text, &decision); err != nil {
				return r, err
			}
		}
		effect, ok := decision.(string)
		if !ok {
			return r, fmt.Errorf("%v is no effect", decision)
		}
		r.Effects = append(r.Effects, effect)
	}
	return r, nil
}
