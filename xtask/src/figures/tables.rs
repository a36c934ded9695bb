//! The tables of figures in the documents.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::{FILE, Figures};

/// What the circuit is made of: title in `docs/circuit.md`, and figure.
const PARTS: [(&str, &str); 11] = [
    ("Signed slot, any type", "slot_signed_in_all"),
    ("Signed slot without access to cells", "slot_signed"),
    ("Queue slot", "slot_queue"),
    ("Account, below its page (8 levels)", "account"),
    ("Page of accounts (4 levels)", "account_page"),
    ("Sub-account (3 levels)", "sub_account"),
    ("Balance, below its page (3 levels)", "balance"),
    ("Page of balances (5 levels)", "balance_page"),
    ("Chain (3 levels)", "chain"),
    ("Pool, below its page (3 levels)", "pool"),
    ("Page of pools (5 levels)", "pool_page"),
];

/// Title and beginning of the figures of each mix, and its fill rate.
const MIXES: [(&str, &str, &str); 3] = [
    ("1,000 users, shape wide", "retail_128", "retail"),
    ("3 users, shape deep", "three_users_128", "three_users_128"),
    ("3 users, shape deepest", "three_users_512", "three_users_512"),
];

/// Figure, what it is beside its name, that of the first edition, and its bar.
const BARS: [(&str, &str, &str, &str); 11] = [
    ("circuit.retail_128_per_op", " (1,000 users)", "59,126", "30,000"),
    ("circuit.retail_fill_rate", "", "", "0.75"),
    ("circuit.three_users_128_per_op", "", "48,234", "6,000"),
    ("circuit.three_users_512_per_op", "", "", "6,000"),
    ("circuit.slot_signed", " (without access to cells)", "", "4,000"),
    ("circuit.slot_queue", "", "", ""),
    ("contracts.hub_bytes_free", "", "5,000", "14,000"),
    ("contracts.rollup_bytes_free", "", "", "10,000"),
    ("gas.transfers_1000_per_op", " (`commitAndProve`)", "1,590", "1,300"),
    ("gas.commit_1000_withdrawals", "", "4,200,000", "1,880,000"),
    ("gas.pay_most", "", "", "16,777,216"),
];

/// All tables, by page below `docs/` and name.
pub(crate) fn tables(root: &Path) -> Result<[((&'static str, &'static str), String); 4]> {
    let path = root.join(FILE);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let figures: Figures = serde_json::from_str(&text).context(FILE)?;
    Ok([
        (("circuit", "mixes"), mixes(&figures)?),
        (("circuit", "parts"), parts(&figures)?),
        (("circuit", "shapes"), shapes(&figures)?),
        (("adr/0004-second-edition", "figures"), bars(&figures)?),
    ])
}

fn figure(figures: &Figures, name: &str) -> Result<f64> {
    let found = figures.get(name).copied();
    found.with_context(|| format!("{FILE} lacks {name}: run figures --json {FILE}"))
}

/// With a comma before each three digits.
fn whole(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn mixes(figures: &Figures) -> Result<String> {
    let mut table = String::from(
        "| | Constraints an operation | Operations a block | Filled |\n|---|---|---|---|\n",
    );
    for (title, mix, filled) in MIXES {
        let per_op = whole(figure(figures, &format!("circuit.{mix}_per_op"))?);
        let ops = figure(figures, &format!("circuit.{mix}_ops_a_block"))?;
        let filled = 100.0 * figure(figures, &format!("circuit.{filled}_fill_rate"))?;
        writeln!(table, "| {title} | {per_op} | {ops:.1} | {filled:.1} % |")?;
    }
    Ok(table)
}

fn parts(figures: &Figures) -> Result<String> {
    let mut table = String::from("| Part | Constraints |\n|---|---|\n");
    for (title, name) in PARTS {
        let constraints = whole(figure(figures, &format!("circuit.{name}"))?);
        writeln!(table, "| {title} | {constraints} |")?;
    }
    Ok(table)
}

fn shapes(figures: &Figures) -> Result<String> {
    let mut table = String::from("| Shape | Constraints | Domain |\n|---|---|---|\n");
    for shape in zklink::shape::shapes() {
        let constraints = figure(figures, &format!("circuit.shape_{}", shape.name))?;
        // Beside them a row for each of the four public inputs and for the constant.
        let log = (constraints + 5.0).log2().ceil();
        writeln!(table, "| {} | {} | 2^{log:.0} |", shape.name, whole(constraints))?;
    }
    Ok(table)
}

fn bars(figures: &Figures) -> Result<String> {
    let mut table = String::from("| Key | First edition | Bar | Now |\n|---|---|---|---|\n");
    for (name, more, first, bar) in BARS {
        let found = figure(figures, name)?;
        let now = if found < 1.0 { format!("{found:.3}") } else { whole(found) };
        writeln!(table, "| `{name}`{more} | {first} | {bar} | {now} |")?;
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn digits_stand_in_threes() {
        let shown = [7.0, 999.4, 1_000.0, 2_978_275.2].map(whole);
        assert_eq!(shown, ["7", "999", "1,000", "2,978,275"]);
    }
}
