//! Expressions over variables, as `/graphview` draws them. Pure.
//!
//! Source: the original's page. One thing is different: `*` and `/` bind more tightly than `+` and
//! `-`, where it went from left to right. Names that have other characters than letters, digits, `_`
//! and `.` stand in quotes.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::CharIndices;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 2000;

/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 50;

/// Something that has a value at each moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Always the same.
    Constant(f64),
    /// A variable's.
    Variable(String),
    /// Two values put together.
    Operation(Operator, Box<Expression>, Box<Expression>),
    /// Something made of a value.
    Function(Function, Box<Expression>),
    /// How fast a value changes, each second, since as many samples before.
    Rate(usize, Box<Expression>),
}

/// What puts two values together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
}

/// What is made of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// Without its sign.
    Abs,
    /// The next larger whole number.
    Ceil,
    /// The next smaller whole number.
    Floor,
    /// The natural logarithm.
    Log,
    /// The nearest whole number.
    Round,
    /// The square root.
    Sqrt,
}

/// Functions by name; `rate` is apart.
const FUNCTIONS: [(&str, Function); 6] = [
    ("abs", Function::Abs),
    ("ceil", Function::Ceil),
    ("floor", Function::Floor),
    ("log", Function::Log),
    ("round", Function::Round),
    ("sqrt", Function::Sqrt),
];

impl Function {
    fn of(self, x: f64) -> f64 {
        match self {
            Function::Abs => x.abs(),
            Function::Ceil => x.ceil(),
            Function::Floor => x.floor(),
            Function::Log => x.ln(),
            Function::Round => x.round(),
            Function::Sqrt => x.sqrt(),
        }
    }
}

