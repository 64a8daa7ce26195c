package legacy

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// parseYAML reads the only document of a text into v. The parser's own panics
// are errors, and no error quotes the text, which may hold tokens.
func parseYAML(text []byte, v any) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("not YAML")
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return unquoted(err)
	}
	if len(file.Docs) > 1 {
		return errors.New("more than one YAML document")
	}
	if err := tame(file, len(text)); err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		return unquoted(err)
	}
	return nil
}

func unquoted(err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		p := at.GetToken().Position
		return fmt.Errorf("line %d, column %d: not the YAML that is expected here", p.Line, p.Column)
	}
	return errors.New("not the YAML that is expected here")
}

// tame allows aliases, which stand for one endorser of many lists, as long as
// they cannot make much of little.
func tame(file *ast.File, size int) error {
	count := &aliases{}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(count, doc.Body)
		}
	}
	if count.nested || count.n > 256 || count.n > 0 && size > 64<<10 {
		return errors.New("too many YAML aliases, or aliases of aliases")
	}
	return nil
}

// aliases counts the aliases of a document, and sees those below an anchor.
type aliases struct {
	n      int
	nested bool
}

// Visit is ast.Visitor.
func (a *aliases) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AliasNode:
		a.n++
		return nil
	case *ast.AnchorNode:
		below := &aliases{}
		ast.Walk(below, n.Value)
		a.nested = a.nested || below.n > 0 || below.nested
		return nil
	}
	return a
}
