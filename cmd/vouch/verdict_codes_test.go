package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"vouch/imagelist/verdict"
	"vouch/testdata/cases"
)

// TestEveryVerdict_IsProduced: each code is declared by a case, which
// TestCases of package imagelist holds it to, or by a row of the tests
// TestEveryVerdict of this package.
func TestEveryVerdict_IsProduced(t *testing.T) {
	produced := map[verdict.Code]string{}
	all, err := cases.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		produced[verdict.Code(c.Expect)] = c.ID
	}
	codes := verdictCodes(t)
	for _, name := range declaredVerdicts(t, "endtoend_verdicts_test.go") {
		produced[codes[name]] = name
	}
	for _, code := range codes {
		if produced[code] == "" {
			t.Errorf("%s: no test produces it", code)
		}
	}
}

// declaredVerdicts are the names of the codes that stand in tables of a file, or
// are compared with.
func declaredVerdicts(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	note := func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "verdict" {
				names = append(names, s.Sel.Name)
			}
		}
		return true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			ast.Inspect(n, note)
		case *ast.BinaryExpr:
			ast.Inspect(n, note)
		}
		return true
	})
	return names
}
