//! A CEL expression over metric names, compiled once into a flat program over numbers.
//!
//! The `cel` crate parses; its interpreter allocates per value and takes microseconds a rule, which is the whole budget of
//! a state, so it serves as the oracle in the tests instead. What is taken: metrics (doubles), number literals,
//! `+ - * /`, comparisons, `&& || !`, `?:`. Everything else is refused here, with its place.

use cel::Program;
use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

/// Why an expression can't be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ExpressionError {
    /// The parser's words.
    #[error("does not parse: {0}")]
    Syntax(String),
    /// A name that is no metric.
    #[error("names {name:?} at character {at}, which is no metric of the type")]
    UnknownMetric {
        /// The name.
        name: String,
        /// Character position from 1; 0 where it can't be told.
        at: usize,
    },
    /// Something that rules do not have.
    #[error("uses {0}, which rules do not have")]
    Unsupported(String),
    /// Types do not fit.
    #[error("has {found} where {wanted} is needed (in {place})")]
    Type {
        /// What is there.
        found: &'static str,
        /// What should be.
        wanted: &'static str,
        /// The operator.
        place: String,
    },
    /// Nested too deeply.
    #[error("is nested more than {STACK} deep")]
    TooDeep,
    /// More inputs than a state's values are held for.
    #[error("names more than {INPUTS} metrics, guard included")]
    TooMany,
}

/// Most metrics of one rule.
pub const INPUTS: usize = 16;

/// Deepest stack of a program.
const STACK: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Metric(u16),
    Number(f64),
    Add,
    Subtract,
    Multiply,
    Divide,
    Negate,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Or,
    Not,
    Choose,
}

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Double,
    Int,
    Bool,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Double => "a number",
            Type::Int => "a whole number (write it as 2.0)",
            Type::Bool => "a condition",
        }
    }
}

/// A compiled condition.
#[derive(Clone, Debug)]
pub struct Condition {
    ops: Vec<Op>,
    /// The two sides of its first comparison, for the finding.
    sides: Option<(Vec<Op>, Vec<Op>)>,
}

impl Condition {
    /// Compiles `source`. `metrics` are the names it may use; those it uses are added to `used`, whose places are the
    /// program's inputs.
    pub fn compile(source: &str, metrics: &[&str], used: &mut Vec<String>) -> Result<Condition, ExpressionError> {
        let program =
            Program::compile(source).map_err(|error| ExpressionError::Syntax(one_line(&error.to_string())))?;
        let mut compiler = Compiler { source, metrics, used, sides: None };
        let mut ops = Vec::new();
        let found = compiler.expression(program.expression(), &mut ops)?;
        expect(found, Type::Bool, "the whole rule")?;
        if depth(&ops) > STACK {
            return Err(ExpressionError::TooDeep);
        }
        Ok(Condition { ops, sides: compiler.sides })
    }

    /// Whether the condition holds for the inputs.
    pub fn holds(&self, inputs: &[f64]) -> bool {
        run(&self.ops, inputs) != 0.0
    }

    /// The two sides of its first comparison.
    pub fn sides(&self, inputs: &[f64]) -> Option<(f64, f64)> {
        self.sides.as_ref().map(|(left, right)| (run(left, inputs), run(right, inputs)))
    }
}

struct Compiler<'a> {
    source: &'a str,
    metrics: &'a [&'a str],
    used: &'a mut Vec<String>,
    sides: Option<(Vec<Op>, Vec<Op>)>,
}

