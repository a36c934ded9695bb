//! The slot of all signed operations: one signature check, one set of numbers, and small bodies.
//!
//! Types are bits of which at most one is set. A number that a type does not have is zero for it where a word or the
//! signed header would show it, and free otherwise.

use bellman::{ConstraintSystem, SynthesisError};
use jubjub::AffinePoint;
use zklink::amount::Fee;
use zklink::hash::{Domain, Fr};
use zklink::id::Owner;
use zklink::op::{ChangePubKey, Op, Transfer, Withdraw};
use zklink::tx::header::HEADER;

use crate::fees::Fees;
use crate::gadget::bits::to_bits;
use crate::gadget::edwards::Point;
use crate::gadget::poseidon2::compress4;
use crate::gadget::schnorr::{self, SignatureWitness};
use crate::gadget::{Bit, Expression, float};
use crate::memory::{Form, Kind, Memory};
use crate::op::{
    Context, Party, Place, change_pub_key, constant, number, pack, transfer, withdraw, zero_if,
};
use crate::statement::Slot;
use crate::witness::SignedWitness;
use crate::working_set::{AMOUNT_BITS, CHAIN_BITS, NONCE_BITS, TOKEN_BITS};

/// Bits of a scale.
const SCALE_BITS: usize = 5;
/// A nonce or a key version in the memory. Its range was checked when its leaf was opened or written; here it lets
/// several share an element of the trace.
const COUNTER: Form = Form::Small(NONCE_BITS);

/// What a slot holds; nothing while keys are made, and nothing within when it is idle.
type Given<'a> = Option<Option<&'a SignedWitness>>;

/// Constrains a signed slot of this rank. Gives what it publishes, and whether it is on.
///
/// # Errors
/// [`SynthesisError::AssignmentMissing`] when the system wants a value and there is none.
pub fn signed_slot<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    context: &Context,
    rank: usize,
    given: Given<'_>,
    memory: &mut Memory,
    fees: &mut Fees,
) -> Result<(Slot, Bit), SynthesisError> {
    let types = Types::witness(&mut cs.namespace(|| "type"), given)?;
    let fields = Fields::witness(cs, given, rank)?;
    fields.fee.enforce(&mut cs.namespace(|| "fee"), &types);
    let moved = withdraw::moved(&mut cs.namespace(|| "moved"), &types, &fields)?;
    let moments = context.clock.of_signed(rank);
    let seen = access(cs, &types, &fields, &moved, &moments, memory)?;
    transfer::constrain(&mut cs.namespace(|| "transfer"), &types, &fields);
    change_pub_key::constrain(&mut cs.namespace(|| "change key"), &types, &fields)?;
    let somebody = types.on.expression();
    fields.party.enforce_somebody(&mut cs.namespace(|| "party"), somebody);
    check_signature(&mut cs.namespace(|| "signature"), context, &types, &fields, &seen, given)?;
    let token = given.map(|given| given.and_then(|given| given.op.fee_token()));
    fees.collect(cs, &fields.token, &fields.fee.amount, token)?;
    let slot = publish(&mut cs.namespace(|| "words"), &types, &fields, &seen)?;
    Ok((slot, types.on))
}

/// Which operation the slot holds, if any.
pub(crate) struct Types {
    pub(crate) transfer: Bit,
    pub(crate) to_new: Bit,
    pub(crate) withdraw: Bit,
    pub(crate) change_key: Bit,
    /// Any of them.
    pub(crate) on: Bit,
}

