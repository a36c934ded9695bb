// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IKeyRecorder} from "../src/interfaces/IKeyRecorder.sol";
import {IRollup, OperationsCommit} from "../src/interfaces/IRollup.sol";
import {Field} from "../src/libraries/Field.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

/// @dev A contract wallet that signs as a Safe does: its owner signs a SafeMessage of the digest in the
///      wallet's own domain. Calls are those that its owner makes.
contract Wallet {
    address public owner;

    constructor(address who) {
        owner = who;
    }

    function retire() external {
        owner = address(0);
    }

    function wrapped(bytes32 digest) public view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(uint256 chainId,address verifyingContract)"),
                block.chainid,
                address(this)
            )
        );
        bytes32 inner = keccak256(
            abi.encode(keccak256("SafeMessage(bytes message)"), keccak256(abi.encode(digest)))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, inner));
    }

    function isValidSignature(bytes32 digest, bytes calldata signature)
        external
        view
        returns (bytes4)
    {
        (bytes32 r, bytes32 s, uint8 v) = abi.decode(signature, (bytes32, bytes32, uint8));
        bool good = owner != address(0) && ecrecover(wrapped(digest), v, r, s) == owner;
        return good ? this.isValidSignature.selector : bytes4(0xffffffff);
    }

    function execute(address to, bytes calldata data) external {
        require(msg.sender == owner);
        (bool ok, bytes memory answer) = to.call(data);
        if (ok) return;
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }
}

