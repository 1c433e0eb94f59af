package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// patience is how long the evaluations of one question may take together: OPA itself has no bounds. Those that it doesn't
// suffice for have the error `timeout`.
const patience = 10 * time.Second

// question asks one query of one policy, about any number of inputs.
type question struct {
	// ID is given back with the answer.
	ID any `json:"id,omitempty"`
	// Modules by file name.
	Modules map[string]string `json:"modules"`
	// V0 says that modules and query are Rego v0.
	V0 bool `json:"v0,omitempty"`
	// Data under `data`, as JSON; null for none.
	Data json.RawMessage `json:"data,omitempty"`
	// Query such as "x = data.p.allow" or "data.p.allow".
	Query string `json:"query"`
	// Inputs as the text of JSON documents; "" for no input at all. None means one question without input.
	Inputs []string `json:"inputs,omitempty"`
	// Datas, where not empty, are documents to put in the place of Data, one for each input.
	Datas []json.RawMessage `json:"datas,omitempty"`
	// Strict makes errors of builtins errors of the query.
	Strict bool `json:"strict,omitempty"`
	// NowNs is what the clock says.
	NowNs int64 `json:"now_ns,omitempty"`
}

// reply answers a question.
type reply struct {
	ID any `json:"id,omitempty"`
	// Error says why the policy, the query or the data isn't one.
	Error *failure `json:"error,omitempty"`
	// Results has one for each input.
	Results []result `json:"results,omitempty"`
}

// result is what the query gives for one input.
type result struct {
	Error *failure `json:"error,omitempty"`
	// Swallowed is the first error of a builtin that was taken for undefined: in strict mode the query would have failed
	// with it, whatever else it gave.
	Swallowed *failure `json:"swallowed,omitempty"`
	// Solutions, each with the values of the query's variables in Rego's own notation, so that sets stay sets and numbers
	// keep their text. A query without variables has the value of its only expression under "".
	Solutions []map[string]string `json:"solutions,omitempty"`
}

// failure is an error with OPA's code for it.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func answer(in io.Reader, out *bufio.Writer) error {
	lines := bufio.NewReaderSize(in, 1<<20)
	replies := json.NewEncoder(out)
	replies.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := replies.Encode(replyTo(line)); err != nil {
				return err
			}
			// Who asks line by line waits for this.
			if lines.Buffered() == 0 {
				if err := out.Flush(); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func replyTo(line []byte) reply {
	var q question
	if err := json.Unmarshal(line, &q); err != nil {
		return reply{Error: &failure{Code: "question", Message: err.Error()}}
	}
	results, err := q.results()
	return reply{ID: q.ID, Error: asFailure(err), Results: results}
}

func (q *question) results() ([]result, error) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	store, err := newStore(q.Data)
	if err != nil {
		return nil, err
	}
	compiler, err := q.compile(ctx, store)
	if err != nil {
		return nil, err
	}
	body, err := ast.ParseBodyWithOpts(q.Query, q.parserOptions())
	if err != nil {
		return nil, err
	}
	// A query that is one term asks for the term's value.
	value := ast.Var("")
	if term, ok := body[0].Terms.(*ast.Term); ok && len(body) == 1 && len(body[0].With) == 0 && !body[0].Negated {
		value = ast.Var("__value__")
		body = ast.NewBody(ast.Equality.Expr(ast.NewTerm(value), term))
	}
	// Whatever the compiler makes of the query, these are the variables that were asked for.
	asked := ast.NewVarSet()
	for v := range body.Vars(ast.VarVisitorParams{SkipRefCallHead: true, SkipClosures: true}) {
		if !v.IsWildcard() && !ast.RootDocumentNames.Contains(ast.NewTerm(v)) {
			asked.Add(v)
		}
	}
	compiled, err := compiler.QueryCompiler().Compile(body)
	if err != nil {
		return nil, err
	}

	inputs := q.Inputs
	if len(inputs) == 0 {
		inputs = []string{""}
	}
	results := make([]result, 0, len(inputs))
	stores := map[string]storage.Store{}
	for i, input := range inputs {
		if i < len(q.Datas) {
			data := string(q.Datas[i])
			if stores[data] == nil {
				if stores[data], err = newStore(q.Datas[i]); err != nil {
					return nil, err
				}
			}
			store = stores[data]
		}
		results = append(results, q.result(ctx, compiler, store, compiled, value, asked, input))
	}
	return results, nil
}