impl Types {
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        given: Given<'_>,
    ) -> Result<Types, SynthesisError> {
        let is =
            |kind: fn(&Op) -> bool| given.map(|given| given.is_some_and(|given| kind(&given.op)));
        let known = is(|op| matches!(op, Op::Transfer(op) if op.new_owner.is_none()));
        let new = is(|op| matches!(op, Op::Transfer(op) if op.new_owner.is_some()));
        let transfer = Bit::witness(cs, "transfer", known)?;
        let to_new = Bit::witness(cs, "transfer to new", new)?;
        let withdraw = Bit::witness(cs, "withdraw", is(|op| matches!(op, Op::Withdraw(_))))?;
        let change = is(|op| matches!(op, Op::ChangePubKey(_)));
        let change_key = Bit::witness(cs, "change key", change)?;
        let all = [&transfer, &to_new, &withdraw, &change_key];
        let on = Expression::sum(all.map(Bit::expression));
        // At most four, so it does not wrap.
        Expression::enforce_product(cs, "at most one", &on, &on, &on);
        let on = Bit::assumed(on);
        Ok(Types { transfer, to_new, withdraw, change_key, on })
    }

    /// Whether an account of L2 receives.
    pub(crate) fn pays(&self) -> Expression {
        self.transfer.expression() + self.to_new.expression()
    }

    /// Whether an amount moves.
    fn moves(&self) -> Expression {
        &self.pays() + self.withdraw.expression()
    }

    /// Whether the owner of an account matters.
    fn owned(&self) -> Expression {
        &self.pays() + self.change_key.expression()
    }

    /// The operation code that is signed: a signer does not know whether the receiver has an account.
    fn signed_code(&self) -> Expression {
        Expression::weighted_sum([
            (Fr::from(u64::from(Transfer::CODE)), &self.pays()),
            (Fr::from(u64::from(Withdraw::CODE)), self.withdraw.expression()),
            (Fr::from(u64::from(ChangePubKey::CODE)), self.change_key.expression()),
        ])
    }
}

/// What is taken as a fee, and the most that was signed: two floats with one exponent.
pub(crate) struct FeeVar {
    /// What is taken, packed.
    pub(crate) packed: Expression,
    /// What is taken, in 18 decimals.
    amount: Expression,
    /// What was signed, packed.
    signed: Expression,
    mantissa: Expression,
    left: Expression,
}

impl FeeVar {
    /// At most what was signed: mantissas are compared, below 2^11.
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        fees: Option<(Fee, Fee)>,
    ) -> Result<FeeVar, SynthesisError> {
        let parts = fees.map(|(taken, signed)| {
            let parts = |fee: Fee| (fee.0 >> Fee::EXPONENT_BITS, fee.0 % (1 << Fee::EXPONENT_BITS));
            (parts(taken), parts(signed))
        });
        let value = |get: fn((u16, u16), (u16, u16)) -> u16| {
            parts.map(|(taken, signed)| Fr::from(u64::from(get(taken, signed))))
        };
        let exponent = number(
            &mut cs.namespace(|| "exponent"),
            value(|taken, _| taken.1),
            float::EXPONENT_BITS,
        )?;
        let mantissa = number(
            &mut cs.namespace(|| "mantissa"),
            value(|taken, _| taken.0),
            float::MANTISSA_BITS,
        )?;
        let (most, _) = number(
            &mut cs.namespace(|| "most"),
            value(|_, signed| signed.0),
            float::MANTISSA_BITS,
        )?;
        let left = &most - &mantissa.0;
        to_bits(&mut cs.namespace(|| "at most what is signed"), &left, float::MANTISSA_BITS)?;
        let bits: Vec<Bit> = exponent.1.into_iter().chain(mantissa.1).collect();
        let amount = float::decode(&mut cs.namespace(|| "amount"), &bits)?;
        let pack =
            |mantissa: &Expression| &(mantissa * Fr::from(1 << float::EXPONENT_BITS)) + &exponent.0;
        let (packed, signed) = (pack(&mantissa.0), pack(&most));
        Ok(FeeVar { packed, amount, signed, mantissa: mantissa.0, left })
    }

    /// Only of a withdrawal can less be taken than was signed. Off, there is no fee.
    fn enforce<CS: ConstraintSystem<Fr>>(&self, cs: &mut CS, types: &Types) {
        zero_if(cs, "what is signed", &self.left, types.withdraw.not().expression());
        zero_if(cs, "none if off", &self.mantissa, types.on.not().expression());
    }
}

