//! Case folding, for searches that ignore upper and lower case.

/// Returns the case-folded form of a string. Two strings that differ only in upper and lower case have the same form.
/// The form of a part of a string is a part of the form of the string, so a search for a substring can compare forms.
#[must_use]
pub fn folded(text: &str) -> String {
    // The conversion to upper case first makes variants of a letter equal, such as the two small forms of sigma. The
    // function converts each character on its own, because `str::to_lowercase` depends on the next character.
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_and_lower_case_are_equal_in_every_script() {
        assert_eq!(folded("ÄRZTE Straße"), folded("ärzte STRASSE"));
        assert_eq!(folded("ΟΔΟΣ"), folded("οδος"));
        assert_ne!(folded("a"), folded("ä"));
    }

    #[test]
    fn the_form_of_a_part_is_a_part_of_the_form() {
        let (whole, part) = ("ΟΔΟΣΑΒ", "ΟΔΟΣ");
        assert!(folded(whole).contains(&folded(part)));
    }
}