/// @dev A wallet that takes its owner's signature over the digest as it is, as many do.
contract Plain {
    address private immutable _owner;

    constructor(address who) {
        _owner = who;
    }

    function isValidSignature(bytes32 digest, bytes calldata by) external view returns (bytes4) {
        address got = ecrecover(digest, uint8(by[64]), bytes32(by[0:32]), bytes32(by[32:64]));
        return got == _owner ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}

/// @dev Answers a question with what it was told: too long, too short, or with dirty bytes.
contract Answering {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    fallback() external {
        bytes memory answer = _answer;
        assembly {
            return(add(answer, 32), mload(answer))
        }
    }
}

/// @dev What an account of EIP-7702 delegates to: whoever asks may have it make a call.
contract Delegate {
    function execute(address to, bytes calldata data) external {
        (bool ok, bytes memory answer) = to.call(data);
        if (ok) return;
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }
}

contract KeyRecorderTest is World {
    uint256 private constant KEY = 0x5afe;
    bytes4 private constant MAGIC = 0x1626ba7e;
    Wallet private wallet;

    function setUp() public override {
        super.setUp();
        wallet = new Wallet(vm.addr(KEY));
    }

    /// A contract confirms a signature once; the record stays when the contract changes its mind.
    function testAContractConfirmsOnce() public {
        bytes memory good = _walletSignature(11, 12, 0);
        vm.expectEmit(address(spokeKeys));
        emit IKeyRecorder.AuthPubKeySet(address(wallet), 0, SPOKE, 11, 12);
        spokeKeys.setAuthPubKeySigned(address(wallet), 11, 12, 0, good);
        wallet.retire();
        vm.expectRevert(
            abi.encodeWithSelector(IKeyRecorder.SignatureRefused.selector, address(wallet))
        );
        spokeKeys.setAuthPubKeySigned(address(wallet), 11, 12, 0, good);
        bytes32[] memory words = _change(address(wallet), SPOKE, 11, 12);
        commitWith(spoke, 1, words, new bytes[](1));
    }

    function testASignatureBindsKeyNonceAndChain() public {
        bytes memory good = _walletSignature(11, 12, 0);
        _refused(12, 12, 0, good);
        _refused(11, 13, 0, good);
        _refused(11, 12, 1, good);
        // The other rollup has another domain.
        vm.expectRevert(
            abi.encodeWithSelector(IKeyRecorder.SignatureRefused.selector, address(wallet))
        );
        nearKeys.setAuthPubKeySigned(address(wallet), 11, 12, 0, good);
    }

    function _refused(uint256 x, uint256 y, uint32 nonce, bytes memory by) private {
        vm.expectRevert(
            abi.encodeWithSelector(IKeyRecorder.SignatureRefused.selector, address(wallet))
        );
        spokeKeys.setAuthPubKeySigned(address(wallet), x, y, nonce, by);
    }

    /// Two wallets of one owner that take signatures as they are: what he signed for one, and what he
    /// published as a key pair, does not serve the other.
    function testASignatureServesOneOwner() public {
        address mine = address(new Plain(vm.addr(KEY)));
        address shared = address(new Plain(vm.addr(KEY)));
        bytes memory by = signature(KEY, _contractDigest(shared, 666, 667, 0));
        spokeKeys.setAuthPubKeySigned(shared, 666, 667, 0, by);
        bytes memory refused = abi.encodeWithSelector(IKeyRecorder.SignatureRefused.selector, mine);
        vm.expectRevert(refused);
        spokeKeys.setAuthPubKeySigned(mine, 666, 667, 0, by);
        bytes[] memory published = new bytes[](1);
        published[0] = signature(KEY, _digest(31, 32, 4, 0));
        commitWith(spoke, 1, _change(vm.addr(KEY), 0, 31, 32), published);
        vm.expectRevert(refused);
        spokeKeys.setAuthPubKeySigned(mine, 31, 32, 0, published[0]);
    }

    /// Wrong keys that were recorded lock nobody out, and none is recorded that cannot be one.
    function testAMistakeIsMended() public {
        vm.startPrank(address(wallet));
        uint256 most = type(uint256).max;
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.BadKey.selector, most, 1));
        spokeKeys.setAuthPubKey(SPOKE, most, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.BadKey.selector, 1, Field.MODULUS));
        spokeKeys.setAuthPubKey(SPOKE, 1, Field.MODULUS, 0);
        spokeKeys.setAuthPubKey(SPOKE, 13, 12, 0);
        spokeKeys.setAuthPubKey(SPOKE, 11, 12, 0);
        vm.stopPrank();
        commitWith(spoke, 1, _change(address(wallet), SPOKE, 11, 12), new bytes[](1));
    }

    /// Only the exact answer counts: tokens and fallbacks that answer anything do not confirm.
    function testOnlyTheExactAnswerConfirms() public {
        bytes[4] memory answers = [
            bytes(""),
            abi.encodePacked(MAGIC),
            abi.encode(bytes32(uint256(1))),
            abi.encode(bytes32(MAGIC) | bytes32(uint256(1)))
        ];
        for (uint256 i = 0; i < 4; ++i) {
            address owner = address(new Answering(answers[i]));
            vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.SignatureRefused.selector, owner));
            spokeKeys.setAuthPubKeySigned(owner, 11, 12, 0, "");
        }
        address good = address(new Answering(abi.encode(bytes32(MAGIC))));
        spokeKeys.setAuthPubKeySigned(good, 11, 12, 0, "");
    }

    /// A wallet that is not made yet owns deposits already; its key comes when it is there.
    function testACounterfactualWallet() public {
        bytes memory creation =
            abi.encodePacked(type(Wallet).creationCode, abi.encode(vm.addr(KEY)));
        bytes32 hash =
            keccak256(abi.encodePacked(hex"ff", address(this), bytes32(0), keccak256(creation)));
        address later = address(uint160(uint256(hash)));
        vm.deal(address(this), 5);
        spoke.depositNative{value: 5}(padded(later), SPOKE, 0);
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.NoContract.selector, later));
        spokeKeys.setAuthPubKeySigned(later, 11, 12, 0, "");
        assembly {
            pop(create2(0, add(creation, 32), mload(creation), 0))
        }
        vm.prank(vm.addr(KEY));
        Wallet(later)
            .execute(
                address(spokeKeys), abi.encodeCall(IKeyRecorder.setAuthPubKey, (SPOKE, 11, 12, 0))
            );
        bytes32[] memory words = Words.join(
            Words.depositOf(SPOKE, 4, 0, NATIVE, 5, padded(later), SPOKE, 0),
            _change(later, SPOKE, 11, 12)
        );
        commitWith(spoke, 1, words, new bytes[](1));
    }

    /// Home 0 is a key pair, which sends the transaction itself. A contract never can, not even with
    /// a key pair behind it.
    function testAContractIsNoKeyPair() public {
        bytes memory call = abi.encodeCall(IKeyRecorder.setAuthPubKey, (0, 11, 12, 0));
        address owner = vm.addr(KEY);
        vm.prank(owner, owner);
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.NotAKeyPair.selector, address(wallet)));
        wallet.execute(address(spokeKeys), call);
    }

    /// An account of EIP-7702 is a key pair with code. Its own transaction counts; a call that
    /// somebody else's transaction makes through its code does not, for home 0. For this chain as
    /// home it does: there its code speaks for it, as for every contract.
    function testADelegatedAccount() public {
        address account = vm.addr(KEY);
        vm.etch(account, address(new Delegate()).code);
        bytes memory call = abi.encodeCall(IKeyRecorder.setAuthPubKey, (0, 11, 12, 0));
        address sponsor = address(0x5b0);
        vm.prank(sponsor, sponsor);
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.NotAKeyPair.selector, account));
        Delegate(account).execute(address(spokeKeys), call);
        vm.prank(account, account);
        spokeKeys.setAuthPubKey(0, 11, 12, 0);
        call = abi.encodeCall(IKeyRecorder.setAuthPubKey, (SPOKE, 21, 22, 0));
        vm.prank(sponsor, sponsor);
        Delegate(account).execute(address(spokeKeys), call);
        // Two owners with one address, each with its own key.
        bytes32[] memory words = Words.join(
            _change(account, 0, 11, 12),
            Words.changePubKeyOf(SPOKE, 5, 0, padded(account), SPOKE, 21, 22)
        );
        commitWith(spoke, 1, words, new bytes[](2));
        // And the key pair can sign as ever.
        bytes[] memory witness = new bytes[](1);
        witness[0] = signature(KEY, _digest(31, 32, 4, 0));
        commitWith(spoke, 2, _change(account, 0, 31, 32), witness);
    }

    function testHomesAreZeroAndThisChain() public {
        vm.startPrank(address(wallet));
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.BadHome.selector, HUB));
        spokeKeys.setAuthPubKey(HUB, 11, 12, 0);
        spokeKeys.setAuthPubKey(SPOKE, 11, 12, 0);
        vm.stopPrank();
        vm.assertTrue(spokeKeys.isRecorded(SPOKE, address(wallet), 11, 12, 0), "as a contract");
        vm.assertTrue(!spokeKeys.isRecorded(0, address(wallet), 11, 12, 0), "not as a key pair");
    }

    /// A contract has no signature in a commit, though its address may have a key.
    function testAContractsWitnessIsEmpty() public {
        address owner = vm.addr(KEY);
        bytes[] memory witness = new bytes[](1);
        witness[0] = signature(KEY, _digest(11, 12, 4, 0));
        bytes32[] memory words = _change(owner, SPOKE, 11, 12);
        _commitRefused(
            words, witness, abi.encodeWithSelector(IKeyRecorder.WitnessLength.selector, 0, 65)
        );
        commitWith(spoke, 1, _change(owner, 0, 11, 12), witness);
    }

    function _commitRefused(bytes32[] memory words, bytes[] memory witness, bytes memory reason)
        private
    {
        OperationsCommit[] memory blocks = one(1, words, witness);
        vm.prank(validator);
        vm.expectRevert(reason);
        spoke.commit(0, blocks);
    }

    function testAForeignHomeIsRefused() public {
        vm.prank(address(wallet));
        spokeKeys.setAuthPubKey(SPOKE, 11, 12, 0);
        for (uint8 home = 0; home < 64; home += 21) {
            if (home == 0) continue;
            _commitRefused(
                _change(address(wallet), home, 11, 12),
                new bytes[](1),
                abi.encodeWithSelector(IKeyRecorder.ForeignHome.selector, 0, home)
            );
        }
        _commitRefused(
            _change(address(wallet), 0, 11, 12),
            new bytes[](1),
            abi.encodeWithSelector(IKeyRecorder.KeyNotAuthorised.selector, 0, address(wallet), 0)
        );
    }

    function testTheDomainIsTheSpecifiedOne() public view {
        bytes32 expected = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("zkLink"),
                keccak256("1"),
                block.chainid,
                address(spoke)
            )
        );
        eq(spokeKeys.domainSeparator(), expected, "domain");
    }

    function testWitnessesMatchTheKeyChanges() public {
        address owner = address(0xa11ce);
        bytes32 wide = bytes32(uint256(1) << 160);
        vm.prank(owner, owner);
        spokeKeys.setAuthPubKey(0, 11, 12, 5);
        bytes32[] memory words = Words.changePubKey(SPOKE, 1, 5, padded(owner), 11, 12);
        _commitRefused(
            words, new bytes[](0), abi.encodeWithSelector(IRollup.WitnessCount.selector, 1, 0)
        );
        _commitRefused(
            words, new bytes[](2), abi.encodeWithSelector(IRollup.WitnessCount.selector, 1, 2)
        );
        _commitRefused(
            Words.changePubKey(SPOKE, 1, 5, wide, 11, 12),
            new bytes[](1),
            abi.encodeWithSelector(IRollup.NotAnAddress.selector, 0, wide)
        );
    }

    function _change(address owner, uint8 home, uint256 x, uint256 y)
        private
        pure
        returns (bytes32[] memory)
    {
        return Words.changePubKeyOf(SPOKE, 4, 0, padded(owner), home, x, y);
    }

    function _walletSignature(uint256 x, uint256 y, uint32 nonce)
        private
        view
        returns (bytes memory)
    {
        bytes32 digest = wallet.wrapped(_contractDigest(address(wallet), x, y, nonce));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, digest);
        return abi.encode(r, s, v);
    }

    function _contractDigest(address owner, uint256 x, uint256 y, uint32 nonce)
        private
        view
        returns (bytes32)
    {
        bytes32 kind = keccak256(
            "ContractPubKey(address owner,uint8 home,uint256 keyX,uint256 keyY,uint32 nonce)"
        );
        bytes32 inner = keccak256(abi.encode(kind, owner, SPOKE, x, y, nonce));
        return keccak256(abi.encodePacked(hex"1901", spokeKeys.domainSeparator(), inner));
    }

    function _digest(uint256 x, uint256 y, uint32 account, uint32 nonce)
        private
        view
        returns (bytes32)
    {
        bytes32 kind =
            keccak256("ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)");
        bytes32 inner = keccak256(abi.encode(kind, x, y, account, nonce));
        return keccak256(abi.encodePacked(hex"1901", spokeKeys.domainSeparator(), inner));
    }
}
