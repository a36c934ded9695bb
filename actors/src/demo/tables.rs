//! Tables at the end.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use zklink::shape::shape;
use zklink_circuit::proving::ShapeKeys;

use super::story::{AccountStory, Check};
use crate::local::books::TokenBook;
use crate::local::watch::{Record, Settled};
use crate::local::{COIN, USDC};
use crate::show::{decimal, group};

/// Columns of a table where the terminal does not say how wide it is.
const WIDTH: u16 = 118;
/// A terminal with fewer columns gets long lines rather than tables of one letter a line.
const WIDTH_MIN: u16 = 72;

fn table(title: &str, header: &[&str]) -> (String, Table) {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header.iter().copied());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    // Some terminals say that they have no columns.
    if !table.is_tty() || table.width().is_none_or(|columns| columns < WIDTH_MIN) {
        table.set_width(WIDTH);
    }
    (format!("\n{title}"), table)
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn number(number: impl ToString) -> Cell {
    right(group(&number.to_string()))
}

/// Each block with its work, then each of its transactions.
pub(super) fn blocks(record: &Record, keys: &ShapeKeys) -> String {
    let header = ["block", "shape", "operations", "constraints", "witness ms", "proof ms", "gas"];
    let (title, mut blocks) = table("Blocks", &header);
    let (steps_title, mut steps) = table("Settlement", &["block", "chain", "step", "gas"]);
    for (id, block) in &record.blocks {
        let gas: u64 = block.transactions.iter().map(Settled::gas_of_block).sum();
        let constraints = keys.get(block.shape).map_or(0, |key| key.constraints());
        blocks.add_row([
            right(id),
            Cell::new(shape(block.shape).map_or("?", |shape| shape.name)),
            number(block.ops),
            number(constraints),
            number(block.witness_ms),
            number(block.prove_ms),
            number(gas),
        ]);
        for tx in &block.transactions {
            // One that settled several blocks is shown at the first of them.
            if tx.blocks.is_none_or(|(first, _)| first == *id) {
                steps.add_row(step(blocks_of(tx), tx));
            }
        }
    }
    for tx in &record.messages {
        steps.add_row(step(String::new(), tx));
    }
    format!("{title}\n{blocks}\n{steps_title}\n{steps}")
}

fn blocks_of(tx: &Settled) -> String {
    match tx.blocks {
        Some((first, last)) if first == last => first.to_string(),
        Some((first, last)) => format!("{first} to {last}"),
        None => String::new(),
    }
}

fn step(block: String, tx: &Settled) -> [Cell; 4] {
    [right(block), right(tx.chain), Cell::new(&tx.step), number(tx.gas)]
}

/// What the rollup owes against what the contracts have.
pub(super) fn books(books: &[TokenBook]) -> String {
    let header =
        ["token", "chain", "pool", "contract has", "locked", "pending", "unconsumed", "covered"];
    let (title, mut chains) = table("Contracts (in tokens)", &header);
    let sums_header = ["token", "balances on L2", "pools", "equal"];
    let (sums_title, mut sums) = table("Rollup (in tokens)", &sums_header);
    for book in books {
        for chain in &book.chains {
            let units = |amount| right(decimal(amount, chain.decimals));
            chains.add_row([
                Cell::new(&book.symbol),
                right(chain.chain),
                right(decimal(chain.pool.0, 18)),
                units(chain.held),
                units(chain.locked),
                units(chain.pending),
                units(chain.unconsumed),
                Cell::new(yes(chain.is_covered())),
            ]);
        }
        sums.add_row([
            Cell::new(&book.symbol),
            right(decimal(book.liabilities.0, 18)),
            right(decimal(book.pools.0, 18)),
            Cell::new(yes(book.liabilities == book.pools)),
        ]);
    }
    format!("{title}\n{chains}\n{sums_title}\n{sums}")
}

/// Everybody before and after, in tokens.
pub(super) fn accounts(accounts: &[AccountStory]) -> String {
    let header = ["who", "where", "token", "before", "after"];
    let (title, mut people) =
        table("People (coins on chains pay for gas and are left out)", &header);
    for account in accounts {
        let l1 = account.before.l1.iter().zip(&account.after.l1);
        for ((chain, token, decimals, before), (_, _, _, after)) in l1 {
            if *token == USDC && (*before, *after) != (0, 0) {
                let place = format!("chain {chain}");
                let amounts = [decimal(*before, *decimals), decimal(*after, *decimals)];
                people.add_row(person(account.name, &place, "USDC", amounts));
            }
        }
        for ((token, before), (_, after)) in account.before.l2.iter().zip(&account.after.l2) {
            if (*before, *after) != (0, 0) {
                let symbol = if *token == COIN { "COIN" } else { "USDC" };
                let amounts = [decimal(*before, 18), decimal(*after, 18)];
                people.add_row(person(account.name, "L2", symbol, amounts));
            }
        }
    }
    format!("{title}\n{people}")
}

fn person(name: &str, place: &str, symbol: &str, [before, after]: [String; 2]) -> [Cell; 5] {
    [Cell::new(name), Cell::new(place), Cell::new(symbol), right(before), right(after)]
}

/// What was expected.
pub(super) fn checks(checks: &[Check], solvent: bool) -> String {
    let (title, mut expected) = table("Expectations", &["expected", "met", "found"]);
    for check in checks {
        expected.add_row([check.what.as_str(), yes(check.met), check.found.as_str()]);
    }
    let what = "users own what the chains owe, and every contract has what it owes";
    expected.add_row([what, yes(solvent), "the tables above"]);
    format!("{title}\n{expected}")
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "NO" }
}
