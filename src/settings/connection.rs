//! Owns the client properties that a user may set: each checked against what the program owns, with the place where it stands.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::usage;
use crate::exit::Failure;
use crate::kafka::{is_secret, owned_property};

pub(super) fn property(key: &str, value: &str, place: &str) -> Result<(String, String), Failure> {
    if let Some(reason) = owned_property(key) {
        return Err(usage(format!("{place}: the program owns this property: {reason}")).hint("leave it out"));
    }
    if key.is_empty() {
        return Err(usage(format!("{place}: a property without a name")).hint("write key=value, as in linger.ms=20"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn properties_file(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        usage(format!("{} cannot be read: {error}", path.display())).hint("check -F and the file's permissions")
    })?;
    let open_to_all = std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0);
    let mut properties = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let place = format!("{}:{number}", path.display());
        let (key, value) =
            line.split_once('=').ok_or_else(|| usage(format!("{place}: no value")).hint("write key=value"))?;
        let (key, value) = property(key.trim(), value.trim(), &place)?;
        if open_to_all && is_secret(&key) && !key.ends_with(".location") {
            return Err(usage(format!("{place}: {key} stands in a file that every user of this machine can read"))
                .hint(format!("chmod 600 {}", path.display())));
        }
        properties.push((key, value));
    }
    Ok(properties)
}
