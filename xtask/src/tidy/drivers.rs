//! What runs in a node runs in the World too, from a seed: drivers start nothing and choose nothing behind its back.

use crate::repository::TextFile;

/// The crates whose drivers run in the World.
const CRATES: [&str; 6] = [
    "chain/src",
    "actors/mechanism/src",
    "actors/store/src",
    "actors/prover/src",
    "actors/settlement/src",
    "actors/node/src",
];
/// Where tasks and threads are started all the same: by what a node runs on, around its wiring, and for tests.
const STARTERS: [&str; 10] = [
    "actors/mechanism/src/host.rs",
    "actors/mechanism/src/platform.rs",
    "actors/prover/src/prover.rs",
    "actors/node/src/node.rs",
    "actors/node/src/gateway.rs",
    "actors/node/src/gateway/",
    "actors/node/src/config/connect.rs",
    "actors/mechanism/src/shell.rs",
    "actors/mechanism/src/world.rs",
    "chain/src/testing/",
];
/// What starts a task or a thread. `spawn(` alone, so that no import and no handle hides it.
const STARTS: [&str; 4] = ["spawn(", "spawn_blocking(", "JoinSet", "thread::"];

/// Every driver that the World could not hold.
pub(super) fn broken(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    let is_ours = |file: &&TextFile| CRATES.iter().any(|of| file.is_in(of)) && !is_test(&file.path);
    for file in files.iter().filter(is_ours) {
        let starts = STARTERS.iter().any(|place| {
            file.path == *place || place.ends_with('/') && file.path.starts_with(place)
        });
        if starts {
            continue;
        }
        // What is behind the tests of a file is none of its code; a declaration of tests elsewhere is.
        let tests = "#[cfg(test)]\nmod tests {";
        let code = file.text.split_once(tests).map_or(&*file.text, |(code, _)| code);
        let lines: Vec<&str> = code.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with("//") {
                continue;
            }
            let mut say = |what: String| problems.push(format!("{}:{}: {what}", file.path, at + 1));
            if line.contains("select!") && lines.get(at + 1) != Some(&"biased;") {
                say("select! is biased: its order is random otherwise, and no seed repeats it"
                    .into());
            }
            for start in STARTS.iter().filter(|start| line.contains(**start)) {
                say(format!(
                    "{start}..) is for Platform::drive and Offload, which the World knows"
                ));
            }
        }
    }
    problems
}

/// The places that the rule excepts.
pub(super) fn excepted() -> &'static [&'static str] {
    &STARTERS
}

fn is_test(path: &str) -> bool {
    ["tests.rs", "settlement/src/requests.rs", "settlement/src/replicas.rs"]
        .iter()
        .any(|end| path.ends_with(end))
        || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        broken(&[TextFile { path: path.into(), text: text.into() }])
    }

    #[test]
    fn a_driver_that_starts_a_task_or_draws_lots_is_named() {
        let path = "actors/settlement/src/driver.rs";
        assert_eq!(check(path, "tokio::spawn(x);").len(), 1);
        assert_eq!(check(path, "let x = tokio::select! {\n    x = y => x,\n};").len(), 1);
        assert_eq!(check(path, "tokio::select! {\n    biased;\n    x = y => x,\n};"), [""; 0]);
        assert_eq!(check(path, "runtime.spawn(x);").len(), 1);
        assert_eq!(check(path, "#[cfg(test)]\nmod tests;\ntokio::spawn(x);").len(), 1);
        assert_eq!(check(path, "#[cfg(test)]\nmod tests {\n tokio::spawn(x);\n}"), [""; 0]);
        assert_eq!(check("actors/mechanism/src/host.rs", "tokio::spawn(x);"), [""; 0]);
        assert_eq!(check("actors/src/demo.rs", "tokio::spawn(x);"), [""; 0]);
    }
}
