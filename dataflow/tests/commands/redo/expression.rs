//! The catalogue's expressions, reckoned straight from their text.

use std::collections::BTreeMap;

/// Means by metric.
pub type Values = BTreeMap<String, f64>;

/// The value of an expression (a condition is 1 or 0), and the two sides of its first comparison; `None` where a metric is away.
pub fn evaluate(source: &str, values: &Values) -> Option<(f64, Option<(f64, f64)>)> {
    let mut reader = Reader { rest: source, values, sides: None, is_complete: true };
    let value = reader.alternatives();
    assert!(reader.rest.trim().is_empty(), "{source:?} goes on with {:?}", reader.rest);
    reader.is_complete.then_some((value, reader.sides))
}

struct Reader<'a> {
    rest: &'a str,
    values: &'a Values,
    sides: Option<(f64, f64)>,
    is_complete: bool,
}

impl Reader<'_> {
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(token);
        self.rest = found.unwrap_or(rest);
        found.is_some()
    }

    fn alternatives(&mut self) -> f64 {
        let mut value = self.all();
        while self.takes("||") {
            value = value.max(self.all());
        }
        value
    }

    fn all(&mut self) -> f64 {
        let mut value = self.comparison();
        while self.takes("&&") {
            value = value.min(self.comparison());
        }
        value
    }

    fn comparison(&mut self) -> f64 {
        let left = self.sum();
        for token in ["<=", ">=", "<", ">"] {
            if self.takes(token) {
                let right = self.sum();
                self.sides = self.sides.or(Some((left, right)));
                let holds = match token {
                    "<=" => left <= right,
                    ">=" => left >= right,
                    "<" => left < right,
                    _ => left > right,
                };
                return f64::from(u8::from(holds));
            }
        }
        left
    }

    fn sum(&mut self) -> f64 {
        let mut value = self.product();
        loop {
            if self.takes("+") {
                value += self.product();
            } else if self.takes("-") {
                value -= self.product();
            } else {
                return value;
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut value = self.one();
        loop {
            if self.takes("*") {
                value *= self.one();
            } else if self.takes("/") {
                value /= self.one();
            } else {
                return value;
            }
        }
    }

    fn one(&mut self) -> f64 {
        if self.takes("(") {
            let value = self.alternatives();
            assert!(self.takes(")"), "a bracket is closed before {:?}", self.rest);
            return value;
        }
        let rest = self.rest.trim_start();
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(length);
        self.rest = rest;
        if let Ok(number) = word.parse() {
            return number;
        }
        self.values.get(word).copied().unwrap_or_else(|| {
            self.is_complete = false;
            f64::NAN
        })
    }
}

#[test]
fn expressions_are_read_as_they_are_written() {
    let values = Values::from([("a".to_owned(), 4.0), ("b".to_owned(), 2.0)]);
    assert_eq!(evaluate("a - b - 1.0 < 2.0 * b && b > 3.0", &values), Some((0.0, Some((1.0, 4.0)))));
    assert_eq!(evaluate("a > 5.0 || (a - b) / b >= 1.0", &values), Some((1.0, Some((4.0, 5.0)))));
    assert_eq!(evaluate("a > 5.0 || c > 1.0", &values), None);
}
