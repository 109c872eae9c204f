//! Text with control characters, and the check that an output contains none.

/// Writes to the clipboard, rings the bell, returns to the start of the line, changes colours with a C1 control, forges
/// an error line, and reverses the writing direction.
pub const HOSTILE: &str = "x\u{1b}]52;c;eHh4\u{7}\r\u{9b}31m\nerror: forged\u{202e}\u{200b}";

/// Requires that a text contains no control characters except line breaks, and no forged line.
pub fn assert_printable(text: &str, of: &str) {
    let steers = |character: char| {
        (character.is_control() && character != '\n') || matches!(character, '\u{202a}'..='\u{202e}' | '\u{200b}')
    };
    if let Some(at) = text.find(steers) {
        let from = (0..=at.saturating_sub(80)).rev().find(|from| text.is_char_boundary(*from)).unwrap_or_default();
        panic!("{of}: {:?} in {:?}", text[at..].chars().next(), text[from..].chars().take(200).collect::<String>());
    }
    assert!(!text.contains("\nerror: forged"), "{of}: forged line in\n{text}");
}
