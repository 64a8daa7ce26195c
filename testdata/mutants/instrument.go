package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one return statement that can be deleted.
type mutant struct {
	n    int
	pkg  string // its import path
	file string // relative to the module
	line int
	name string // file, function and text, and a number where that occurs again
}

func (m mutant) String() string { return fmt.Sprintf("%s:%d %s", m.file, m.line, m.name) }

// inSample chooses by the name, so that a line moved is no other mutant.
func (m mutant) inSample(of uint32) bool {
	h := fnv.New32a()
	io.WriteString(h, m.name)
	return h.Sum32()%of == 0
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	DepOnly                 bool
	Module                  *struct{ Dir string }
}

// list asks for the packages named and all that they import.
func list(patterns []string) (packages []*listed, exports map[string]string, err error) {
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,DepOnly,Module"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("go list: %w", err)
	}
	exports = map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		switch err := dec.Decode(p); {
		case errors.Is(err, io.EOF):
			return packages, exports, nil
		case err != nil:
			return nil, nil, fmt.Errorf("go list: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			packages = append(packages, p)
		}
	}
}

// instrumentation is the source of several packages, rewritten so that any one
// return of a refusal can be deleted when the program runs.
type instrumentation struct {
	fset    *token.FileSet
	exports map[string]string
	mutants []mutant
	names   map[string]int
	replace map[string]string // the overlay: file -> the file to read instead
	dir     string            // where those are written
}

func newInstrumentation(exports map[string]string, dir string) *instrumentation {
	return &instrumentation{fset: token.NewFileSet(), exports: exports, names: map[string]int{},
		replace: map[string]string{}, dir: dir}
}

// rewrite takes one package. Nothing is written beside its files.
func (in *instrumentation) rewrite(p *listed) error {
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(in.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	conf := types.Config{Importer: importer.ForCompiler(in.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(in.exports[path])
	})}
	if _, err := conf.Check(p.ImportPath, in.fset, files, info); err != nil {
		return err
	}
	for _, f := range files {
		path := in.fset.Position(f.Package).Filename
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		r := rewriter{instrumentation: in, pkg: p, info: info, source: source, base: in.fset.File(f.Package).Base()}
		ast.Walk(&function{rewriter: &r, name: "init"}, f)
		if len(r.edits) == 0 {
			continue
		}
		r.insert(f.Name.End(), `; import mutants__ "vouch/testdata/mutants/active"`)
		to := filepath.Join(in.dir, fmt.Sprintf("%d.go", len(in.replace)))
		if err := os.WriteFile(to, r.apply(), 0o600); err != nil {
			return err
		}
		in.replace[path] = to
	}
	return nil
}

// overlay writes the file that `go test -overlay` reads.
func (in *instrumentation) overlay() (string, error) {
	data, err := json.Marshal(map[string]any{"Replace": in.replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(in.dir, "overlay.json")
	return path, os.WriteFile(path, data, 0o600)
}

// rewriter gathers the insertions into one file. None has a line end, so that
// lines keep their numbers.
type rewriter struct {
	*instrumentation
	pkg    *listed
	info   *types.Info
	source []byte
	base   int
	edits  []edit
}

type edit struct {
	at   int
	text string
}

func (r *rewriter) insert(at token.Pos, text string) {
	r.edits = append(r.edits, edit{int(at) - r.base, text})
}

func (r *rewriter) apply() []byte {
	slices.SortStableFunc(r.edits, func(a, b edit) int { return cmp.Compare(a.at, b.at) })
	var out []byte
	from := 0
	for _, e := range r.edits {
		out = append(append(out, r.source[from:e.at]...), e.text...)
		from = e.at
	}
	return append(out, r.source[from:]...)
}

// function visits the statements of one function.
type function struct {
	*rewriter
	name    string
	results *ast.FieldList
	body    *ast.BlockStmt
	mutable bool // it has a mutant
}

func (f *function) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Body != nil {
			f.enter(n.Name.Name, n.Type, n.Body)
		}
		return nil
	case *ast.FuncLit:
		f.enter(f.name, n.Type, n.Body)
		return nil
	case *ast.ReturnStmt:
		f.take(n)
	}
	return f
}

