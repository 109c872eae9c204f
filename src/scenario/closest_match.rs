//! The known name that is most similar to a misspelt one, for "did you mean" hints.

/// The longest name that is compared.
const LONGEST: usize = 64;

/// The known name with the smallest edit distance (insertions, deletions, replacements, and swaps of neighbours), if it
/// is similar enough.
#[must_use]
pub fn closest_match<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_lowercase();
    if written.len() > LONGEST {
        return None;
    }
    let known = known.into_iter().filter(|known| known.len() <= LONGEST);
    let (distance, name) =
        known.map(|known| (strsim::osa_distance(&written, known), known)).min_by_key(|(distance, _)| *distance)?;
    // At most a third of the letters may be wrong.
    let limit = (written.chars().count().max(name.chars().count()) / 3).max(1);
    (distance <= limit).then_some(name)
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
        assert_eq!(closest_match("tap", ["apt"]), None, "a third of three letters is one");
        assert_eq!(closest_match("crahs", ["crash"]), Some("crash"), "a swap counts once");
    }
}
