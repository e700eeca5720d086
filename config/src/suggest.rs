//! "Did you mean": the nearest of the words that would have been accepted.

/// `did you mean …?`, if a candidate is near: one edit for each three characters, one at least.
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let length = word.chars().count();
    if length > 64 {
        return None;
    }
    let plain = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&plain, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, _)| *distance <= (length / 3).max(1))
        .min()
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}

/// `a`, `b` and `c` in backticks.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_word_within_reach() {
        let words = ["timeouts", "routes", "rate_limits"];
        assert_eq!(did_you_mean("timeout", words).as_deref(), Some("did you mean `timeouts`?"));
        assert_eq!(did_you_mean("rate-limits", words).as_deref(), Some("did you mean `rate_limits`?"));
        assert_eq!(did_you_mean("ruotes", words).as_deref(), Some("did you mean `routes`?"));
        assert_eq!(did_you_mean("zebra", words), None);
    }
}
