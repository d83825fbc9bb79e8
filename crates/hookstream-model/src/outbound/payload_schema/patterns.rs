//! Cost of a regular expression: an estimate by its text, before it is compiled.

/// Maximum number of states of a pattern.
pub(super) const STATES_MAX: u64 = 5_000;
/// Number of states that a class of Unicode properties counts as.
const PROPERTY_STATES: u64 = 50;
/// Number of states that are simulated in one step, for 32 bytes of a string.
const STATES_A_STEP: u64 = 2;
/// Cost of a backtracking pattern, in steps for 32 bytes.
const BACKTRACKING_COST: u64 = 200;

/// Estimates the states of the pattern's automaton: its characters, times their counted repetitions.
pub(super) fn states(pattern: &str) -> u64 {
    // One sum for each open group; a repetition applies to the last atom of each.
    let mut open = vec![Sum::default()];
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\\' => {
                let is_property = matches!(characters.next(), Some('p' | 'P'));
                if is_property && characters.next_if_eq(&'{').is_some() {
                    characters.by_ref().find(|c| *c == '}');
                } else if is_property {
                    characters.next();
                }
                open.last_mut().expect("never empty").add(if is_property { PROPERTY_STATES } else { 1 });
            }
            '[' => {
                let mut weight = 1;
                let mut is_escaped = false;
                for c in characters.by_ref() {
                    match c {
                        'p' | 'P' if is_escaped => weight += PROPERTY_STATES,
                        ']' if !is_escaped => break,
                        _ => {}
                    }
                    is_escaped = c == '\\' && !is_escaped;
                }
                open.last_mut().expect("never empty").add(weight);
            }
            '(' => open.push(Sum::default()),
            ')' if open.len() > 1 => {
                let inner = open.pop().expect("more than one").total();
                open.last_mut().expect("never empty").add(inner.max(1));
            }
            '{' => {
                let mut digits = String::new();
                while let Some(c) = characters.next_if(|c| c.is_ascii_digit() || *c == ',') {
                    digits.push(c);
                }
                if characters.next_if_eq(&'}').is_some() {
                    let count = digits.split(',').filter_map(|number| number.parse().ok()).max().unwrap_or(1);
                    open.last_mut().expect("never empty").repeat(count);
                }
            }
            '*' | '+' | '?' | '|' | '^' | '$' => {}
            _ => open.last_mut().expect("never empty").add(1),
        }
    }
    open.into_iter().fold(0, |sum, group| sum.saturating_add(group.total()))
}

/// Cost of matching 32 bytes of a string, in steps.
pub(super) fn cost(pattern: &str) -> u64 {
    if backtracks(pattern) {
        return BACKTRACKING_COST;
    }
    1 + states(pattern) / STATES_A_STEP
}

/// Returns true if a pattern has lookaround or a back-reference, which no automaton can handle.
fn backtracks(pattern: &str) -> bool {
    let has_reference = pattern.as_bytes().windows(2).any(|pair| pair[0] == b'\\' && matches!(pair[1], b'1'..=b'9' | b'k'));
    has_reference || ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look))
}

#[derive(Default)]
struct Sum {
    before: u64,
    last: u64,
}

impl Sum {
    fn add(&mut self, states: u64) {
        self.before = self.total();
        self.last = states;
    }

    fn repeat(&mut self, count: u64) {
        self.last = self.last.saturating_mul(count.max(1));
    }

    fn total(&self) -> u64 {
        self.before.saturating_add(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_count_characters_times_repetitions() {
        let check = |pattern: &str, expected: u64| assert_eq!(states(pattern), expected, "{pattern}");
        check("", 0);
        check("^abc$", 3);
        check("[a-z0-9]+", 1);
        check("a{10}", 10);
        check("a{2,10}b", 11);
        check("a{3,}", 3);
        check("(ab){5}", 10);
        check("((a{10}){10}){10}", 1_000);
        check("\\p{L}{120}", 6_000);
        check("0\\pL{120}", 6_001);
        check("[\\p{L}x]{2}", 102);
        check("\\{3}", 3);
        check("a{x}", 3);
        check("(a", 1);
        check("a)", 2);
        check("((((a{1000}){1000}){1000}){1000}){1000}", 1_000_000_000_000_000);
    }
}