impl Compiler<'_> {
    fn expression(&mut self, expression: &IdedExpr, ops: &mut Vec<Op>) -> Result<Type, ExpressionError> {
        match &expression.expr {
            Expr::Ident(name) => {
                ops.push(Op::Metric(self.metric(name)?));
                Ok(Type::Double)
            }
            Expr::Literal(LiteralValue::Double(number)) => {
                ops.push(Op::Number(*number.inner()));
                Ok(Type::Double)
            }
            Expr::Literal(LiteralValue::Int(number)) => {
                #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
                ops.push(Op::Number(*number.inner() as f64));
                Ok(Type::Int)
            }
            Expr::Literal(LiteralValue::Boolean(condition)) => {
                ops.push(Op::Number(f64::from(u8::from(*condition.inner()))));
                Ok(Type::Bool)
            }
            Expr::Call(call) if call.target.is_none() => self.call(&call.func_name, &call.args, ops),
            Expr::Call(call) => Err(ExpressionError::Unsupported(format!("the method {:?}", call.func_name))),
            Expr::Select(select) => Err(ExpressionError::Unsupported(format!("the field {:?}", select.field))),
            _ => Err(ExpressionError::Unsupported("a list, map, text or macro".to_owned())),
        }
    }

    fn metric(&mut self, name: &str) -> Result<u16, ExpressionError> {
        if !self.metrics.contains(&name) {
            let at = self.source.find(name).map_or(0, |byte| self.source[..byte].chars().count() + 1);
            return Err(ExpressionError::UnknownMetric { name: name.to_owned(), at });
        }
        let place = self.used.iter().position(|known| known == name).unwrap_or_else(|| {
            self.used.push(name.to_owned());
            self.used.len() - 1
        });
        u16::try_from(place).ok().filter(|_| place < INPUTS).ok_or(ExpressionError::TooMany)
    }

    fn call(&mut self, name: &str, args: &[IdedExpr], ops: &mut Vec<Op>) -> Result<Type, ExpressionError> {
        let op = match (name, args.len()) {
            (operators::ADD, 2) => Op::Add,
            (operators::SUBSTRACT, 2) => Op::Subtract,
            (operators::MULTIPLY, 2) => Op::Multiply,
            (operators::DIVIDE, 2) => Op::Divide,
            (operators::NEGATE, 1) => Op::Negate,
            (operators::LESS, 2) => Op::Less,
            (operators::LESS_EQUALS, 2) => Op::LessEqual,
            (operators::GREATER, 2) => Op::Greater,
            (operators::GREATER_EQUALS, 2) => Op::GreaterEqual,
            (operators::EQUALS, 2) => Op::Equal,
            (operators::NOT_EQUALS, 2) => Op::NotEqual,
            (operators::LOGICAL_NOT, 1) => Op::Not,
            (operators::CONDITIONAL, 3) => Op::Choose,
            // The parser joins a chain of && or || into one balanced call or into one with many arguments.
            (operators::LOGICAL_AND, 2..) => Op::And,
            (operators::LOGICAL_OR, 2..) => Op::Or,
            _ => return Err(ExpressionError::Unsupported(format!("{name:?} with {} arguments", args.len()))),
        };
        let mut types = Vec::with_capacity(args.len());
        let start = ops.len();
        let mut starts = Vec::with_capacity(args.len());
        for (at, argument) in args.iter().enumerate() {
            starts.push(ops.len());
            types.push(self.expression(argument, ops)?);
            if at > 0 && matches!(op, Op::And | Op::Or) {
                ops.push(op);
            }
        }
        match op {
            Op::And | Op::Or => {
                types.iter().try_for_each(|found| expect(*found, Type::Bool, name))?;
                return Ok(Type::Bool);
            }
            Op::Not => expect(types[0], Type::Bool, name)?,
            Op::Choose => {
                expect(types[0], Type::Bool, name)?;
                expect(types[2], types[1], name)?;
            }
            Op::Negate if types[0] == Type::Int => {}
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide | Op::Negate => {
                types.iter().try_for_each(|found| expect(*found, Type::Double, name))?;
            }
            _ => {
                if types.contains(&Type::Bool) {
                    return Err(ExpressionError::Type {
                        found: Type::Bool.name(),
                        wanted: Type::Double.name(),
                        place: name.to_owned(),
                    });
                }
                if self.sides.is_none() {
                    self.sides = Some((ops[start..starts[1]].to_vec(), ops[starts[1]..].to_vec()));
                }
            }
        }
        ops.push(op);
        Ok(match op {
            Op::Choose => types[1],
            Op::Negate => types[0],
            Op::Add | Op::Subtract | Op::Multiply | Op::Divide => Type::Double,
            _ => Type::Bool,
        })
    }
}

