//! Constraints: of the slots and leaves, and of an operation in the mixes of operations that a rollup sees.

use zklink::id::ShapeId;
use zklink::shape::{Counts, DEEP, DEEPEST, Shape, WIDE, shape, shapes};
use zklink_circuit::count::Count;

use super::Figures;
use super::mix::Mix;

/// Constraints of shapes, and of what a block is made of.
pub(crate) fn parts() -> Figures {
    let mut figures = Figures::new();
    let mut put = |name: &str, figure: f64| {
        figures.insert(format!("circuit.{name}"), figure);
    };
    for shape in shapes() {
        put(&format!("shape_{}", shape.name), Count::of(shape).total() as f64);
    }
    let costs = Costs::around(known(WIDE));
    put("slot_signed", costs.signed - costs.signed_memory);
    put("slot_signed_in_all", costs.signed);
    put("slot_queue", costs.queue);
    put("account", costs.accounts);
    put("account_page", costs.account_pages);
    put("sub_account", costs.sub_accounts);
    put("balance", costs.balances);
    put("balance_page", costs.balance_pages);
    put("chain", costs.chains);
    put("pool", costs.pools);
    put("pool_page", costs.pool_pages);
    figures
}

/// Measures `blocks` blocks of each mix over a state of `2^accounts` accounts.
pub(crate) fn mixes(blocks: usize, accounts: u32) -> Figures {
    let mut figures = Figures::new();
    let mut put = |name: &str, figure: f64| {
        figures.insert(format!("circuit.{name}"), figure);
    };
    eprintln!("filling a state of 2^{accounts} accounts");
    for (name, users, id) in
        [("retail_128", 1_000, WIDE), ("three_users_128", 3, DEEP), ("three_users_512", 3, DEEPEST)]
    {
        let shape = known(id);
        eprintln!("{blocks} blocks of shape {} with {users} users", shape.name);
        let packed = Mix::new(users, accounts).pack(shape, blocks);
        let total = Count::of(shape).total() as f64;
        let ops: usize = packed.iter().map(|counts| counts.queue + counts.signed).sum();
        let costs = Costs::around(shape);
        let used: f64 = packed.iter().map(|counts| total - costs.unused(shape, counts)).sum();
        put(&format!("{name}_per_op"), total * blocks as f64 / ops as f64);
        put(&format!("{name}_ops_a_block"), ops as f64 / blocks as f64);
        let name = if id == WIDE { "retail" } else { name };
        put(&format!("{name}_fill_rate"), used / (total * blocks as f64));
        for (count, room, used) in packed_most(shape, &packed) {
            eprintln!("  {count}: {room}, used at most {used}");
        }
    }
    figures
}

/// The most that a block needed of each count: shows which one closes blocks.
fn packed_most(shape: &Shape, packed: &[Counts]) -> Vec<(String, u64, String)> {
    let list = |counts: &Counts| match serde_json::to_value(counts) {
        Ok(serde_json::Value::Object(list)) => list,
        _ => serde_json::Map::new(),
    };
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let lists: Vec<_> = packed.iter().map(list).collect();
    let of = |name: &String| {
        let found: Vec<u64> = lists.iter().map(|list| number(&list[name])).collect();
        let mean = found.iter().sum::<u64>() as f64 / found.len().max(1) as f64;
        format!("{} (mean {mean:.1})", found.iter().max().copied().unwrap_or(0))
    };
    let room = list(&shape.room);
    room.iter().map(|(name, room)| (name.clone(), number(room), of(name))).collect()
}

fn known(id: ShapeId) -> &'static Shape {
    shape(id).expect("it is in the table")
}

/// What one more of each count costs in a block of about this size.
struct Costs {
    signed: f64,
    /// The part of a signed slot that reads and writes cells: accesses, tuples, trace.
    signed_memory: f64,
    queue: f64,
    accounts: f64,
    account_pages: f64,
    sub_accounts: f64,
    balances: f64,
    balance_pages: f64,
    fee_tokens: f64,
    chains: f64,
    pools: f64,
    pool_pages: f64,
}

impl Costs {
    fn around(shape: &Shape) -> Costs {
        let full = Count::of(shape);
        // Several at a time, as an element of a digest costs a seventh of a step.
        let less = |by: usize, change: fn(&mut Counts, usize)| {
            let mut smaller = shape.clone();
            change(&mut smaller.room, by);
            let less = Count::of(&smaller);
            let marginal = |of: fn(&Count) -> usize| (of(&full) - of(&less)) as f64 / by as f64;
            (marginal(Count::total), marginal(memory))
        };
        let (signed, in_memory) = less(7, |room, by| room.signed -= by);
        Costs {
            signed,
            signed_memory: in_memory,
            queue: less(7, |room, by| room.queue -= by).0,
            accounts: less(7, |room, by| room.accounts -= by).0,
            account_pages: less(1, |room, by| room.account_pages -= by).0,
            sub_accounts: less(7, |room, by| room.sub_accounts -= by).0,
            balances: less(7, |room, by| room.balances -= by).0,
            balance_pages: less(7, |room, by| room.balance_pages -= by).0,
            fee_tokens: less(2, |room, by| room.fee_tokens -= by).0,
            chains: less(1, |room, by| room.chains -= by).0,
            pools: less(7, |room, by| room.pools -= by).0,
            pool_pages: less(1, |room, by| room.pool_pages -= by).0,
        }
    }

    /// Constraints of what a block leaves empty.
    fn unused(&self, shape: &Shape, used: &Counts) -> f64 {
        let room = &shape.room;
        let part = |cost: f64, room: usize, used: usize| cost * (room - used) as f64;
        part(self.signed, room.signed, used.signed)
            + part(self.queue, room.queue, used.queue)
            + part(self.accounts, room.accounts, used.accounts)
            + part(self.account_pages, room.account_pages, used.account_pages)
            + part(self.sub_accounts, room.sub_accounts, used.sub_accounts)
            + part(self.balances, room.balances, used.balances)
            + part(self.balance_pages, room.balance_pages, used.balance_pages)
            + part(self.fee_tokens, room.fee_tokens, used.fee_tokens)
            + part(self.chains, room.chains, used.chains)
            + part(self.pools, room.pools, used.pools)
            + part(self.pool_pages, room.pool_pages, used.pool_pages)
    }
}

/// Constraints of the memory argument outside of the slots, and of the reads within them.
fn memory(count: &Count) -> usize {
    let reads = ["payer", "nonce", "other", "account", "owner"];
    let slots = (0..).map(|at| format!("signed/slot {at}"));
    let slots = slots.take_while(|slot| count.part(slot) > 0);
    let within = |slot: &String| -> usize {
        reads.iter().map(|read| count.part(&format!("{slot}/{read}"))).sum()
    };
    count.part("memory") + slots.map(|slot| within(&slot)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the project promises, on blocks enough to see it. In a smaller state fewer pages are open, so that the bar
    /// of a retail block is nearer with 2^20 accounts: `docs/figures.json` has those.
    #[test]
    fn the_bars_hold_in_a_small_state() {
        for (users, id, bar) in [(1_000, WIDE, 30_000.0), (3, DEEP, 6_000.0), (3, DEEPEST, 6_000.0)]
        {
            let shape = known(id);
            let packed = Mix::new(users, 14).pack(shape, 40);
            let ops: usize = packed.iter().map(|counts| counts.queue + counts.signed).sum();
            let per_op = 40.0 * Count::of(shape).total() as f64 / ops as f64;
            assert!(per_op <= bar, "shape {}: {per_op}", shape.name);
        }
    }
}
