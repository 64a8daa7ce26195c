package publisher

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"vouch/imagelist"
)

// readJSON reads a file that a person may have edited. A name that it does not
// know is a slip of the pen: it would do nothing, and be gone with the next
// rewriting. The error is the file system's, or an *Error with line and column.
func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v, json.RejectUnknownMembers(true)); err != nil {
		return &Error{What: path, Err: position(raw, err), Fix: "correct the file, or take it from version control"}
	}
	return nil
}

// position says where in a text an error of JSON is, and what.
func position(raw []byte, err error) error {
	offset, detail := int64(len(raw)), err
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		offset, detail = wrong.ByteOffset, wrong.Err
		if detail == nil {
			detail = fmt.Errorf("a %s does not belong here", wrong.JSONKind)
		}
		if wrong.JSONPointer != "" {
			detail = fmt.Errorf("%q: %w", wrong.JSONPointer, detail)
		}
	} else if broken, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset, detail = broken.ByteOffset, broken.Err
	}
	before := raw[:min(max(offset, 0), int64(len(raw)))]
	return &imagelist.PositionError{
		Line: bytes.Count(before, []byte{'\n'}) + 1, Column: len(before) - bytes.LastIndexByte(before, '\n'), Detail: detail.Error(),
	}
}