impl Expression {
    /// Reads one. `Err`: what is wrong, for people.
    pub fn parse(text: &str) -> Result<Expression, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("an expression has at most {MAX_LENGTH} characters"));
        }
        let mut parser = Parser { text, rest: text.char_indices().peekable(), depth: 0 };
        let expression = parser.sum()?;
        match parser.peek() {
            None => Ok(expression),
            Some(c) => Err(parser.unexpected(c)),
        }
    }

    /// The names of its variables.
    pub fn variables(&self) -> BTreeSet<&str> {
        match self {
            Expression::Constant(_) => BTreeSet::new(),
            Expression::Variable(name) => [name.as_str()].into(),
            Expression::Operation(_, a, b) => &a.variables() | &b.variables(),
            Expression::Function(_, of) | Expression::Rate(_, of) => of.variables(),
        }
    }

    /// Its values at these times, in milliseconds; `values` gives those of a variable.
    pub fn values(&self, times: &[i64], values: &dyn Fn(&str) -> Vec<f64>) -> Vec<f64> {
        match self {
            Expression::Constant(value) => vec![*value; times.len()],
            Expression::Variable(name) => values(name),
            Expression::Operation(operator, a, b) => {
                let both = a.values(times, values).into_iter().zip(b.values(times, values));
                let value = |(a, b): (f64, f64)| match operator {
                    Operator::Add => a + b,
                    Operator::Subtract => a - b,
                    Operator::Multiply => a * b,
                    Operator::Divide => a / b,
                };
                both.map(value).collect()
            }
            Expression::Function(function, of) => {
                of.values(times, values).into_iter().map(|x| function.of(x)).collect()
            }
            Expression::Rate(window, of) => {
                let of = of.values(times, values);
                let samples: Vec<(f64, i64)> = of.into_iter().zip(times.iter().copied()).collect();
                let rate = |(place, (value, time)): (usize, &(f64, i64))| {
                    let (before, since) = samples.get(place.saturating_sub(*window))?;
                    let seconds = (time - since) as f64 / 1000.0;
                    Some(if seconds == 0.0 { 0.0 } else { (value - before) / seconds })
                };
                samples.iter().enumerate().filter_map(rate).collect()
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    depth: usize,
}

impl Parser<'_> {
    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        while self.rest.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        self.rest.peek().map(|(_, c)| *c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        if there {
            self.rest.next();
        }
        there
    }

    fn unexpected(&self, c: char) -> String {
        format!("'{c}' was not expected in {}", self.text.trim())
    }

    fn operations(
        &mut self,
        operators: [(char, Operator); 2],
        operand: fn(&mut Self) -> Result<Expression, String>,
    ) -> Result<Expression, String> {
        let mut left = operand(self)?;
        while let Some((sign, operator)) =
            operators.into_iter().find(|(sign, _)| self.peek() == Some(*sign))
        {
            self.take(sign);
            let right = operand(self)?;
            left = Expression::Operation(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Result<Expression, String> {
        self.operations([('+', Operator::Add), ('-', Operator::Subtract)], Self::product)
    }

    fn product(&mut self) -> Result<Expression, String> {
        self.operations([('*', Operator::Multiply), ('/', Operator::Divide)], Self::operand)
    }

    fn operand(&mut self) -> Result<Expression, String> {
        match self.peek() {
            None => Err(format!("an operand is missing at the end of {}", self.text.trim())),
            Some('(') => {
                self.take('(');
                self.enclosed()
            }
            Some('"') => {
                self.take('"');
                let mut name = String::new();
                loop {
                    match self.rest.next() {
                        None => return Err(format!("a quote is open in {}", self.text.trim())),
                        Some((_, '"')) => return Ok(Expression::Variable(name)),
                        Some((_, c)) => name.push(c),
                    }
                }
            }
            Some(c) if is_of_name(c) => {
                let mut name = String::new();
                while let Some((_, c)) = self.rest.next_if(|(_, c)| is_of_name(*c)) {
                    name.push(c);
                }
                if let Some('(') = self.peek() {
                    self.take('(');
                    return self.function(&name);
                }
                let number = name.parse().ok().filter(|_| name.starts_with(is_of_number));
                Ok(number.map_or(Expression::Variable(name), Expression::Constant))
            }
            Some(c) => Err(self.unexpected(c)),
        }
    }

    /// What is between parentheses, from the first one on.
    fn enclosed(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} parentheses within each other"));
        }
        let inside = self.sum()?;
        self.depth -= 1;
        match self.peek() {
            Some(')') => {
                self.take(')');
                Ok(inside)
            }
            Some(c) => Err(self.unexpected(c)),
            None => Err(format!("a parenthesis is open in {}", self.text.trim())),
        }
    }

    fn function(&mut self, name: &str) -> Result<Expression, String> {
        if let Some((_, function)) = FUNCTIONS.iter().find(|(known, _)| *known == name) {
            return Ok(Expression::Function(*function, Box::new(self.enclosed()?)));
        }
        if name != "rate" {
            return Err(format!("there is no function {name}"));
        }
        let before = self.rest.clone();
        let first = self.sum()?;
        if self.take(',') {
            let window = match first {
                Expression::Constant(window) if window >= 1.0 && window.fract() == 0.0 => window,
                _ => return Err("the window of rate() is a whole number of samples".to_owned()),
            };
            return Ok(Expression::Rate(window as usize, Box::new(self.enclosed()?)));
        }
        self.rest = before;
        Ok(Expression::Rate(1, Box::new(self.enclosed()?)))
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

fn is_of_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of an expression where `a` is 1, 4, 9 and `b/c` is 2, 2, 2, at each second.
    fn values(text: &str) -> Result<Vec<f64>, String> {
        let values = |name: &str| match name {
            "a" => vec![1.0, 4.0, 9.0],
            "b/c" => vec![2.0; 3],
            other => panic!("{other}"),
        };
        Ok(Expression::parse(text)?.values(&[0, 1000, 2000], &values))
    }

    #[test]
    fn arithmetic() {
        for (text, expected) in [
            ("a", [1.0, 4.0, 9.0]),
            ("1 + 2 * 3", [7.0; 3]),
            ("(1 + 2) * 3", [9.0; 3]),
            ("8 - 4 - 2", [2.0; 3]),
            ("8 / 4 / 2", [1.0; 3]),
            ("a * \"b/c\"", [2.0, 8.0, 18.0]),
            ("sqrt(a)+.5", [1.5, 2.5, 3.5]),
            ("round(a / 2)", [1.0, 2.0, 5.0]),
            ("floor(a/2) - ceil(a/2)", [-1.0, 0.0, -1.0]),
            ("abs(4 - a)", [3.0, 0.0, 5.0]),
            ("log(1)", [0.0; 3]),
            ("rate(a)", [0.0, 3.0, 5.0]),
            ("rate(2, a)", [0.0, 3.0, 4.0]),
            ("rate(1, a - 1) * 60", [0.0, 180.0, 300.0]),
        ] {
            assert_eq!(values(text), Ok(expected.to_vec()), "{text}");
        }
        assert!(values("1/0").unwrap()[0].is_infinite());
    }

    #[test]
    fn mistakes() {
        for (text, problem) in [
            ("", "an operand is missing at the end of "),
            ("a +", "an operand is missing at the end of a +"),
            ("+ a", "'+' was not expected in + a"),
            ("a b", "'b' was not expected in a b"),
            ("(a", "a parenthesis is open in (a"),
            ("a)", "')' was not expected in a)"),
            ("\"a", "a quote is open in \"a"),
            ("<script>", "'<' was not expected in <script>"),
            ("sin(a)", "there is no function sin"),
            ("abs(a, a)", "',' was not expected in abs(a, a)"),
            ("rate(a, a)", "the window of rate() is a whole number of samples"),
            ("rate(0, a)", "the window of rate() is a whole number of samples"),
        ] {
            assert_eq!(Expression::parse(text), Err(problem.to_owned()), "{text}");
        }
        assert!(Expression::parse(&"(".repeat(1000)).is_err());
        assert!(Expression::parse(&"a".repeat(3000)).is_err());
    }

    #[test]
    fn variables() {
        let expression = Expression::parse("rate(a) / (\"b/c\" + a) * 3").unwrap();
        assert_eq!(expression.variables(), ["a", "b/c"].into());
    }
}
