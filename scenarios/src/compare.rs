//! What a run gave against what a case says: first the lines that were written by hand, then the golden.

use std::fmt;
use std::fs;
use std::io::Write as _;

use crate::case::{Case, CaseError};

/// Lines around a difference that are shown too.
const CONTEXT: usize = 3;
/// Longest difference that is printed, in lines.
const MOST_LINES: usize = 400;
/// Above this many pairs of lines the difference is shown as one block, for finding the best one costs their product.
const MOST_PAIRS: usize = 16_000_000;

/// How a result differs from its case. Its text is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// What `must` and `must_not` say against the result.
    pub broken: Vec<String>,
    /// How the golden differs; `None` where it is the same.
    pub difference: Option<Difference>,
}

/// How a golden differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There is none yet.
    NoGolden,
    /// The lines taken away (`-`) and added (`+`).
    Lines(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.case;
        for complaint in &self.broken {
            writeln!(f, "case {name:?} {complaint}")?;
        }
        match &self.difference {
            None => Ok(()),
            Some(Difference::NoGolden) => {
                writeln!(
                    f,
                    "case {name:?} has no expected.txt yet: `dataflow replay {name} --bless` writes it, then read it"
                )
            }
            Some(Difference::Lines(lines)) => {
                writeln!(f, "case {name:?} differs from its expected.txt (- expected, + seen):")?;
                f.write_str(lines)?;
                writeln!(
                    f,
                    "where the new result is right, `dataflow replay {name} --bless` writes it, and its diff is the review"
                )
            }
        }
    }
}

impl std::error::Error for Failure {}

/// Compares a result with everything its case says.
///
/// # Errors
/// Its golden can't be read.
pub fn judge(case: &Case, seen: &str) -> Result<Result<(), Failure>, CaseError> {
    let broken = broken_expectations(&case.must, &case.must_not, seen);
    let difference = match case.golden()? {
        None => Some(Difference::NoGolden),
        Some(expected) => diff(&expected, seen).map(Difference::Lines),
    };
    if broken.is_empty() && difference.is_none() {
        return Ok(Ok(()));
    }
    Ok(Err(Failure { case: case.name.clone(), broken, difference }))
}

/// Makes a result the case's golden; says whether the file changed. A result that breaks the hand-written lines is refused,
/// for then either the job or the case is wrong, and a golden would hide which.
///
/// # Errors
/// The file can't be read or written.
pub fn bless(case: &Case, seen: &str) -> Result<Result<bool, Failure>, CaseError> {
    let broken = broken_expectations(&case.must, &case.must_not, seen);
    if !broken.is_empty() {
        return Ok(Err(Failure { case: case.name.clone(), broken, difference: None }));
    }
    if case.golden()?.as_deref() == Some(seen) {
        return Ok(Ok(false));
    }
    let path = case.golden_path();
    let written = fs::File::create(&path).and_then(|mut file| file.write_all(seen.as_bytes()));
    written.map_err(|source| CaseError::File { action: "write", path, source })?;
    Ok(Ok(true))
}

/// What of `must` (whole lines) and `must_not` (beginnings of lines) doesn't hold; `*` stands for any text in a line.
pub fn broken_expectations(must: &[String], must_not: &[String], seen: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for pattern in must {
        if !seen.lines().any(|line| matches(pattern, line)) {
            let nearest = nearest_line(pattern, seen).map_or_else(String::new, |line| format!("\n    nearest: {line}"));
            broken.push(format!("must have the line\n    wanted:  {pattern}{nearest}"));
        }
    }
    for pattern in must_not {
        let open = format!("{pattern}*");
        let found: Vec<&str> = seen.lines().filter(|line| matches(&open, line)).collect();
        if let Some(first) = found.first() {
            broken.push(format!(
                "must not have a line that begins with\n    refused: {pattern}\n    seen:    {first}{}",
                if found.len() > 1 { format!("\n    and {} more", found.len() - 1) } else { String::new() }
            ));
        }
    }
    broken
}

