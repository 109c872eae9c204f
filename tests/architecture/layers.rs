//! The table of modules and layers in `docs/ARCHITECTURE.md`.

use std::collections::BTreeMap;

/// Modules by the name that a path uses for them.
#[derive(Debug)]
pub struct Layers {
    pub modules: BTreeMap<String, Module>,
}

/// One row of the table.
#[derive(Debug)]
pub struct Module {
    /// Its name in `src/`: `kafka/` or `exit.rs`.
    pub entry: String,
    pub layer: u32,
    /// Not built yet.
    pub planned: bool,
}

impl Layers {
    /// Reads the first table with the heading `| module | layer | contents |`.
    ///
    /// # Errors
    ///
    /// What is wrong with the table.
    pub fn read(page: &str) -> Result<Self, String> {
        let rows = page.lines().map(str::trim).skip_while(|line| *line != "| module | layer | contents |").skip(2);
        let mut modules = BTreeMap::new();
        for row in rows.take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [entry, layer, contents] = cells[..] else {
                return Err(format!("expected three cells in a row: {row}"));
            };
            let entry = entry.trim_matches('`');
            let Some(name) = entry.strip_suffix('/').or(entry.strip_suffix(".rs")) else {
                return Err(format!("{entry} is neither a directory nor a Rust file"));
            };
            let layer = layer.parse().map_err(|_| format!("{entry} has no layer: {layer:?}"))?;
            if contents.is_empty() {
                return Err(format!("{entry} has no contents"));
            }
            let module = Module { entry: entry.to_owned(), layer, planned: contents.starts_with("planned") };
            if modules.insert(name.to_owned(), module).is_some() {
                return Err(format!("{name} occurs twice"));
            }
        }
        if modules.is_empty() { Err("the page has no table of modules".to_owned()) } else { Ok(Self { modules }) }
    }
}

#[test]
fn refuses_a_broken_table_with_its_reason() {
    let table =
        |rows: &str| Layers::read(&format!("text\n| module | layer | contents |\n| --- | --- | --- |\n{rows}\nmore"));
    let refusal = |rows: &str| table(rows).expect_err("the table is broken");
    assert!(table("| `a/` | 0 | a |\n| `b.rs` | 5 | planned: b |").is_ok_and(|layers| layers.modules["b"].planned));
    assert_eq!(refusal(""), "the page has no table of modules");
    assert_eq!(refusal("| `a/` | 0 |"), "expected three cells in a row: | `a/` | 0 |");
    assert_eq!(refusal("| `a` | 0 | a |"), "a is neither a directory nor a Rust file");
    assert_eq!(refusal("| `a/` | low | a |"), "a/ has no layer: \"low\"");
    assert_eq!(refusal("| `a/` | 0 | |"), "a/ has no contents");
    assert_eq!(refusal("| `a/` | 0 | a |\n| `a.rs` | 0 | a |"), "a occurs twice");
}
