//! The tables in `docs`: made from the declared layouts and the measured figures, and put between markers.
//!
//! A page has `<!-- table: NAME -->` and `<!-- end -->`; everything between the two is written by `xtask docs`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use zklink::amount::Amount;
use zklink::commitment::{ACCOUNT_WORD, ORDER_SLOT_WORD};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, SubAccountId, TokenId};
use zklink::layout::HEAD_WORD;
use zklink::layout::Packed;
use zklink::op::{ChangePubKey, Deposit, Transfer, Withdraw};
use zklink::reject::Reject;
use zklink::shape::shapes;
use zklink::tx::header;

const END: &str = "<!-- end -->";

/// Tables by their page below `docs/` and their name.
type Tables = BTreeMap<(String, &'static str), String>;

/// What the fields of packed words mean. A field without an entry here is refused.
const MEANINGS: [(&str, &str); 34] = [
    ("op", "operation code"),
    ("type", "transaction type: the operation code, 4 for a transfer to a new receiver as well"),
    ("chain", "chain id, 1 to 63"),
    ("account", "account id, below 2^24"),
    ("sub_account", "sub-account id, 0 to 31"),
    ("to_account", "receiving account"),
    ("to_sub_account", "receiving sub-account"),
    ("token", "token id"),
    ("fee_token", "token of the fee"),
    ("amount", "amount"),
    ("scale", "18 less the decimals of the token on the chain"),
    ("fee", "fee: 11 bits of mantissa, 5 of decimal exponent"),
    ("nonce", "nonce"),
    ("created", "time of the block before the one that made the account, Unix seconds"),
    ("recipient_home", "chain of the exit recipient if it is a contract, else 0"),
    ("recipient_top", "first byte of the exit recipient"),
    ("epoch", "epoch of the sub-account when the order was first matched"),
    ("remaining", "what of the order is not filled yet"),
    ("key_version", "how many keys the account has had"),
    (
        "at",
        "rank among the signed operations of the block; of a deposit, the number of signed ones before it",
    ),
    ("outcome", "0 done, 1 refused"),
    ("home", "chain of the owner if it is a contract, else 0"),
    ("to_home", "chain of the receiver if it is a contract, else 0"),
    ("owner_top", "first byte of the owner"),
    ("owner_low", "the other 31 bytes of the owner, right-aligned"),
    ("to_top", "first byte of the receiver"),
    ("to_low", "the other 31 bytes of the receiver, right-aligned"),
    ("key_x", "x coordinate of the key"),
    ("key_y", "y coordinate of the key"),
    ("number", "block number"),
    ("timestamp", "Unix time in seconds"),
    ("shape", "shape id"),
    ("old_root", "state root before the block"),
    ("new_root", "state root after the block"),
];

/// All tables of the protocol's pages, by page and name.
fn layouts() -> Result<BTreeMap<(&'static str, &'static str), String>> {
    let owner: &[&str] = &["owner_low"];
    let to: &[&str] = &["to_low"];
    let key: &[&str] = &["owner_low", "key_x", "key_y"];
    Ok(BTreeMap::from([
        (("deposit", "words"), words(&[], &Deposit::WORD, owner)?),
        (("transfer", "words"), words(&[], &Transfer::WORD, &[])?),
        (("transfer", "words-new"), words(&[], &Transfer::WORD_NEW, to)?),
        (("withdraw", "words"), words(&[], &Withdraw::WORD, to)?),
        (("change_pub_key", "words"), words(&[], &ChangePubKey::WORD, key)?),
        (("state", "account-head"), words(&[], &ACCOUNT_WORD, &[])?),
        (("state", "order-slot"), words(&[], &ORDER_SLOT_WORD, &[])?),
        (("block", "header"), words(&[], &header::HEADER, &[])?),
        (("block", "head"), words(&["old_root", "new_root"], &HEAD_WORD, &[])?),
        (("block", "shapes"), shape_table()),
    ]))
}

fn meaning(field: &str) -> Result<&'static str> {
    let found = MEANINGS.iter().find(|(name, _)| *name == field);
    let found = found.with_context(|| format!("the field {field} has no meaning in docs.rs"))?;
    Ok(found.1)
}

