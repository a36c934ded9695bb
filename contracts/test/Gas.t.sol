// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, BlockProof, IHub} from "../src/interfaces/IHub.sol";
import {IKeyRecorder} from "../src/interfaces/IKeyRecorder.sol";
import {IRollup, OperationsCommit, Portion} from "../src/interfaces/IRollup.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Field} from "../src/libraries/Field.sol";
import {Prover} from "./base/Prover.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

/// @dev What each step costs as a transaction of its own: the 21,000, calldata, and the floor of
///      EIP-7623 included, refunds not; every access is cold. forge writes the figures to
///      snapshots/gas.json, and compares with that file instead when FORGE_SNAPSHOT_CHECK is set,
///      as npm test does. Words are as random as they can be: that is the dearest calldata.
contract GasTest is World {
    address private constant ALICE = address(0xa11ce);

    function _registerShapes() internal override {
        super._registerShapes();
        registerShape(5, 4096, 4096);
    }

    function testGasDeposits() public {
        bytes memory call = abi.encodeCall(IRollup.depositNative, (padded(ALICE), 0, 3));
        depositNative(spoke, ALICE, 1);
        vm.deal(address(this), 1);
        _measure("deposit native", address(spoke), address(this), 1, call);
        usd.mint(address(this), 20);
        usd.approve(address(spoke), 20);
        spoke.depositERC20(T(USD), 10, padded(ALICE), 0, 3);
        call = abi.encodeCall(IRollup.depositERC20, (T(USD), 10, padded(ALICE), 0, 3));
        _measure("deposit token", address(spoke), address(this), 0, call);
        call = abi.encodeCall(IKeyRecorder.setAuthPubKey, (SPOKE, 1, 2, 0));
        _measure("set key", address(spokeKeys), ALICE, 0, call);
    }

    // ----------------------------------------------------------------- commits

    function testGasHubCommits() public {
        uint256[3] memory sizes = [uint256(8), 100, 1000];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 n = sizes[i];
            string memory count = vm.toString(n);
            _commitHub(string.concat("hub commit, transfers ", count), new bytes32[](0), _data(n));
            bytes32[] memory words = _withdrawals(n, 1);
            _commitHub(string.concat("hub commit, withdrawals ", count), words, new bytes32[](0));
            words = _depositWords(n);
            _commitHub(string.concat("hub commit, deposits ", count), words, new bytes32[](0));
        }
    }

    function testGasSpokeCommits() public {
        uint256[3] memory sizes = [uint256(8), 100, 1000];
        uint32 number = 0;
        for (uint256 i = 0; i < 3; ++i) {
            uint256 n = sizes[i];
            string memory count = vm.toString(n);
            bytes32[] memory words = _withdrawals(n, 1);
            _commitSpoke(string.concat("spoke commit, withdrawals ", count), ++number, words);
            words = _depositWords(n);
            for (uint256 k = 0; k < n; ++k) {
                uint128 raw = _amount(k);
                vm.deal(address(this), raw);
                spoke.depositNative{value: raw}(padded(_someone(k)), 0, 3);
            }
            _commitSpoke(string.concat("spoke commit, deposits ", count), ++number, words);
        }
    }

    // ------------------------------------------------- transfers, the bar of it

    /// Four blocks of 250 transfers of random amounts, of one shape: all that the hub takes for
    /// them, in two ways.
    function testGasThousandTransfers() public {
        BlockCommit[] memory blocks = _fourBlocks(250);
        uint256 commit_ = _measure(
            "1000 transfers, commitBlocks (4)",
            address(hub),
            validator,
            0,
            abi.encodeCall(IHub.commitBlocks, (blocks))
        );
        uint256 prove_ = _proveFour("1000 transfers, proveBlocks (4)", committedInputs());
        uint256 release = _releaseFour("1000 transfers, releaseBlocks (4)");
        uint256 apart = commit_ + prove_ + release;
        vm.snapshotValue("gas", "1000 transfers, apart, each", apart / 1000);
    }

    function testGasThousandTransfersAtOnce() public {
        BlockCommit[] memory blocks = _fourBlocks(250);
        bytes[] memory proofs = new bytes[](4);
        uint256[4][] memory inputs = commitBlocks(blocks);
        for (uint256 i = 0; i < 4; ++i) {
            proofs[i] = Prover.prove(inputs[i]);
        }
        vm.prank(validator);
        hub.revertBlocks(N(0));
        bytes memory call = abi.encodeCall(IHub.commitAndProve, (blocks, proofs));
        uint256 used =
            _measure("1000 transfers, commitAndProve (4)", address(hub), validator, 0, call);
        used += _releaseFour("1000 transfers, releaseBlocks (4), then");
        vm.snapshotValue("gas", "1000 transfers, at once, each", used / 1000);
    }

    // ------------------------------------------------------------------ proofs

    function testGasProofs() public {
        uint256[4] memory inputs = commitBlock(_block(0, GENESIS, 5, new bytes32[](0), _data(8)));
        bytes memory call =
            abi.encodeCall(IHub.proveBlocks, (N(1), oneProof(inputs, Prover.prove(inputs))));
        _measure("prove 1", address(hub), ALICE, 0, call);
    }

    function testGasProofsOfOneShape() public {
        _proveFour("prove 4, one shape", _commitFour([uint256(5), 5, 5, 5]));
    }

    /// Two keys, two blocks each.
    function testGasProofsOfTwoShapes() public {
        verifier = IVerifier(deploy("Groth16Verifier", abi.encode(Prover.key())));
        registerShape(7, 4096, 4096);
        vm.warp(block.timestamp + 37 days);
        _proveFour("prove 4, two shapes", _commitFour([uint256(5), 7, 5, 7]));
    }

    // ---------------------------------------------- acks, releases and payouts

    function testGasMessages() public {
        bytes32[] memory words = _withdrawals(8, 1);
        commit(spoke, 1, words);
        uint256[4] memory inputs = commitBlock(nextBlock(bytes32(uint256(0x700f)), words));
        prove(1, inputs);
        bytes32 rolling = spoke.rolling();
        bytes memory call = abi.encodeCall(IRollup.ack, (N(1), rolling));
        _measure("ack", address(spoke), ALICE, 0, call);
        bytes memory payload = ackPayload(SPOKE, 1, rolling);
        call = _deliverCall(hubOracle.digest(C(SPOKE), 0, payload), SPOKE, payload);
        _measure("deliver ack, 2 signatures", address(hubOracle), ALICE, 0, call);
        call = abi.encodeCall(IHub.releaseBlocks, (N(1)));
        _measure("release", address(hub), ALICE, 0, call);
        call = abi.encodeCall(IHub.sendRelease, (C(SPOKE)));
        _measure("send release", address(hub), ALICE, 0, call);
        payload = releasePayload(1, bytes32(uint256(0x700f)), rolling);
        call = _deliverCall(spokeOracle.digest(C(HUB), 0, payload), HUB, payload);
        _measure("deliver release, 2 signatures", address(spokeOracle), ALICE, 0, call);
    }

    function _deliverCall(bytes32 digest, uint8 source, bytes memory payload)
        private
        view
        returns (bytes memory)
    {
        (bytes[] memory payloads, bytes[][] memory lists) = oneMessage(payload, sign(digest, 2));
        return abi.encodeCall(spokeOracle.deliver, (C(source), 0, payloads, lists));
    }

    function testGasPayouts() public {
        depositNative(spoke, ALICE, 1e30);
        depositUsd(spoke, ALICE, 1e20);
        bytes32[] memory words = Words.join(
            Words.deposit(SPOKE, 4, 3, NATIVE, 1e30, padded(ALICE)),
            Words.deposit(SPOKE, 4, 3, USD, 1e32, padded(ALICE))
        );
        _released(1, words);
        pay(spoke, 1, words);
        words = new bytes32[](0);
        for (uint256 i = 0; i < 32; ++i) {
            words = Words.join(words, _withdrawal(i, NATIVE, 0));
        }
        _released(2, words);
        bytes memory call = abi.encodeCall(IRollup.pay, (whole(2, words)));
        _measure("pay 32 of coins", address(spoke), ALICE, 0, call);
        words = new bytes32[](0);
        for (uint256 i = 0; i < 32; ++i) {
            words = Words.join(words, _withdrawal(i, USD, 12));
        }
        _released(3, words);
        call = abi.encodeCall(IRollup.pay, (whole(3, words)));
        _measure("pay 32 of a token", address(spoke), ALICE, 0, call);
    }

    function testGasDeployment() public {
        _deployment("deploy verifier (execution)", "Groth16Verifier", abi.encode(Prover.key()));
        _deployment("deploy hub (execution)", "Hub", abi.encode(params(HUB), GENESIS));
        _deployment("deploy rollup (execution)", "Rollup", abi.encode(params(SPOKE)));
    }

    function _deployment(string memory step, string memory name, bytes memory arguments) private {
        uint256 before = gasleft();
        deploy(name, arguments);
        vm.snapshotValue("gas", step, before - gasleft());
    }

    // ----------------------------------------------------------------- helpers

    /// Every access is cold, as in a transaction of its own.
    function _measure(
        string memory step,
        address to,
        address from,
        uint256 value,
        bytes memory data
    ) private returns (uint256 used) {
        _cool();
        vm.recordLogs();
        if (from != address(this)) vm.prank(from);
        bool ok;
        assembly {
            // Without a copy of the call, which would be paid for here.
            let before := gas()
            ok := call(gas(), to, value, add(data, 32), mload(data), 0, 0)
            used := sub(before, gas())
        }
        used += 21_000;
        vm.assertTrue(ok, step);
        uint256 tokens = 0;
        for (uint256 i = 0; i < data.length; ++i) {
            tokens += data[i] == 0 ? 1 : 4;
        }
        used += 4 * tokens;
        uint256 floor = 21_000 + 10 * tokens;
        if (used < floor) used = floor;
        vm.snapshotValue("gas", step, used);
    }

    function _cool() private {
        vm.cool(address(spoke));
        vm.cool(address(near));
        vm.cool(address(hub));
        vm.cool(address(usd));
        vm.cool(address(verifier));
        vm.cool(verifier.keyStore());
        vm.cool(address(spokeOracle));
        vm.cool(address(hubOracle));
        vm.cool(address(spokeKeys));
    }

    function _commitHub(string memory step, bytes32[] memory words, bytes32[] memory data) private {
        BlockCommit[] memory blocks = new BlockCommit[](1);
        blocks[0] = _block(committedBlocks(), hub.root(), 5, words, data);
        _measure(step, address(hub), validator, 0, abi.encodeCall(IHub.commitBlocks, (blocks)));
    }

    function _commitSpoke(string memory step, uint32 number, bytes32[] memory words) private {
        OperationsCommit[] memory blocks = one(number, words, new bytes[](0));
        bytes memory call = abi.encodeCall(IRollup.commit, (spoke.rolling(), blocks));
        _measure(step, address(spoke), validator, 0, call);
    }

    function _commitFour(uint256[4] memory shapes) private returns (uint256[4][] memory) {
        BlockCommit[] memory blocks = new BlockCommit[](4);
        bytes32 old = GENESIS;
        for (uint32 i = 0; i < 4; ++i) {
            blocks[i] = _block(i, old, uint16(shapes[i]), new bytes32[](0), _data(8));
            old = blocks[i].onchain[1];
        }
        return commitBlocks(blocks);
    }

    function _fourBlocks(uint256 transfers) private view returns (BlockCommit[] memory blocks) {
        blocks = new BlockCommit[](4);
        bytes32 old = GENESIS;
        for (uint32 i = 0; i < 4; ++i) {
            blocks[i] = _block(i, old, 5, new bytes32[](0), _data(transfers));
            old = blocks[i].onchain[1];
        }
    }

    function _proveFour(string memory step, uint256[4][] memory inputs) private returns (uint256) {
        BlockProof[] memory proofs = new BlockProof[](4);
        for (uint256 i = 0; i < 4; ++i) {
            proofs[i] = BlockProof(inputs[i], Prover.prove(inputs[i]));
        }
        bytes memory call = abi.encodeCall(IHub.proveBlocks, (N(1), proofs));
        return _measure(step, address(hub), ALICE, 0, call);
    }

    function _releaseFour(string memory step) private returns (uint256) {
        bytes memory call = abi.encodeCall(IHub.releaseBlocks, (N(4)));
        return _measure(step, address(hub), ALICE, 0, call);
    }

    function _released(uint32 number, bytes32[] memory words) private {
        commit(spoke, number, words);
        ack(spoke, number);
        relay(hubOracle, spokeOracle, releasePayload(number, GENESIS, spoke.rolling()));
    }

    function _block(
        uint32 number,
        bytes32 oldRoot,
        uint16 shape,
        bytes32[] memory operations,
        bytes32[] memory data
    ) private view returns (BlockCommit memory info) {
        bytes32 root = bytes32(_random("root", number) % Field.MODULUS);
        info.d = _random("digest", number) % Field.MODULUS;
        uint64 time = uint64(block.timestamp);
        info.onchain = Words.join(Words.head(oldRoot, root, number + 1, time, shape), operations);
        info.data = data;
    }

    /// Transfers between random accounts, of random amounts of 120 bits.
    function _data(uint256 count) private pure returns (bytes32[] memory data) {
        data = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 r = _random("transfer", i);
            data[i] = Words.packed(
                abi.encodePacked(
                    uint8(4),
                    uint24(r),
                    uint8(0),
                    uint24(r >> 24),
                    uint8(0),
                    uint16(2),
                    uint128(uint120(r >> 48)),
                    uint16(r >> 200)
                )
            );
        }
    }

    function _withdrawals(uint256 count, uint16 token)
        private
        pure
        returns (bytes32[] memory words)
    {
        words = new bytes32[](2 * count);
        for (uint256 i = 0; i < count; ++i) {
            bytes32[] memory op = _withdrawal(i, token, 0);
            (words[2 * i], words[2 * i + 1]) = (op[0], op[1]);
        }
    }

    function _withdrawal(uint256 i, uint16 token, uint8 scale)
        private
        pure
        returns (bytes32[] memory)
    {
        uint24 account = uint24(_random("account", i));
        uint128 amount = uint128(uint64(_random("payout", i)));
        if (scale != 0) amount >>= 16;
        return Words.withdraw(SPOKE, account, token, amount, scale, padded(_someone(i)));
    }

    function _depositWords(uint256 count) private pure returns (bytes32[] memory words) {
        words = new bytes32[](2 * count);
        for (uint256 i = 0; i < count; ++i) {
            uint24 account = uint24(_random("account", i));
            bytes32[] memory op =
                Words.deposit(SPOKE, account, 3, NATIVE, _amount(i), padded(_someone(i)));
            (words[2 * i], words[2 * i + 1]) = (op[0], op[1]);
        }
    }

    function _amount(uint256 i) private pure returns (uint128) {
        return uint128(uint80(_random("amount", i))) + 1;
    }

    function _someone(uint256 i) private pure returns (address) {
        return address(uint160(_random("owner", i)));
    }

    function _random(string memory kind, uint256 i) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(kind, i)));
    }
}
