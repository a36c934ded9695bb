//! Inside `src` a module uses only modules that stand above it in `lib.rs`.

use crate::repository::{TextFile, code_of};

/// Every use that points down.
pub(super) fn broken(files: &[TextFile]) -> Vec<String> {
    let Some(library) = files.iter().find(|file| file.path == "src/lib.rs") else {
        return vec!["src/lib.rs is missing".into()];
    };
    let order = order_of(&library.text);
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is_in("src") && file.is(".rs")) {
        let Some(module) = module_of(&file.path) else { continue };
        let Some(place) = order.iter().position(|name| *name == module) else {
            problems.push(format!("{}: the module {module} is not in src/lib.rs", file.path));
            continue;
        };
        // Tests may look anywhere: nothing is built on them.
        for used in uses(&production(&file.text)) {
            match order.iter().position(|name| *name == used) {
                Some(at) if at > place => problems.push(format!(
                    "{}: uses crate::{used}, which stands below {module} in src/lib.rs",
                    file.path
                )),
                _ => {}
            }
        }
    }
    problems
}

/// The modules of the library in their order.
fn order_of(library: &str) -> Vec<&str> {
    let lines = library.lines().map(str::trim);
    let declared =
        lines.filter_map(|line| line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod "));
    declared.filter_map(|rest| rest.strip_suffix(';')).collect()
}

/// The top module that a file belongs to. A separate file of tests belongs to none.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    if inside == "lib.rs" || inside.ends_with("/tests.rs") {
        return None;
    }
    Some(inside.split_once('/').map_or(inside, |(folder, _)| folder).trim_end_matches(".rs"))
}

/// The code before the tests, without comments.
fn production(text: &str) -> String {
    code_of(text.split_once("#[cfg(test)]").map_or(text, |(code, _)| code))
}

/// Modules named as `crate::module`, also in a group `crate::{one, two::Thing}`.
fn uses(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            names.extend(group_names(group));
        } else {
            names.push(name_of(rest));
        }
    }
    names
}

/// The first name of each member of a group.
fn group_names(group: &str) -> Vec<String> {
    let mut depth = 0usize;
    let mut members = vec![String::new()];
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            _ => {}
        }
        members.last_mut().expect("there is always one").push(character);
    }
    members.iter().map(|member| name_of(member.trim_start_matches([',', ' ', '\n']))).collect()
}

fn name_of(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn only_uses_of_modules_below_are_named() {
        let files = [
            file("src/lib.rs", "mod id;\n\npub mod op;\n\npub mod tx;\n"),
            file("src/id.rs", "// crate::tx\n#[cfg(test)]\nmod tests { use crate::tx; }"),
            file("src/op/deposit.rs", "use crate::{id::Id, tx::{Tx, op}};"),
            file("src/tx.rs", "use crate::op::Op; use crate::id;"),
            file("src/lost.rs", ""),
        ];
        assert_eq!(
            broken(&files),
            [
                "src/op/deposit.rs: uses crate::tx, which stands below op in src/lib.rs",
                "src/lost.rs: the module lost is not in src/lib.rs",
            ]
        );
    }
}
