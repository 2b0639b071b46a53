# Files in memory, and reading real ones.

from _io import BytesIO, StringIO

open = open
