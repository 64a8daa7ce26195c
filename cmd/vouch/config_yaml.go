package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The configuration is read through its syntax tree rather than by reflection
// into structs: every value knows its line and column, text stays text, and
// nothing is converted silently. A misspelt key must never switch a check off.

// configError is one thing that is wrong with a configuration file.
type configError struct {
	File         string
	Line, Column int // 0: the file as a whole
	What         string
	Fix          string
}

func (e *configError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	s += ": " + e.What
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// configErrors is everything that is wrong, in the order of the files. Exit 2.
type configErrors []*configError

func (e configErrors) Error() string {
	texts := make([]string, len(e))
	for i, c := range e {
		texts[i] = c.Error()
	}
	return strings.Join(texts, "\n")
}

// document is one file while it is read.
type document struct {
	file  string
	errs  configErrors
	paths []namedPath
}

// namedPath is a path that a file of the configuration names.
type namedPath struct{ path, by string }

func (d *document) failAt(t *token.Token, what, fix string) {
	e := &configError{File: d.file, What: what, Fix: fix}
	if t != nil && t.Position != nil {
		e.Line, e.Column = t.Position.Line, t.Position.Column
	}
	d.errs = append(d.errs, e)
}

// maxConfig bounds a configuration file; an honest one is a few kilobytes.
const maxConfig = 4 << 20

// readYAML reads a file and gives its only document to read. What is wrong is
// in the document's errors; the error is about the file itself.
func readYAML(file string, read func(node)) (*document, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d := &document{file: file}
	root, ok := d.parse(raw)
	if ok && root != nil {
		read(node{d, root})
	}
	return d, nil
}

// parse returns the root of the only document; nil when the file is empty.
func (d *document) parse(raw []byte) (root ast.Node, ok bool) {
	defer func() {
		if p := recover(); p != nil { // the YAML parser's own
			d.failAt(nil, "not YAML", "")
			root, ok = nil, false
		}
	}()
	switch {
	case len(raw) > maxConfig:
		d.failAt(nil, "larger than 4 MiB", "")
		return nil, false
	case !utf8.Valid(raw):
		d.failAt(nil, "not UTF-8 text", "")
		return nil, false
	}
	f, err := parser.ParseBytes(raw, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.syntax(err)
		return nil, false
	}
	return d.only(f)
}

func (d *document) syntax(err error) {
	var e yaml.Error
	if errors.As(err, &e) {
		d.failAt(e.GetToken(), e.GetMessage(), "")
		return
	}
	d.failAt(nil, err.Error(), "")
}

func (d *document) only(f *ast.File) (ast.Node, bool) {
	var docs []*ast.DocumentNode
	for _, doc := range f.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			docs = append(docs, doc)
		}
	}
	switch {
	case len(docs) == 0:
		return nil, true
	case len(docs) > 1:
		d.failAt(node{d, docs[1].Body}.start(), "a second YAML document", "one file holds one document")
		return nil, false
	}
	return docs[0].Body, true
}

// node is one value, with the file it stands in.
type node struct {
	doc *document
	ast ast.Node
}

// fields says what each key of a mapping means.
type fields map[string]func(node)

func (n node) fail(what, fix string) { n.doc.failAt(n.start(), what, fix) }

// start is the first token of the value: of a mapping, its first key.
func (n node) start() *token.Token {
	if pairs, ok := n.pairs(); ok && len(pairs) > 0 {
		return pairs[0].Key.GetToken()
	}
	return n.ast.GetToken()
}

func (n node) pairs() ([]*ast.MappingValueNode, bool) {
	switch m := n.ast.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// has says whether a mapping has a key.
func (n node) has(key string) bool {
	pairs, _ := n.pairs()
	return slices.ContainsFunc(pairs, func(p *ast.MappingValueNode) bool {
		k, ok := p.Key.(*ast.StringNode)
		return ok && k.Value == key
	})
}

// need reports the keys that a mapping must have and has not.
func (n node) need(keys ...string) {
	if _, ok := n.pairs(); !ok {
		return // another type altogether, and reported as such
	}
	for _, k := range keys {
		if !n.has(k) {
			n.fail("missing key "+k, "")
		}
	}
}

// want reports a value of another type than the one asked for.
func (n node) want(what string) {
	have, fix := "a "+strings.ToLower(n.ast.Type().String()), ""
	switch n.ast.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		have = "a mapping"
	case *ast.SequenceNode:
		have = "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		have = "a number"
	case *ast.BoolNode:
		have = "true or false"
	case *ast.NullNode:
		have = "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		have = "text"
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode:
		have, fix = "an anchor, alias or tag", "write the value itself"
	}
	if strings.HasSuffix(what, "text") && (have == "a number" || have == "true or false") {
		fix = "put it in quotes"
	}
	n.fail("want "+what+", have "+have, fix)
}

// object reads a mapping with exactly these keys.
func (n node) object(f fields) {
	known := make([]string, 0, len(f))
	for k := range f {
		known = append(known, k)
	}
	slices.Sort(known)
	n.entries(func(key string, at *token.Token, value node) {
		read, ok := f[key]
		if !ok {
			n.doc.failAt(at, "unknown key "+quoted(key), keyHint(key, known))
			return
		}
		read(value)
	})
}

func keyHint(key string, known []string) string {
	if near := nearest(key, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// entries visits a mapping, key by key, and refuses a key that comes twice.
func (n node) entries(visit func(key string, at *token.Token, value node)) {
	pairs, ok := n.pairs()
	if !ok {
		n.want("a mapping")
		return
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key, ok := p.Key.(*ast.StringNode)
		if !ok {
			n.doc.failAt(p.Key.GetToken(), "a key must be text", "")
			continue
		}
		if seen[key.Value] {
			n.doc.failAt(key.Token, "key "+quoted(key.Value)+" comes twice", "")
			continue
		}
		seen[key.Value] = true
		visit(key.Value, key.Token, node{n.doc, p.Value})
	}
}

// list visits the items of a list.
func (n node) list(visit func(node)) {
	s, ok := n.ast.(*ast.SequenceNode)
	if !ok {
		n.want("a list")
		return
	}
	for _, v := range s.Values {
		visit(node{n.doc, v})
	}
}

// text is the value as text; numbers are not.
func (n node) text() (string, bool) {
	switch v := n.ast.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	}
	n.want("text")
	return "", false
}

// orNothing accepts a key without a value, as a section has whose every line
// is commented out.
func orNothing(read func(node)) func(node) {
	return func(n node) {
		if n.ast.Type() != ast.NullType {
			read(n)
		}
	}
}

// orEmpty accepts "" for a key that may as well be absent.
func orEmpty(read func(node)) func(node) {
	return func(n node) {
		if s, ok := n.ast.(*ast.StringNode); !ok || s.Value != "" {
			read(n)
		}
	}
}
