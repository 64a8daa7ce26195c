package diskimage

import "fmt"

// Refused is an image that an endorser must not publish.
type Refused struct {
	Format string // as in Facts, as far as it is known
	Found  string // what was found in it; text from the file is quoted
	todo   string
}

func (r *Refused) Error() string { return "refused: " + r.Format + ": " + r.Found }

// Hint says what the endorser can do about it.
func (r *Refused) Hint() string { return r.todo }

const (
	todoFlatten = "write it whole into one file first: qemu-img convert -O qcow2 IMAGE NEW"
	todoBroken  = "the file is damaged or cut short: make it again, and see what qemu-img check says"
)

// refuse is for what the image wants of others; broken, for what makes no
// sense.
func refuse(format, todo, found string, args ...any) error {
	return &Refused{Format: format, Found: fmt.Sprintf(found, args...), todo: todo}
}

func broken(format, found string, args ...any) error {
	return refuse(format, todoBroken, found, args...)
}

// unfit is an error that a person can act on.
type unfit struct {
	error
	todo string
}

func (u *unfit) Unwrap() error { return u.error }
func (u *unfit) Hint() string  { return u.todo }
