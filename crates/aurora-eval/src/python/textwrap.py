# Text in lines.

def dedent(text):
    lines = text.split('\n')
    margin = None
    for line in lines:
        if line.strip():
            indent = line[:len(line) - len(line.lstrip(' \t'))]
            if margin is None:
                margin = indent
            while not indent.startswith(margin):
                margin = margin[:-1]
    margin = margin or ''
    return '\n'.join(line[len(margin):] if line.strip() else '' for line in lines)


def indent(text, prefix, predicate=None):
    wanted = predicate or (lambda line: line.strip())
    return ''.join(prefix + line if wanted(line) else line for line in text.splitlines(True))


def wrap(text, width=70, initial_indent='', subsequent_indent='', **named):
    lines, line = [], initial_indent
    start = True
    for word in text.split():
        if not start and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, start = subsequent_indent, True
        line += word if start else ' ' + word
        start = False
    if not start:
        lines.append(line)
    return lines


def fill(text, width=70, **named):
    return '\n'.join(wrap(text, width, **named))


def shorten(text, width, placeholder=' [...]', **named):
    text = ' '.join(text.split())
    if len(text) <= width:
        return text
    lines = wrap(text, width - len(placeholder))
    return (lines[0] if lines else '') + placeholder
