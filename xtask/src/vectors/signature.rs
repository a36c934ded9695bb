//! What users sign: the L2 message and its Schnorr signature, and the EIP-712 digest of a key change.

use anyhow::{Context, Result, ensure};
use k256::ecdsa::SigningKey;
use serde::Serialize;
use zklink::amount::{Amount, Fee};
use zklink::commitment::amount_to_fr;
use zklink::fixtures::{ONE, Scenario, USDC, network};
use zklink::hash::{Domain, Fr, compress4};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use zklink::key::{PublicKey, SecretKey, challenge, pub_key_hash, sign, verify};
use zklink::layout::low_word;
use zklink::op::{ChangePubKey, Transfer, Withdraw};
use zklink::state::DeploymentId;
use zklink::tx::{
    ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, WithdrawTx, evm_address, header, recover,
};

use super::{bytes, word};

mod verification;

/// The deployment of all examples.
const DEPLOYMENT: DeploymentId = DeploymentId([0xd1; 31]);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    deployment_id: String,
    keys: Vec<KeyExample>,
    schnorr: Vec<SchnorrExample>,
    verification: Vec<verification::Case>,
    messages: Vec<MessageExample>,
    eip712: Vec<Eip712Example>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyExample {
    seed: String,
    /// Little-endian.
    secret: String,
    x: String,
    y: String,
    /// The compressed point.
    encoded: String,
    pub_key_hash: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SchnorrExample {
    key: usize,
    message: String,
    commitment_x: String,
    commitment_y: String,
    /// The low 128 bits of the hash; the factor of the key is this plus 2^128.
    challenge: String,
    signature: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageExample {
    key: usize,
    header: String,
    message: String,
    hash: String,
    /// As the RPC takes it.
    signed: SignedTx,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Eip712Example {
    chain_id: u64,
    verifying_contract: String,
    key_x: String,
    key_y: String,
    account_id: u32,
    nonce: u32,
    digest: String,
    /// r, s, v.
    signature: String,
    signer: String,
}

pub(super) fn vectors() -> Result<Vectors> {
    let secrets = [Scenario::key(1), Scenario::key(2)];
    let keys = (1u8..=2).zip(&secrets).map(|(n, secret)| key_example(n, secret)).collect();
    let elements = [Fr::zero(), Fr::from(7), -Fr::one()];
    let schnorr = elements.map(|message| schnorr_example(&secrets[0], message));
    let messages = vec![
        transfer_example(&secrets[0])?,
        withdraw_example(&secrets[0])?,
        change_example(&secrets[1])?,
    ];
    let eip712 = vec![
        eip712_example(ChainId(1), &change(&secrets[1].public(), Nonce(0)))?,
        eip712_example(ChainId(2), &change(&secrets[0].public(), Nonce(41)))?,
    ];
    Ok(Vectors {
        deployment_id: bytes(&DEPLOYMENT.0),
        keys,
        schnorr: schnorr.into(),
        verification: verification::cases(&secrets)?,
        messages,
        eip712,
    })
}

fn key_example(n: u8, secret: &SecretKey) -> KeyExample {
    let public = secret.public();
    KeyExample {
        seed: bytes(&[n; 32]),
        secret: bytes(&secret.to_bytes()),
        x: word(public.x()),
        y: word(public.y()),
        encoded: bytes(&public.to_bytes()),
        pub_key_hash: bytes(&pub_key_hash(&public)),
    }
}

fn schnorr_example(secret: &SecretKey, message: Fr) -> SchnorrExample {
    let signature = sign(secret, message);
    let commitment = signature.commitment().expect("it was just made");
    let challenge = challenge(&commitment, &secret.public(), message);
    SchnorrExample {
        key: 0,
        message: word(message),
        commitment_x: word(commitment.get_u()),
        commitment_y: word(commitment.get_v()),
        challenge: format!("0x{challenge:032x}"),
        signature: bytes(&signature.to_bytes()),
    }
}

fn transfer_example(secret: &SecretKey) -> Result<MessageExample> {
    let tx = TransferTx {
        account_id: AccountId(0x010203),
        from_sub_account_id: SubAccountId(4),
        to: Owner { home: ChainId(0), address: [0xab; 32] },
        to_sub_account_id: SubAccountId(31),
        token: USDC,
        amount: Amount(5 * ONE / 2),
        fee: Fee::closest(Amount(ONE / 100)),
        nonce: Nonce(7),
        key_version: KeyVersion(2),
    };
    let header = header::HEADER.pack([
        Transfer::CODE.into(),
        tx.account_id.0.into(),
        tx.from_sub_account_id.0.into(),
        tx.token.0.into(),
        tx.fee.0.into(),
        tx.nonce.0.into(),
        tx.key_version.0.into(),
        0,
        0,
        tx.to_sub_account_id.0.into(),
        tx.to.home.0.into(),
        tx.to.top().into(),
    ]);
    let rest = [amount_to_fr(tx.amount), low_word(tx.to.low())];
    message_example(0, secret, Tx::Transfer(tx), header, rest)
}

fn withdraw_example(secret: &SecretKey) -> Result<MessageExample> {
    let tx = WithdrawTx {
        to_chain_id: ChainId(1),
        account_id: AccountId(0x010203),
        sub_account_id: SubAccountId(4),
        to: Owner::from_evm([0xcd; 20]),
        token: USDC,
        amount: Amount(5 * ONE / 2),
        max_fee: Fee::ZERO,
        nonce: Nonce(8),
        key_version: KeyVersion(2),
    };
    // USDC of the fixtures has 6 decimals on chain 1: what is signed is 2,500,000 of its units at scale 12.
    let header = header::HEADER.pack([
        Withdraw::CODE.into(),
        tx.account_id.0.into(),
        tx.sub_account_id.0.into(),
        tx.token.0.into(),
        tx.max_fee.0.into(),
        tx.nonce.0.into(),
        tx.key_version.0.into(),
        tx.to_chain_id.0.into(),
        12,
        0,
        0,
        tx.to.top().into(),
    ]);
    let rest = [Fr::from(2_500_000), low_word(tx.to.low())];
    message_example(0, secret, Tx::Withdraw(tx), header, rest)
}

fn change_example(secret: &SecretKey) -> Result<MessageExample> {
    let mut tx = change(&secret.public(), Nonce(0));
    tx.eth_auth_data = KeyAuth::EthEcdsa { signature: owner_signature(ChainId(1), &tx)?.0 };
    let header = header::HEADER.pack([
        ChangePubKey::CODE.into(),
        tx.account_id.0.into(),
        tx.sub_account_id.0.into(),
        tx.fee_token.0.into(),
        tx.fee.0.into(),
        tx.nonce.0.into(),
        tx.key_version.0.into(),
        tx.chain_id.0.into(),
        0,
        0,
        0,
        0,
    ]);
    let rest = [tx.new_pub_key.x(), tx.new_pub_key.y()];
    message_example(1, secret, Tx::ChangePubKey(tx), header, rest)
}

/// Signs, and holds the message of the protocol against the formula of ADR 0004.
fn message_example(
    key: usize,
    secret: &SecretKey,
    tx: Tx,
    header: Fr,
    [third, fourth]: [Fr; 2],
) -> Result<MessageExample> {
    let network = network();
    let message = tx.message(DEPLOYMENT, &network)?;
    let formula = [low_word(DEPLOYMENT.0), header, third, fourth];
    ensure!(message == compress4(Domain::Message, formula), "the message is not that of ADR 0004");
    let hash = tx.hash(DEPLOYMENT, &network)?;
    let signed = tx.sign(secret, DEPLOYMENT, &network)?;
    verify(&signed.signature.pub_key.unpack()?, message, &signed.signature.signature)?;
    Ok(MessageExample {
        key,
        header: word(header),
        message: word(message),
        hash: hash.to_string(),
        signed,
    })
}

fn change(key: &PublicKey, nonce: Nonce) -> ChangePubKeyTx {
    ChangePubKeyTx {
        chain_id: ChainId(1),
        account_id: AccountId(0x010203),
        sub_account_id: SubAccountId(0),
        new_pub_key: *key,
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce,
        key_version: KeyVersion(0),
        eth_auth_data: KeyAuth::Onchain,
    }
}

/// The signature of an owner with a fixed key over the digest for a chain, and his address.
fn owner_signature(chain: ChainId, tx: &ChangePubKeyTx) -> Result<([u8; 65], [u8; 20])> {
    let owner = SigningKey::from_slice(&[0x42; 32])?;
    let network = network();
    let digest = tx.eth_digest(network.chain(chain)?);
    // Deterministic (RFC 6979) and with a low s, so that the file is the same on every machine.
    let (signature, recovery) = owner.sign_prehash_recoverable(&digest)?;
    let mut packed = [0; 65];
    packed[..64].copy_from_slice(&signature.to_bytes());
    packed[64] = 27 + recovery.to_byte();
    let address = recover(&digest, &packed).context("the signature recovers nobody")?;
    ensure!(address == evm_address(owner.verifying_key()), "the signature recovers another");
    Ok((packed, address))
}

fn eip712_example(chain: ChainId, tx: &ChangePubKeyTx) -> Result<Eip712Example> {
    let network = network();
    let (signature, signer) = owner_signature(chain, tx)?;
    let chain = network.chain(chain)?;
    Ok(Eip712Example {
        chain_id: chain.evm_chain_id,
        verifying_contract: bytes(&chain.contract),
        key_x: word(tx.new_pub_key.x()),
        key_y: word(tx.new_pub_key.y()),
        account_id: tx.account_id.0,
        nonce: tx.nonce.0,
        digest: bytes(&tx.eth_digest(chain)),
        signature: bytes(&signature),
        signer: bytes(&signer),
    })
}