fn expect(found: Type, wanted: Type, place: &str) -> Result<(), ExpressionError> {
    if found == wanted {
        return Ok(());
    }
    Err(ExpressionError::Type { found: found.name(), wanted: wanted.name(), place: place.trim_matches('_').to_owned() })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn depth(ops: &[Op]) -> usize {
    let (mut now, mut most) = (0usize, 0usize);
    for op in ops {
        match op {
            Op::Metric(_) | Op::Number(_) => now += 1,
            Op::Negate | Op::Not => {}
            Op::Choose => now -= 2,
            _ => now -= 1,
        }
        most = most.max(now);
    }
    most
}

fn run(ops: &[Op], inputs: &[f64]) -> f64 {
    let mut stack = [0.0f64; STACK];
    let mut top = 0;
    for op in ops {
        let truth = |condition: bool| if condition { 1.0 } else { 0.0 };
        match op {
            Op::Metric(place) => {
                stack[top] = inputs[usize::from(*place)];
                top += 1;
            }
            Op::Number(number) => {
                stack[top] = *number;
                top += 1;
            }
            Op::Negate => stack[top - 1] = -stack[top - 1],
            Op::Not => stack[top - 1] = truth(stack[top - 1] == 0.0),
            Op::Choose => {
                top -= 2;
                stack[top - 1] = if stack[top - 1] != 0.0 { stack[top] } else { stack[top + 1] };
            }
            _ => {
                top -= 1;
                let (left, right) = (stack[top - 1], stack[top]);
                stack[top - 1] = match op {
                    Op::Add => left + right,
                    Op::Subtract => left - right,
                    Op::Multiply => left * right,
                    Op::Divide => left / right,
                    Op::Less => truth(left < right),
                    Op::LessEqual => truth(left <= right),
                    Op::Greater => truth(left > right),
                    Op::GreaterEqual => truth(left >= right),
                    Op::Equal => truth(left == right),
                    Op::NotEqual => truth(left != right),
                    Op::And => truth(left != 0.0 && right != 0.0),
                    _ => truth(left != 0.0 || right != 0.0),
                };
            }
        }
    }
    stack[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    const METRICS: [&str; 3] = ["a", "b", "c"];

    /// What the library says; `None` where it gives up (it compares nothing with 0/0).
    fn oracle(source: &str, values: [f64; 3]) -> Option<bool> {
        let program = Program::compile(source).unwrap();
        let mut context = cel::Context::default();
        for (name, value) in METRICS.iter().zip(values) {
            context.add_variable_from_value(*name, value);
        }
        match program.execute(&context) {
            Ok(cel::Value::Bool(truth)) => Some(truth),
            Ok(other) => panic!("{source} is {other:?}"),
            Err(_) => None,
        }
    }

    fn number() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("a".to_owned()),
            Just("b".to_owned()),
            Just("c".to_owned()),
            (-4i32..5).prop_map(|n| format!("({}.5)", n)),
        ];
        leaf.prop_recursive(3, 8, 2, |inner| {
            prop_oneof![
                (inner.clone(), prop_oneof![Just("+"), Just("-"), Just("*"), Just("/")], inner.clone())
                    .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
                inner.prop_map(|e| format!("(-{e})")),
            ]
        })
    }

    fn condition() -> impl Strategy<Value = String> {
        let comparison = prop_oneof![Just("<"), Just("<="), Just(">"), Just(">="), Just("=="), Just("!=")];
        let right = prop_oneof![number(), (0i32..4).prop_map(|n| n.to_string())];
        let leaf = (number(), comparison, right).prop_map(|(l, op, r)| format!("({l} {op} {r})"));
        leaf.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                (inner.clone(), prop_oneof![Just("&&"), Just("||")], inner.clone())
                    .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
                (inner.clone(), inner.clone(), inner.clone()).prop_map(|(c, l, r)| format!("({c} ? {l} : {r})")),
                inner.prop_map(|e| format!("(!{e})")),
            ]
        })
    }

    proptest! {
        /// The flat program and the library's interpreter say the same.
        #[test]
        fn agrees_with_the_interpreter(source in condition(), a in -3i32..4, b in -3i32..4, c in -3.0f64..3.0) {
            let values = [f64::from(a), f64::from(b), c];
            let mut used = Vec::new();
            match Condition::compile(&source, &METRICS, &mut used) {
                Ok(compiled) => {
                    let inputs: Vec<f64> =
                        used.iter().map(|name| values[METRICS.iter().position(|m| m == name).unwrap()]).collect();
                    if let Some(truth) = oracle(&source, values) {
                        prop_assert_eq!(compiled.holds(&inputs), truth, "{}", source);
                    }
                }
                Err(error) => prop_assert_eq!(error, ExpressionError::TooDeep),
            }
        }
    }

    fn check(source: &str, expected: Expect) {
        let text = match Condition::compile(source, &METRICS, &mut Vec::new()) {
            Ok(_) => "fine".to_owned(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn errors_say_what_and_where() {
        check("a > 1 && b < 2.0", expect!["fine"]);
        check(
            "a > 1.0 && nonsense < 2.0",
            expect![[r#"names "nonsense" at character 12, which is no metric of the type"#]],
        );
        check("a + 1 > b", expect!["has a whole number (write it as 2.0) where a number is needed (in +)"]);
        check("a + 1.0", expect!["has a number where a condition is needed (in the whole rule)"]);
        check("a.b > 1.0", expect![[r#"uses the field "b", which rules do not have"#]]);
        check("size(a) > 1", expect![[r#"uses "size" with 1 arguments, which rules do not have"#]]);
        assert!(Condition::compile("a >", &METRICS, &mut Vec::new()).unwrap_err().to_string().contains("1:"));
    }
}
