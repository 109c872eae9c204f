//! The known name that is most similar to a misspelt one, for "did you mean" hints.

/// The longest name that is compared.
const LONGEST: usize = 64;

/// The known name with the smallest edit distance, if it is similar enough.
pub(super) fn closest_match<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_lowercase();
    if written.len() > LONGEST {
        return None;
    }
    let known = known.into_iter().filter(|known| known.len() <= LONGEST);
    let (distance, name) =
        known.map(|known| (distance(&written, known), known)).min_by_key(|(distance, _)| *distance)?;
    // At most a third of the letters may be wrong.
    let limit = (written.chars().count().max(name.chars().count()) / 3).max(1);
    (distance <= limit).then_some(name)
}

/// Edit distance: insertions, deletions, replacements, and swaps of neighbours.
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
    fn finds_typos_but_not_other_words() {
        let known = ["step", "expect", "deadline", "at_least", "at_most"];
        for (written, expected) in [("setp", "step"), ("steps", "step"), ("Expect", "expect"), ("atleast", "at_least")]
        {
            assert_eq!(closest_match(written, known), Some(expected), "{written}");
        }
        for written in ["sleep", "shell", "", &"x".repeat(1000)] {
            assert_eq!(closest_match(written, known), None, "{written}");
        }
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "acb"), 1);
    }
}