/// The numbers of the operation, each with its range.
pub(crate) struct Fields {
    /// Rank of the slot.
    pub(crate) at: Expression,
    /// Who signs and pays.
    pub(crate) from: Place,
    /// Who receives.
    pub(crate) to: Place,
    pub(crate) token: Expression,
    /// In 18 decimals, or of a withdrawal in the units of the chain.
    pub(crate) amount: Expression,
    pub(crate) fee: FeeVar,
    pub(crate) chain: Expression,
    pub(crate) scale: Vec<Bit>,
    /// Who receives, who is paid, or whose key changes.
    pub(crate) party: Party,
    /// The key that is set.
    pub(crate) key: Point,
    key_value: Option<AffinePoint>,
}

impl Fields {
    fn witness<CS: ConstraintSystem<Fr>>(
        cs: &mut CS,
        given: Given<'_>,
        rank: usize,
    ) -> Result<Fields, SynthesisError> {
        let plain = given.map(|given| given.map_or_else(Plain::idle, Plain::of));
        let value = |get: fn(&Plain) -> u64| plain.as_ref().map(|plain| Fr::from(get(plain)));
        let from = plain.as_ref().map(|plain| plain.from);
        let from = Place::witness(&mut cs.namespace(|| "from"), from)?;
        let to = plain.as_ref().map(|plain| plain.to);
        let to = Place::witness(&mut cs.namespace(|| "to"), to)?;
        let token = value(|plain| plain.token.into());
        let (token, _) = number(&mut cs.namespace(|| "token"), token, TOKEN_BITS)?;
        let amount = plain.as_ref().map(|plain| withdraw::wide(plain.amount));
        let (amount, _) = number(&mut cs.namespace(|| "amount"), amount, AMOUNT_BITS)?;
        let fee = plain.as_ref().map(|plain| (plain.fee, plain.max_fee));
        let fee = FeeVar::witness(&mut cs.namespace(|| "fee"), fee)?;
        let (chain, _) =
            number(&mut cs.namespace(|| "chain"), value(|plain| plain.chain.into()), CHAIN_BITS)?;
        let scale = value(|plain| plain.scale.into());
        let (_, scale) = number(&mut cs.namespace(|| "scale"), scale, SCALE_BITS)?;
        let party = plain.as_ref().map(|plain| plain.party);
        let party = Party::witness(&mut cs.namespace(|| "party"), party)?;
        let key_value = plain.as_ref().map(|plain| plain.key);
        let key = key_value.map(|key| (key.get_u(), key.get_v()));
        let key = Point::unchecked(&mut cs.namespace(|| "key"), key)?;
        let at = constant(rank as u64);
        Ok(Fields { at, from, to, token, amount, fee, chain, scale, party, key, key_value })
    }

    /// The point of which the key is the eightfold.
    pub(crate) fn key_eighth(&self) -> Option<(Fr, Fr)> {
        self.key_value.as_ref().map(crate::gadget::edwards::native_eighth)
    }
}

/// The values of the fields.
struct Plain {
    from: (u32, u8),
    to: (u32, u8),
    token: u16,
    amount: u128,
    fee: Fee,
    max_fee: Fee,
    chain: u8,
    scale: u8,
    party: Owner,
    key: AffinePoint,
}

impl Plain {
    /// Of a slot without an operation. Any key of prime order will do: it is neither written nor published.
    fn idle() -> Plain {
        Plain {
            from: (0, 0),
            to: (0, 0),
            token: 0,
            amount: 0,
            fee: Fee::ZERO,
            max_fee: Fee::ZERO,
            chain: 0,
            scale: 0,
            party: Owner::NONE,
            key: zklink::key::base::base(),
        }
    }