/// A packed word between words that are not packed.
fn words<const N: usize>(before: &[&str], packed: &Packed<N>, after: &[&str]) -> Result<String> {
    let mut table = String::from("| Word | Bytes | Field | Meaning |\n|---|---|---|---|\n");
    let mut word = 0;
    for field in before {
        writeln!(table, "| {word} | 0-31 | `{field}` | {} |", meaning(field)?)?;
        word += 1;
    }
    let mut at = 1;
    for field in &packed.fields {
        let range = range(at, field.bytes);
        writeln!(table, "| {word} | {range} | `{}` | {} |", field.name, meaning(field.name)?)?;
        at += field.bytes;
    }
    if at < 32 {
        writeln!(table, "| {word} | {} | | zero |", range(at, 32 - at))?;
    }
    for field in after {
        word += 1;
        writeln!(table, "| {word} | 0-31 | `{field}` | {} |", meaning(field)?)?;
    }
    Ok(table)
}

fn range(at: usize, bytes: usize) -> String {
    if bytes == 1 { at.to_string() } else { format!("{at}-{}", at + bytes - 1) }
}

fn shape_table() -> String {
    let mut table = String::from(
        "| Id | Name | Queue | Signed | Accounts (pages) | Sub-accounts | Balances (pages) | Fee tokens | Chains \
         | Pools (pages) | On-chain words | Data words |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for shape in shapes() {
        let room = shape.room;
        let paged = |members: usize, pages: usize| format!("{members} ({pages})");
        let counts = [
            room.queue.to_string(),
            room.signed.to_string(),
            paged(room.accounts, room.account_pages),
            room.sub_accounts.to_string(),
            paged(room.balances, room.balance_pages),
            room.fee_tokens.to_string(),
            room.chains.to_string(),
            paged(room.pools, room.pool_pages),
            shape.onchain_words().to_string(),
            shape.data_words().to_string(),
        ];
        let counts = counts.join(" | ");
        table.push_str(&format!("| {} | {} | {counts} |\n", shape.id, shape.name));
    }
    table
}

/// The page with each table in its place.
fn filled(page: &str, text: &str, tables: &Tables) -> Result<String> {
    let mut out = text.to_string();
    for ((of, name), table) in tables {
        if of != page {
            continue;
        }
        let marker = format!("<!-- table: {name} -->");
        ensure!(out.matches(&marker).count() == 1, "{page}.md: one marker {marker} is wanted");
        let start = out.find(&marker).expect("counted above") + marker.len();
        let length = out[start..].find(END).with_context(|| format!("{page}.md: no {END}"))?;
        out.replace_range(start..start + length, &format!("\n{table}"));
    }
    let wanted = tables.keys().filter(|(of, _)| of == page).count();
    ensure!(out.matches("<!-- table: ").count() == wanted, "{page}.md: a marker without a table");
    Ok(out)
}

/// Each page with its text and the text that it should have.
fn pages(root: &Path) -> Result<Vec<(String, String, String)>> {
    let layouts = layouts()?.into_iter().map(|((page, name), table)| {
        let page = format!("protocol/{page}");
        ((page, name), table)
    });
    let figures = crate::figures::tables(root)?;
    let figures = figures.into_iter().map(|((page, name), table)| ((page.to_owned(), name), table));
    let tables: Tables = layouts.chain(figures).collect();
    let mut names: Vec<&str> = tables.keys().map(|(page, _)| page.as_str()).collect();
    names.dedup();
    let mut pages = Vec::new();
    for name in names {
        let path = format!("docs/{name}.md");
        let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
        let wanted = filled(name, &text, &tables)?;
        pages.push((path, text, wanted));
    }
    Ok(pages)
}

/// Writes the tables into their pages.
pub(crate) fn write(root: &Path) -> Result<()> {
    for (path, text, wanted) in pages(root)? {
        if text != wanted {
            fs::write(root.join(path), wanted)?;
        }
    }
    Ok(())
}

/// One rejection of each rule, for its name and code.
fn rejections() -> [Reject; 19] {
    let (account, chain, token) = (AccountId(0), ChainId(0), TokenId(0));
    let (nonce, amount) = (Nonce(0), Amount::ZERO);
    [
        Reject::UnknownChain(chain),
        Reject::BadAccount(account),
        Reject::BadSubAccount(SubAccountId(0)),
        Reject::UnknownToken(token),
        Reject::BadReceiver,
        Reject::AmountOverflow,
        Reject::Dust { chain, decimals: 0 },
        Reject::AccountNotFound(account),
        Reject::OwnerMismatch(account),
        Reject::AccountsFull,
        Reject::KeyNotSet(account),
        Reject::Nonce { expected: nonce, found: nonce },
        Reject::KeyVersion { expected: KeyVersion(0), found: KeyVersion(0) },
        Reject::NonceExhausted,
        Reject::KeyNotAuthorised(""),
        Reject::Signature,
        Reject::FeeTooLow { token, paid: amount, least: amount },
        Reject::Balance { available: amount, needed: amount },
        Reject::Reserve { chain, token, available: amount, needed: amount },
    ]
}

