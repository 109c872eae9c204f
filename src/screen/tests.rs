//! A process with a screen that panics or exits: each test runs itself on a pseudo-terminal.

use std::process::Command;

use rustix::termios::{LocalModes, tcgetattr};

use super::*;
use crate::frame::{Cell, Column, Kind, Rest, Row, Table};

#[path = "../../tests/support/pseudo_terminal.rs"]
#[allow(dead_code, clippy::disallowed_methods, reason = "this test uses a part of it, and tests use the clock")]
mod pseudo_terminal;

use pseudo_terminal::PseudoTerminal;

/// Opens a screen and waits until it is shown.
fn shown() -> Screen {
    let screen = Screen::open(Output::Stdout, true, &Shutdown::default()).expect("opened");
    let row = Row { cells: vec![Cell::Text("a total".to_owned())], rank: 0, amount: None };
    let columns = vec![Column::new("", Kind::Note, 0)];
    let totals = vec![Table { columns, rows: vec![row], rest: Rest::default() }];
    assert!(screen.draw(Frame { totals, ..Frame::default() }));
    while tcgetattr(io::stdin()).expect("a terminal").local_modes.contains(LocalModes::ICANON) {
        clock::pause(Duration::from_millis(5));
    }
    screen
}

fn restore_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        restore();
        eprintln!("reported: {panic}");
    }));
}

/// Runs an ignored test on a terminal, and returns its output.
fn on_terminal(test: &str) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", &format!("screen::tests::{test}"), "--ignored", "--nocapture"]).env("TERM", "xterm");
    let terminal = PseudoTerminal::start(command, None, 24, 80);
    let ended = terminal.end();
    let bytes = String::from_utf8_lossy(&ended.bytes).into_owned();
    let entered = bytes.find("\u{1b}[?1049h").expect("the screen was entered");
    let left = bytes.find("\u{1b}[?1049l").expect("the screen was left");
    let reported = bytes.find("reported:").expect("a report");
    assert!(entered < left && left < reported, "{bytes:?}");
    ended.text
}

#[test]
#[ignore = "run by the test of the same name on a terminal"]
fn child_panics() {
    restore_on_panic();
    let _screen = shown();
    panic!("on purpose");
}

#[test]
fn panic_is_reported_on_the_normal_screen() {
    let text = on_terminal("child_panics");
    assert!(text.contains("on purpose") && !text.contains("a total"), "{text}");
}

#[test]
#[ignore = "run by the test of the same name on a terminal"]
fn child_panics_while_drawing() {
    restore_on_panic();
    let screen = shown();
    let _held = lock(&screen.shared.terminal.picture);
    panic!("while drawing");
}

#[test]
fn panic_while_drawing_restores_the_terminal() {
    let text = on_terminal("child_panics_while_drawing");
    assert!(text.contains("while drawing") && !text.contains("a total"), "{text}");
}