/// Whether a whole line is as the pattern says; `*` stands for any text, also none.
fn matches(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or("");
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    // The earliest place is always as good as any later one, and the last piece has to end the line.
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// The line that shares most of its first words with the pattern: what was probably meant.
fn nearest_line<'a>(pattern: &str, seen: &'a str) -> Option<&'a str> {
    let shared = |line: &str| pattern.bytes().zip(line.bytes()).take_while(|(a, b)| a == b).count();
    let word = pattern.split([' ', '*']).next().unwrap_or("");
    let candidates = seen.lines().filter(|line| !word.is_empty() && line.split(' ').next() == Some(word));
    // The first of equals, so that the message is the same each time.
    candidates.fold(None, |best: Option<&str>, line| match best {
        Some(best) if shared(best) >= shared(line) => Some(best),
        _ => Some(line),
    })
}

/// The difference as in `diff -u`, without file names; `None`: there is none.
pub fn diff(expected: &str, seen: &str) -> Option<String> {
    if expected == seen {
        return None;
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(expected), lines(seen));
    let edits = edits(&old, &new);
    let mut out = String::new();
    let mut printed = 0;
    let changes: Vec<usize> = (0..edits.len()).filter(|at| edits[*at].0 != Edit::Same).collect();
    let shown = |at: usize| changes.iter().any(|change| change.abs_diff(at) <= CONTEXT);
    let mut gap = true;
    let (mut old_line, mut new_line) = (1, 1);
    // `changes` is sorted; a window over it would be faster, but a golden's difference is short or it is not read.
    for (at, (edit, text)) in edits.iter().enumerate() {
        if changes.len() > MOST_LINES && printed >= MOST_LINES {
            break;
        }
        if *edit != Edit::Same || (changes.len() <= MOST_LINES && shown(at)) {
            if gap {
                out.push_str(&format!("@@ line {old_line} expected, line {new_line} seen @@\n"));
                gap = false;
            }
            out.push(match edit {
                Edit::Same => ' ',
                Edit::Removed => '-',
                Edit::Added => '+',
            });
            out.push_str(text);
            out.push('\n');
            printed += 1;
        } else {
            gap = true;
        }
        old_line += usize::from(*edit != Edit::Added);
        new_line += usize::from(*edit != Edit::Removed);
    }
    if changes.len() > MOST_LINES {
        out.push_str(&format!("... and {} more changed lines\n", changes.len() - printed));
    }
    Some(out)
}

/// Like `str::lines`, but a missing line end at the end of the text is a difference that shows.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    match lines.last() {
        Some(&"") => {
            lines.pop();
        }
        _ => lines.push("\\ no line end at the end"),
    }
    lines
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Same,
    Removed,
    Added,
}