    fn of(given: &SignedWitness) -> Plain {
        let idle = Plain::idle();
        match &given.op {
            Op::Deposit(_) => idle,
            Op::Transfer(op) => Plain {
                from: (op.account.0, op.sub_account.0),
                to: (op.to_account.0, op.to_sub_account.0),
                token: op.token.0,
                amount: op.amount.0,
                fee: op.fee,
                max_fee: op.fee,
                party: given.receiver,
                ..idle
            },
            Op::Withdraw(op) => Plain {
                from: (op.account.0, op.sub_account.0),
                token: op.token.0,
                amount: op.l1_amount,
                fee: op.fee,
                max_fee: given.max_fee,
                chain: op.chain.0,
                scale: op.scale,
                party: op.to,
                ..idle
            },
            Op::ChangePubKey(op) => Plain {
                from: (op.account.0, op.sub_account.0),
                token: op.fee_token.0,
                fee: op.fee,
                max_fee: op.fee,
                chain: op.chain.0,
                party: op.owner,
                key: op.key.point(),
                ..idle
            },
        }
    }
}

/// What the operation finds in the memory, and the key that it leaves there.
pub(crate) struct Seen {
    /// Of the sub-account; says nothing for a key change.
    nonce: Expression,
    /// Key version, nonce, x, y of the account that signs.
    pub(crate) key: Vec<Expression>,
    /// Whether the key changes, times the coordinates of the new one: what is published of it.
    pub(crate) published_key: [Expression; 2],
    /// The coordinates of the key that signs: of a key change the new one.
    signer: Point,
}

/// Reads and writes the memory. Payments to oneself find at the second moment what the first one left.
fn access<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    types: &Types,
    fields: &Fields,
    moved: &Expression,
    [first, second]: &[Expression; 2],
    memory: &mut Memory,
) -> Result<Seen, SynthesisError> {
    let on = types.on.expression();
    let moves = types.moves();
    let payer = Kind::Balance.at(&fields.from.balance(&fields.token));
    let read = memory.read(&mut cs.namespace(|| "payer"), &payer, on, first, &[Form::Element])?;
    let left = &(&read.values[0] - moved) - &fields.fee.amount;
    to_bits(&mut cs.namespace(|| "left"), &left, AMOUNT_BITS)?;
    memory.write(read, &[left]);

    let nonce = Kind::SubAccount.at(&fields.from.place);
    let read = memory.read(&mut cs.namespace(|| "nonce"), &nonce, &moves, first, &[COUNTER])?;
    let nonce = read.values[0].clone();
    memory.write(read, &[&nonce + Fr::one()]);

    let pool = &(&fields.chain * Fr::from(1 << TOKEN_BITS)) + &fields.token;
    let balance = Kind::Balance.at(&fields.to.balance(&fields.token));
    let other = types.withdraw.select(cs, "pool or balance", &Kind::Pool.at(&pool), &balance)?;
    let read =
        memory.read(&mut cs.namespace(|| "other"), &other, &moves, second, &[Form::Element])?;
    let sign = &types.pays() - types.withdraw.expression();
    let change = Expression::product(cs, "change", moved, &sign)?;
    let changed = &read.values[0] + &change;
    to_bits(&mut cs.namespace(|| "left in the pool"), &changed, AMOUNT_BITS)?;
    memory.write(read, &[changed]);

    let key = Kind::Key.at(&fields.from.account);
    let form = [COUNTER, COUNTER, Form::Element, Form::Element];
    let read = memory.read(&mut cs.namespace(|| "account"), &key, on, first, &form)?;
    let key = read.values.clone();
    let (published_key, signer) = change_pub_key::signer(cs, types, fields, &key)?;
    let count = types.change_key.expression();
    let counters = [&key[0] + count, &key[1] + count];
    let [version, nonce_of_account] = counters;
    memory.write(read, &[version, nonce_of_account, signer.x.clone(), signer.y.clone()]);

    let owner = &fields.to.account;
    let owner = types.change_key.select(cs, "whose owner", &fields.from.account, owner)?;
    let (owner, owned) = (Kind::Owner.at(&owner), types.owned());
    // The account belongs to the party; or to nobody, if the payment makes it, and then becomes the party's.
    let party = [fields.party.head(), fields.party.low.clone()];
    let known = types.transfer.expression() + types.change_key.expression();
    let head = Expression::product(cs, "owner's head", &party[0], &known)?;
    let low = Expression::product(cs, "owner's low", &party[1], &known)?;
    // A payment does not publish who receives it.
    memory.bind(&party[1]);
    memory.bind_small(&party[0], CHAIN_BITS + 8);
    let read = memory.expect(&mut cs.namespace(|| "owner"), &owner, &owned, first, &[head, low])?;
    memory.write(read, &party);
    Ok(Seen { nonce, key, published_key, signer })
}

