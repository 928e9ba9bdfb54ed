"""The one kind of error that speaks to the person at the keyboard.

Raise `CourseError("what was wrong; what to do about it")` for anything a reader, learner or
instructor can mend: a missing file, a damaged download, a notebook that cannot be read. The
`course` command prints its message on one line and exits with 2; a notebook shows it as raised.
"""


class CourseError(Exception):
    """Something the user can mend; the message says what was wrong and what to do."""
