//! Owns text as an enemy would choose it, and the search for it in what the program says.

/// Writes to the clipboard, rings, goes back to the line's begin, recolours by a C1 control, forges a line and turns the
/// direction of writing.
pub const HOSTILE: &str = "x\u{1b}]52;c;eHh4\u{7}\r\u{9b}31m\nerror: forged\u{202e}\u{200b}";

/// Requires that a text does nothing to a terminal but break lines, and that no line of it was forged.
pub fn assert_printable(text: &str, of: &str) {
    let steers = |character: char| {
        (character.is_control() && character != '\n') || matches!(character, '\u{202a}'..='\u{202e}' | '\u{200b}')
    };
    if let Some(at) = text.find(steers) {
        let from = (0..=at.saturating_sub(80)).rev().find(|from| text.is_char_boundary(*from)).unwrap_or_default();
        panic!("{of}: {:?} in {:?}", text[at..].chars().next(), text[from..].chars().take(200).collect::<String>());
    }
    assert!(!text.contains("\nerror: forged"), "{of}: a forged line in\n{text}");
}
