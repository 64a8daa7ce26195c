package legacy

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"
)

// row is a row of a table by the names of its columns, in lower case. What is
// NULL is not in it.
type row map[string]string

// dump is the wanted tables of a SQL dump. Names are in lower case, as they
// are all the same to SQLite.
type dump struct {
	*scanner
	columns map[string][]string // of the tables that were created
	rows    map[string][]row
	kept    int
}

// errCut says that the end is missing, wherever that showed.
var errCut = errors.New("ends before COMMIT: the dump was cut short")

// readDump reads the text that sqlite3's .dump prints, and keeps the rows of
// some tables. It knows the statements that occur there and no more: a trigger
// is refused, since the statements in it would look like the dump's own.
func readDump(r io.Reader, tables ...string) (*dump, error) {
	d := &dump{scanner: &scanner{r: bufio.NewReaderSize(r, 64<<10), line: 1}, columns: map[string][]string{}, rows: map[string][]row{}}
	whole := false
	for {
		t, err := d.token()
		switch {
		case err != nil:
			return nil, err
		case t.kind == 0 && !whole:
			return nil, errCut
		case t.kind == 0:
			return d, nil
		case t.is("ROLLBACK"):
			return nil, d.errorf("sqlite3 could not read the whole database")
		case t.is("CREATE"):
			err = d.create()
		case t.is("INSERT"):
			err = d.insert(tables)
		case t.kind == ';':
			continue
		case t.kind == 'w':
			err = d.skip()
		default:
			err = d.errorf("not the beginning of a statement")
		}
		switch {
		case err != nil && d.end:
			return nil, errCut
		case err != nil:
			return nil, err
		}
		whole = t.is("COMMIT")
	}
}

// skip passes over the rest of a statement.
func (d *dump) skip() error {
	d.pass = true
	defer func() { d.pass = false }()
	for {
		t, err := d.token()
		if err != nil || t.kind == ';' {
			return err
		}
		if t.kind == 0 {
			return errCut
		}
	}
}

// name reads the name of a table or column.
func (d *dump) name() (string, error) {
	t, err := d.token()
	if err == nil && (t.text == "" || t.kind != 'w' && t.kind != 'n' && t.kind != 's') {
		err = d.errorf("no name where one belongs")
	}
	return strings.ToLower(t.text), err
}

// create reads CREATE TABLE, and passes over what else may be created.
func (d *dump) create() error {
	t, err := d.token()
	switch {
	case err != nil:
		return err
	case t.is("TRIGGER"), t.is("TEMP"), t.is("TEMPORARY"):
		return d.errorf("a trigger or temporary table: not a vmcatcher database")
	case !t.is("TABLE"):
		return d.skip()
	}
	table, err := d.name()
	if err == nil && table == "if" { // IF NOT EXISTS
		d.token()
		d.token()
		table, err = d.name()
	}
	if err != nil {
		return err
	}
	if _, twice := d.columns[table]; twice {
		return d.errorf("a table is created twice")
	}
	columns, err := d.definitions()
	if err != nil {
		return err
	}
	d.columns[table] = columns
	if d.kept += len(table) + 64; d.kept > maxKept {
		return d.errorf("too much in it")
	}
	return d.skip()
}

// constraint begins a line of a table's definition that is no column.
var constraint = []string{"constraint", "primary", "unique", "check", "foreign"}

// definitions reads the names of the columns up to the closing parenthesis.
func (d *dump) definitions() ([]string, error) {
	if t, err := d.token(); err != nil || t.kind != '(' {
		return nil, cmp.Or(err, d.errorf("a table without columns"))
	}
	var names []string
	first, depth := true, 1
	for depth > 0 {
		t, err := d.token()
		switch {
		case err != nil:
			return nil, err
		case t.kind == 0 || t.kind == ';':
			return nil, d.errorf("a table's definition without end")
		case t.kind == '(':
			depth++
		case t.kind == ')':
			depth--
		case t.kind == 'n', t.kind == 's', t.kind == 'w' && !slices.Contains(constraint, strings.ToLower(t.text)):
			if first && depth == 1 {
				names = append(names, strings.ToLower(t.text))
				d.kept += len(t.text) + 16
			}
		}
		if first = t.kind == ',' && depth == 1; d.kept > maxKept {
			return nil, d.errorf("too much in it")
		}
	}
	return names, nil
}

// insert reads INSERT INTO table[(columns)] VALUES (...)[, (...)].
func (d *dump) insert(tables []string) error {
	if t, err := d.token(); err != nil || !t.is("INTO") {
		return cmp.Or(err, d.errorf("not an INSERT INTO"))
	}
	table, err := d.name()
	if err != nil {
		return err
	}
	if !slices.Contains(tables, table) {
		return d.skip()
	}
	columns, t := d.columns[table], token{}
	if t, err = d.token(); err == nil && t.kind == '(' {
		if columns, err = d.columnList(); err == nil {
			t, err = d.token()
		}
	}
	switch {
	case err != nil:
		return err
	case !t.is("VALUES"):
		return d.errorf("not an INSERT of values")
	case columns == nil:
		return d.errorf("rows of a table that was not created")
	}
	return d.values(table, columns)
}

func (d *dump) columnList() ([]string, error) {
	var names []string
	for {
		n, err := d.name()
		if err != nil {
			return nil, err
		}
		names = append(names, n)
		t, err := d.token()
		if d.kept += len(n) + 16; d.kept > maxKept {
			return nil, d.errorf("too much in it")
		}
		switch {
		case err != nil:
			return nil, err
		case t.kind == ')':
			return names, nil
		case t.kind != ',':
			return nil, d.errorf("not a list of columns")
		}
	}
}

func (d *dump) values(table string, columns []string) error {
	for {
		if t, err := d.token(); err != nil || t.kind != '(' {
			return cmp.Or(err, d.errorf("no row where one belongs"))
		}
		vals, err := d.arguments(0)
		if err != nil {
			return err
		}
		if len(vals) != len(columns) {
			return d.errorf("a row of %d values in a table of %d columns", len(vals), len(columns))
		}
		r := row{}
		for i, v := range vals {
			if !v.null {
				r[columns[i]] = v.text
			}
			if d.kept += len(v.text) + 64; d.kept > maxKept {
				return d.errorf("too much in it")
			}
		}
		d.rows[table] = append(d.rows[table], r)
		t, err := d.token()
		switch {
		case err != nil:
			return err
		case t.kind == ';':
			return nil
		case t.kind != ',':
			return d.errorf("a row that does not end")
		}
	}
}
