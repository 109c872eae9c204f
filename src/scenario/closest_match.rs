//! Owns what somebody may have meant who wrote a name that is not known.

/// The longest name that is compared; a longer one resembles nothing.
const LONGEST: usize = 64;

/// The known name that is written most like this one, if one is.
pub(super) fn closest_match<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_lowercase();
    if written.len() > LONGEST {
        return None;
    }
    let known = known.into_iter().filter(|known| known.len() <= LONGEST);
    let (distance, name) =
        known.map(|known| (distance(&written, known), known)).min_by_key(|(distance, _)| *distance)?;
    // A third of the letters may be wrong.
    let bearable = (written.chars().count().max(name.chars().count()) / 3).max(1);
    (distance <= bearable).then_some(name)
}

/// Letters to insert, delete, replace or swap with their neighbour until one word is the other.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, one) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, other) in right.iter().enumerate() {
            let mut least = (above[j] + usize::from(one != other)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *one == right[j - 1] && left[i - 1] == *other {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_recognized_and_another_word_is_not() {
        let known = ["step", "expect", "deadline", "at_least", "at_most"];
        for (written, meant) in [("setp", "step"), ("steps", "step"), ("Expect", "expect"), ("atleast", "at_least")] {
            assert_eq!(closest_match(written, known), Some(meant), "{written}");
        }
        for written in ["sleep", "shell", "", &"x".repeat(1000)] {
            assert_eq!(closest_match(written, known), None, "{written}");
        }
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "acb"), 1);
    }
}