/// A shortest list of edits, by the longest common subsequence of what is between the common beginning and end.
fn edits<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(Edit, &'a str)> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_middle, new_middle) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut out: Vec<(Edit, &str)> = old[..head].iter().map(|line| (Edit::Same, *line)).collect();
    if old_middle.len().saturating_mul(new_middle.len()) > MOST_PAIRS {
        out.extend(old_middle.iter().map(|line| (Edit::Removed, *line)));
        out.extend(new_middle.iter().map(|line| (Edit::Added, *line)));
    } else {
        // longest[i][j]: length of the longest common subsequence of old_middle[i..] and new_middle[j..].
        let width = new_middle.len() + 1;
        let mut longest = vec![0u32; (old_middle.len() + 1) * width];
        for i in (0..old_middle.len()).rev() {
            for j in (0..new_middle.len()).rev() {
                longest[i * width + j] = if old_middle[i] == new_middle[j] {
                    longest[(i + 1) * width + j + 1] + 1
                } else {
                    longest[(i + 1) * width + j].max(longest[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < old_middle.len() || j < new_middle.len() {
            if i < old_middle.len() && j < new_middle.len() && old_middle[i] == new_middle[j] {
                out.push((Edit::Same, old_middle[i]));
                (i, j) = (i + 1, j + 1);
            } else if j == new_middle.len()
                || (i < old_middle.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1])
            {
                out.push((Edit::Removed, old_middle[i]));
                i += 1;
            } else {
                out.push((Edit::Added, new_middle[j]));
                j += 1;
            }
        }
    }
    out.extend(old[old.len() - tail..].iter().map(|line| (Edit::Same, *line)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_star_stands_for_any_text_of_a_line() {
        assert!(matches("incident RTU-001 * top=fan_speed *", "incident RTU-001 a..b top=fan_speed methods=rules"));
        assert!(matches("a*", "a") && matches("*", "") && matches("a*b*c", "abbbc") && matches("x", "x"));
        assert!(!matches("a*b", "abx") && !matches("x", "xy") && !matches("a*a", "a"));
    }

    #[test]
    fn hand_written_lines_are_checked_and_the_nearest_line_is_named() {
        let seen = "fates received=4\nstate d1 10:00 t=1\nlate d1 10:01\nlate d1 10:02\n";
        let broken = broken_expectations(
            &texts(&["fates received=4", "state d1 10:00 t=2", "incident d1 *"]),
            &texts(&["late d1", "dead_letter"]),
            seen,
        );
        expect![[r"
            must have the line
                wanted:  state d1 10:00 t=2
                nearest: state d1 10:00 t=1
            must have the line
                wanted:  incident d1 *
            must not have a line that begins with
                refused: late d1
                seen:    late d1 10:01
                and 1 more"]]
        .assert_eq(&broken.join("\n"));
    }

    #[test]
    fn a_difference_shows_a_few_lines_around_it_and_where_it_is() {
        let old: Vec<String> = (1..=20).map(|n| format!("line {n}")).collect();
        let mut new = old.clone();
        new[4] = "line five".to_owned();
        new.insert(18, "between".to_owned());
        let text = |lines: &[String]| lines.join("\n") + "\n";
        expect![[r"
            @@ line 2 expected, line 2 seen @@
             line 2
             line 3
             line 4
            -line 5
            +line five
             line 6
             line 7
             line 8
            @@ line 16 expected, line 16 seen @@
             line 16
             line 17
             line 18
            +between
             line 19
             line 20
        "]]
        .assert_eq(&diff(&text(&old), &text(&new)).expect("they differ"));
        assert_eq!(diff(&text(&old), &text(&old)), None);
        expect![[r"
            @@ line 1 expected, line 1 seen @@
             a
            +\ no line end at the end
        "]]
        .assert_eq(&diff("a\n", "a").expect("a line end is missing"));
    }

    #[test]
    fn a_long_difference_is_cut_and_says_so() {
        let old: String = (0..5_000).map(|n| format!("a{n}\n")).collect();
        let new: String = (0..5_000).map(|n| format!("b{n}\n")).collect();
        let text = diff(&old, &new).expect("they differ");
        assert_eq!(text.lines().count(), MOST_LINES + 2);
        assert!(text.ends_with("... and 9600 more changed lines\n"), "{}", &text[text.len() - 80..]);
    }

    proptest! {
        /// Taking the removed lines away and putting the added ones in makes the new text of the old one.
        #[test]
        fn edits_lead_from_one_text_to_the_other(old in proptest::collection::vec("[abc]", 0..12), new in proptest::collection::vec("[abc]", 0..12)) {
            let old: Vec<&str> = old.iter().map(String::as_str).collect();
            let new: Vec<&str> = new.iter().map(String::as_str).collect();
            let edits = edits(&old, &new);
            let without = |drop: Edit| edits.iter().filter(|(edit, _)| *edit != drop).map(|(_, line)| *line).collect::<Vec<_>>();
            prop_assert_eq!(without(Edit::Added), old);
            prop_assert_eq!(without(Edit::Removed), new);
        }
    }
}
