//! Owns the plan of the house: the table of rooms and ranks in `docs/ARCHITECTURE.md`.

use std::collections::BTreeMap;

/// Rooms by the name that a path uses for them.
#[derive(Debug)]
pub struct Plan {
    pub rooms: BTreeMap<String, Room>,
}

/// One row of the table.
#[derive(Debug)]
pub struct Room {
    /// As it stands in `src/`: `kafka/` or `exit.rs`.
    pub entry: String,
    pub rank: u32,
    /// Planned, not built.
    pub to_come: bool,
}

impl Plan {
    /// Reads the first table headed `| room | rank | owns |`; says what is wrong with it.
    pub fn read(page: &str) -> Result<Self, String> {
        let rows = page.lines().map(str::trim).skip_while(|line| *line != "| room | rank | owns |").skip(2);
        let mut rooms = BTreeMap::new();
        for row in rows.take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [entry, rank, owns] = cells[..] else { return Err(format!("a row has not three cells: {row}")) };
            let entry = entry.trim_matches('`');
            let Some(name) = entry.strip_suffix('/').or(entry.strip_suffix(".rs")) else {
                return Err(format!("{entry} is neither a folder nor a file of Rust"));
            };
            let rank = rank.parse().map_err(|_| format!("{entry} has no rank: {rank:?}"))?;
            if owns.is_empty() {
                return Err(format!("{entry} owns nothing"));
            }
            let room = Room { entry: entry.to_owned(), rank, to_come: owns.starts_with("to come") };
            if rooms.insert(name.to_owned(), room).is_some() {
                return Err(format!("{name} stands there twice"));
            }
        }
        if rooms.is_empty() { Err("there is no table of rooms".to_owned()) } else { Ok(Self { rooms }) }
    }
}

#[test]
fn a_broken_table_is_refused_with_its_reason() {
    let table = |rows: &str| Plan::read(&format!("text\n| room | rank | owns |\n| --- | --- | --- |\n{rows}\nmore"));
    let refusal = |rows: &str| table(rows).expect_err("the table is broken");
    assert!(table("| `a/` | 0 | a |\n| `b.rs` | 5 | to come: b |").is_ok_and(|plan| plan.rooms["b"].to_come));
    assert_eq!(refusal(""), "there is no table of rooms");
    assert_eq!(refusal("| `a/` | 0 |"), "a row has not three cells: | `a/` | 0 |");
    assert_eq!(refusal("| `a` | 0 | a |"), "a is neither a folder nor a file of Rust");
    assert_eq!(refusal("| `a/` | low | a |"), "a/ has no rank: \"low\"");
    assert_eq!(refusal("| `a/` | 0 | |"), "a/ owns nothing");
    assert_eq!(refusal("| `a/` | 0 | a |\n| `a.rs` | 0 | a |"), "a stands there twice");
}