/// The first row of every table of rejections.
const REJECTIONS: &str = "| Rule | Code | When | Enforced by |";

/// Who can enforce a rule, in the order in which the last column names them; `docs/protocol/block.md` says what each
/// means.
const ENFORCERS: [&str; 4] = ["transaction", "builder", "replay", "contract"];

/// Rows of the tables of rejections that name a rule which does not exist, another code than its own, or somebody else
/// than [`ENFORCERS`].
fn wrong_rejections(path: &str, text: &str) -> Vec<String> {
    let name = |reject: &Reject| {
        let shown = format!("{reject:?}");
        shown.chars().take_while(|letter| letter.is_alphanumeric()).collect::<String>()
    };
    let known: BTreeMap<String, i32> =
        rejections().iter().map(|reject| (name(reject), reject.code())).collect();
    let mut problems = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("| Rule |") {
            continue;
        }
        if line != REJECTIONS {
            problems.push(format!("{path}: a table of rejections begins with {REJECTIONS}"));
        }
        let rows = lines.by_ref().take_while(|line| line.starts_with('|'));
        for row in rows.filter(|row| !row.starts_with("|---")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, rule, code, _, enforced, _] = cells[..] else {
                problems.push(format!("{path}: a row of rejections has four cells: {row}"));
                continue;
            };
            if known.get(rule.trim_matches('`')).map(i32::to_string).as_deref() != Some(code) {
                problems.push(format!("{path}: {rule} has not the code {code}"));
            }
            if !is_list_of_enforcers(enforced) {
                let list = ENFORCERS.join(", ");
                problems.push(format!("{path}: {rule} is enforced by some of: {list}"));
            }
        }
    }
    problems
}

/// Whether the cell names one or more of [`ENFORCERS`], in their order and each once.
fn is_list_of_enforcers(cell: &str) -> bool {
    let place = |name| ENFORCERS.iter().position(|known| *known == name);
    let places: Option<Vec<usize>> = cell.split(", ").map(place).collect();
    places.is_some_and(|places| places.is_sorted_by(|before, after| before < after))
}

/// The pages whose tables differ from the declarations.
pub(crate) fn stale(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (path, text, wanted) in pages(root)? {
        if text != wanted {
            problems.push(format!("{path}: stale; run cargo run -p zklink-xtask -- docs"));
        }
        problems.extend(wrong_rejections(&path, &text));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_in_the_documents_are_fresh() {
        let stale = stale(&crate::repository::root()).expect("the pages are there");
        assert_eq!(stale, Vec::<String>::new());
    }

    #[test]
    fn a_wrong_code_is_named() {
        let table = format!(
            "{REJECTIONS}\n|---|---|---|---|\n| `Balance` | 206 | x | replay, contract |\n"
        );
        let found = |from: &str, to: &str| wrong_rejections("page", &table.replace(from, to));
        assert_eq!(found("", ""), Vec::<String>::new());
        assert_eq!(found("206", "207"), ["page: `Balance` has not the code 207"]);
        assert_eq!(found("Balance", "Money"), ["page: `Money` has not the code 206"]);
        let row = "| `Balance` | 206 | x |";
        assert_eq!(
            found("| x | replay, contract |", "| x |"),
            [format!("page: a row of rejections has four cells: {row}")]
        );
    }

    #[test]
    fn who_enforces_a_rule_is_one_of_four() {
        for good in ["transaction", "builder", "transaction, replay", "replay, contract"] {
            assert!(is_list_of_enforcers(good), "{good}");
        }
        for bad in ["", "operator", "replay, transaction", "replay, replay", "replay,contract"] {
            assert!(!is_list_of_enforcers(bad), "{bad}");
        }
        let table = "| Rule | Code | When |\n|---|---|---|\n";
        let wanted = format!("page: a table of rejections begins with {REJECTIONS}");
        assert_eq!(wrong_rejections("page", table), [wanted]);
    }

    #[test]
    fn a_table_replaces_what_stood_between_its_markers() {
        let tables = BTreeMap::from([(("page".to_owned(), "one"), "new\n".to_string())]);
        let text = "a\n<!-- table: one -->\nold\n<!-- end -->\nb\n";
        let wanted = "a\n<!-- table: one -->\nnew\n<!-- end -->\nb\n";
        assert_eq!(filled("page", text, &tables).expect("it has the marker"), wanted);
        assert!(filled("page", "no marker", &tables).is_err());
        assert!(filled("page", &text.replace("one", "two"), &tables).is_err());
    }
}