/// Checks the L2 signature over the message `[deployment, header, third, fourth]`.
fn check_signature<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    context: &Context,
    types: &Types,
    fields: &Fields,
    seen: &Seen,
    given: Given<'_>,
) -> Result<(), SynthesisError> {
    let change = &types.change_key;
    let nonce = change.select(cs, "whose nonce", &seen.key[1], &seen.nonce)?;
    // A key change names no receiver.
    let other = change.not();
    let to = Expression::product(cs, "to", &fields.party.head(), other.expression())?;
    let low = Expression::product(cs, "to low", &fields.party.low, other.expression())?;
    let header = pack(
        &HEADER,
        &[
            ("type", &types.signed_code()),
            ("place", &fields.from.place),
            ("token", &fields.token),
            ("fee", &fields.fee.signed),
            ("nonce", &nonce),
            ("key_version", &seen.key[0]),
            ("chain", &fields.chain),
            ("scale", &Expression::from_bits(&fields.scale)),
            ("to_sub_account", &fields.to.sub),
            // Home and first byte stand next to each other.
            ("to_top", &to),
        ],
    );
    // The amount of a key change is zero.
    let third = &fields.amount + &seen.published_key[0];
    let fourth = &low + &seen.published_key[1];
    let lanes = [context.deployment.clone(), header, third, fourth];
    let message = compress4(&mut cs.namespace(|| "message"), Domain::Message, &lanes)?;
    let signature = signature(given, message.value());
    schnorr::verify(cs, &seen.signer, &message, &signature, &types.on)
}

/// The signature as a witness. An idle slot has one by the dummy key; one that is not canonical gets that one too,
/// which then does not verify.
fn signature(given: Given<'_>, message: Option<Fr>) -> SignatureWitness {
    let Some((given, message)) = given.zip(message) else {
        return SignatureWitness::absent();
    };
    let signature = given.and_then(|given| SignatureWitness::of(&given.signature).ok());
    signature.unwrap_or_else(|| SignatureWitness::dummy(message))
}

/// The words of the slot, each zero unless the type has it.
fn publish<CS: ConstraintSystem<Fr>>(
    cs: &mut CS,
    types: &Types,
    fields: &Fields,
    seen: &Seen,
) -> Result<Slot, SynthesisError> {
    let Types { transfer, to_new, withdraw, change_key, .. } = types;
    let onchain = withdraw.expression() + change_key.expression();
    let mut first = Vec::with_capacity(4);
    for (name, flag, word) in [
        ("transfer", transfer, transfer::word(fields)),
        ("transfer to new", to_new, transfer::word_new(fields)),
        ("withdraw", withdraw, withdraw::word(fields)),
        ("change key", change_key, change_pub_key::word(fields, seen)),
    ] {
        first.push(Expression::product(cs, name, &word, flag.expression())?);
    }
    let with_low = &onchain + to_new.expression();
    let low = Expression::product(cs, "low", &fields.party.low, &with_low)?;
    let [x, y] = seen.published_key.clone();
    let change = change_key.expression().clone();
    Ok(Slot {
        words: vec![Expression::sum(&first), low, x, y],
        onchain: vec![onchain.clone(), onchain, change.clone(), change],
        data: vec![types.pays(), to_new.expression().clone()],
    })
}