func (q *question) compile(ctx context.Context, store storage.Store) (*ast.Compiler, error) {
	modules := map[string]*ast.Module{}
	for _, name := range slices.Sorted(maps.Keys(q.Modules)) {
		options := q.parserOptions()
		options.ProcessAnnotation = true
		module, err := ast.ParseModuleWithOpts(name, q.Modules[name], options)
		if err != nil {
			return nil, err
		}
		modules[name] = module
	}
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, err
	}
	defer store.Abort(ctx, txn)
	compiler := ast.NewCompiler().WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

func (q *question) parserOptions() ast.ParserOptions {
	version := ast.RegoV1
	if q.V0 {
		version = ast.RegoV0
	}
	return ast.ParserOptions{RegoVersion: version}
}

func (q *question) result(
	ctx context.Context, compiler *ast.Compiler, store storage.Store, query ast.Body, value ast.Var, asked ast.VarSet, input string,
) result {
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return result{Error: asFailure(err)}
	}
	defer store.Abort(ctx, txn)
	cancel := topdown.NewCancel()
	defer context.AfterFunc(ctx, cancel.Cancel)()
	var swallowed []topdown.Error
	run := topdown.NewQuery(query).
		WithCompiler(compiler).
		WithStore(store).
		WithTransaction(txn).
		WithCancel(cancel).
		WithStrictBuiltinErrors(q.Strict).
		WithBuiltinErrorList(&swallowed)
	if q.NowNs != 0 {
		run = run.WithTime(time.Unix(0, q.NowNs))
	}
	if input != "" {
		var parsed any
		if err := util.UnmarshalJSON([]byte(input), &parsed); err != nil {
			return result{Error: &failure{Code: "input", Message: err.Error()}}
		}
		term, err := ast.InterfaceToValue(parsed)
		if err != nil {
			return result{Error: &failure{Code: "input", Message: err.Error()}}
		}
		run = run.WithInput(ast.NewTerm(term))
	}
	solutions, err := run.Run(ctx)
	if ctx.Err() != nil {
		return result{Error: &failure{Code: "timeout", Message: "not evaluated in " + patience.String()}}
	}
	answer := result{Error: asFailure(err)}
	if len(swallowed) > 0 {
		answer.Swallowed = asFailure(&swallowed[0])
	}
	if err != nil {
		return answer
	}
	for _, solution := range solutions {
		values := map[string]string{}
		for v, term := range solution {
			switch {
			case value != "" && v == value:
				values[""] = term.Value.String()
			case asked.Contains(v):
				values[string(v)] = term.Value.String()
			}
		}
		answer.Solutions = append(answer.Solutions, values)
	}
	return answer
}

func newStore(data json.RawMessage) (storage.Store, error) {
	document := map[string]any{}
	if len(data) > 0 && string(data) != "null" {
		if err := util.UnmarshalJSON(data, &document); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	return inmem.NewFromObjectWithOpts(document, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true)), nil
}

// asFailure keeps the code of the first of OPA's errors.
func asFailure(err error) *failure {
	if err == nil {
		return nil
	}
	code := "other"
	var many ast.Errors
	var one *ast.Error
	var evaluating *topdown.Error
	switch {
	case errors.As(err, &many) && len(many) > 0:
		code = many[0].Code
	case errors.As(err, &one):
		code = one.Code
	case errors.As(err, &evaluating):
		code = evaluating.Code
	}
	return &failure{Code: code, Message: err.Error()}
}
