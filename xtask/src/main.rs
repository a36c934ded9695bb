//! Chores of the repository: `tidy`, `vectors`, `docs`, `figures`, `poseidon2`, `mutants`, `cycle`, `test`.

mod cycle;
mod docs;
mod figures;
mod mutants;
mod poseidon2;
mod presets;
mod repository;
mod test;
mod tidy;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the repository.
#[derive(Parser)]
#[command(name = "xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Checks what the repository says of itself: edges, order, sizes, words, fresh vectors and tables.
    Tidy,
    /// Writes vectors/*.json from the protocol.
    Vectors,
    /// Writes the tables in docs/protocol from the declared layouts.
    Docs,
    /// Measures what this project claims of itself (constraints, gas, bytes of code) and prints it as a table.
    Figures(figures::Options),
    /// Derives the parameters of Poseidon2 from their generator and compares them with src/hash.
    Poseidon2,
    /// Runs every test: contract artifacts, forge, and the workspace. The last line counts them.
    Test,
    /// Runs a seeded sample of mutants of the protocol against its tests and says how many they notice.
    Mutants(mutants::Options),
    /// Measures a clean build and, for each crate, an edit until its tests have run, in the development profile.
    Cycle(cycle::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    let root = repository::root();
    match Arguments::parse().chore {
        Chore::Tidy => {
            let problems = tidy::problems(&root)?;
            for warning in &problems.warnings {
                eprintln!("warning: {warning}");
            }
            for failure in &problems.failures {
                eprintln!("error: {failure}");
            }
            eprintln!("{} errors", problems.failures.len());
            let code = u8::from(!problems.failures.is_empty());
            Ok(ExitCode::from(code))
        }
        Chore::Vectors => {
            vectors::write(&root)?;
            Ok(ExitCode::SUCCESS)
        }
        Chore::Docs => {
            docs::write(&root)?;
            Ok(ExitCode::SUCCESS)
        }
        Chore::Figures(options) => {
            figures::run(&root, &options)?;
            Ok(ExitCode::SUCCESS)
        }
        Chore::Poseidon2 => {
            let code = u8::from(poseidon2::check() > 0);
            Ok(ExitCode::from(code))
        }
        Chore::Test => test::run(&root),
        Chore::Mutants(options) => mutants::run(&root, &options),
        Chore::Cycle(options) => cycle::run(&root, &options),
    }
}