// enter rewrites a function. Where its last return can be missing it has to
// end in another one, and for that its results need names.
func (f *function) enter(name string, t *ast.FuncType, body *ast.BlockStmt) {
	inner := &function{rewriter: f.rewriter, name: name, results: t.Results, body: body}
	ast.Walk(inner, body)
	if !inner.mutable {
		return
	}
	var addresses []string
	unnamed := len(t.Results.List[0].Names) == 0
	if unnamed && !t.Results.Opening.IsValid() {
		f.insert(t.Results.Pos(), "(")
		defer f.insert(t.Results.End(), ")")
	}
	for i, field := range t.Results.List {
		if unnamed {
			f.insert(field.Pos(), fmt.Sprintf("result%d__ ", i))
			addresses = append(addresses, fmt.Sprintf("&result%d__", i))
		}
		for _, name := range field.Names {
			addresses = append(addresses, "&"+name.Name)
		}
	}
	f.insert(body.Rbrace, "; mutants__.Zero("+strings.Join(addresses, ", ")+"); return ")
}

// take makes a mutant of a return if it refuses something.
func (f *function) take(s *ast.ReturnStmt) {
	if !f.refuses(s) {
		return
	}
	f.mutable = true
	n := len(f.mutants)
	position := f.fset.Position(s.Pos())
	file, err := filepath.Rel(f.pkg.Module.Dir, position.Filename)
	if err != nil {
		file = position.Filename
	}
	text := strings.Join(strings.Fields(string(f.source[int(s.Pos())-f.base:int(s.End())-f.base])), " ")
	name := fmt.Sprintf("%s %s: %s", filepath.Base(file), f.name, text)
	name = filepath.Base(f.pkg.ImportPath) + "/" + name
	if f.names[name]++; f.names[name] > 1 {
		name += fmt.Sprintf(" #%d", f.names[name])
	}
	f.mutants = append(f.mutants, mutant{n: n, pkg: f.pkg.ImportPath, file: file, line: position.Line, name: name})
	f.insert(s.Pos(), fmt.Sprintf("if mutants__.Kept(%d) { ", n))
	f.insert(s.End(), " }")
}

var errorType = types.Universe.Lookup("error").Type().Underlying().(*types.Interface)

// refuses says whether a return gives an error or another refusal: an error
// that is not literally nil; something that carries one; false or true as such;
// or a text, in a function that ends in returning none.
func (f *function) refuses(s *ast.ReturnStmt) bool {
	if len(s.Results) == 0 {
		return false
	}
	last := s.Results[len(s.Results)-1]
	final := f.body.List[len(f.body.List)-1]
	value := f.info.Types[last]
	switch t := f.lastResult(); {
	case value.IsNil():
		return false
	case carriesError(t):
		return true
	case types.Identical(t, types.Typ[types.Bool]):
		text := types.ExprString(last)
		return text == "true" || text == "false" && s != final
	case types.Identical(t, types.Typ[types.String]):
		end, ok := final.(*ast.ReturnStmt)
		return ok && len(end.Results) == 1 && types.ExprString(end.Results[0]) == `""` && types.ExprString(last) != `""`
	}
	return false
}

func (f *function) lastResult() types.Type {
	return f.info.Types[f.results.List[len(f.results.List)-1].Type].Type
}

// carriesError: the type is an error, or a structure with one in it.
func carriesError(t types.Type) bool {
	if types.Implements(t, errorType) {
		return true
	}
	if p, ok := t.Underlying().(*types.Pointer); ok {
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for v := range s.Fields() {
		if types.Implements(v.Type(), errorType) {
			return true
		}
	}
	return false
}
