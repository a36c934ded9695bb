// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
import {IRollup} from "../src/interfaces/IRollup.sol";
import {Field} from "../src/libraries/Field.sol";
import {Prover} from "./base/Prover.sol";
import {Vm} from "./base/Vm.sol";
import {World} from "./base/World.sol";
import {Words} from "./base/Words.sol";

/// @dev What each step costs, calldata and the 21,000 of a transaction included. forge writes the
///      figures to snapshots/gas.json, and compares with that file instead when
///      FORGE_SNAPSHOT_CHECK is set, as npm test does.
contract GasTest is World {
    bytes32 private constant ROOT = bytes32(uint256(0x700f));
    address private constant ALICE = address(0xa11ce);

    function _registerShapes() internal override {
        super._registerShapes();
        vm.startPrank(governor);
        hub.registerShape(S(4), 259, 512, verifier);
        hub.registerShape(S(5), 1027, 4096, verifier);
        vm.stopPrank();
    }

    function testDeposits() public {
        bytes memory call = abi.encodeCall(IRollup.depositNative, (padded(ALICE), 3));
        vm.deal(address(this), 3);
        spoke.depositNative{value: 1}(padded(ALICE), 3);
        _measure("deposit native", address(spoke), address(this), 1, call);
        usd.mint(address(this), 20);
        usd.approve(address(spoke), 20);
        spoke.depositERC20(T(USD), 10, padded(ALICE), 3);
        call = abi.encodeCall(IRollup.depositERC20, (T(USD), 10, padded(ALICE), 3));
        _measure("deposit token", address(spoke), address(this), 0, call);
        call = abi.encodeCall(IRollup.setAuthPubKey, (1, 2, 0));
        _measure("set key", address(spoke), ALICE, 0, call);
    }

    /// A block of 8 deposits, 8 withdrawals (4 of coins) and 2 key changes for the spoke.
    function testSettlementOfEighteenOperations() public {
        bytes32[] memory words = _operations();
        bytes[] memory witnesses = new bytes[](2);
        address owner = vm.addr(7);
        witnesses[0] = signature(7, _digest(0));
        witnesses[1] = signature(7, _digest(1));
        words = Words.join(words, Words.changePubKey(SPOKE, 4, 0, padded(owner), 1, 2));
        words = Words.join(words, Words.changePubKey(SPOKE, 4, 1, padded(owner), 1, 2));
        bytes memory call = abi.encodeCall(IRollup.commit, (N(1), 0, words, witnesses));
        _measure("commit 18 operations", address(spoke), validator, 0, call);
        BlockCommit memory info = _block(4, words, 259, 512, 0);
        call = abi.encodeCall(IHub.commitBlock, (info));
        vm.recordLogs();
        _measure("commitBlock 259 + 512 words", address(hub), validator, 0, call);
        uint256[4] memory inputs = _inputs();
        call = abi.encodeCall(IHub.proveBlock, (N(1), inputs, Prover.prove(inputs)));
        _measure("proveBlock", address(hub), ALICE, 0, call);
        call = abi.encodeCall(IRollup.ack, (N(1), spoke.rolling()));
        _measure("ack", address(spoke), ALICE, 0, call);
        relay(spokeOracle, hubOracle, ackPayload(SPOKE, 1, spoke.rolling()));
        _measure(
            "releaseBlock, 1 spoke",
            address(hub),
            ALICE,
            0,
            abi.encodeCall(IHub.releaseBlock, (N(1)))
        );
        bytes memory payload = releasePayload(1, ROOT, spoke.rolling());
        bytes[] memory signatures = sign(spokeOracle.digest(C(HUB), 0, payload), 2);
        call = abi.encodeCall(spokeOracle.deliver, (C(HUB), 0, payload, signatures));
        _measure("deliver release, 2 signatures", address(spokeOracle), ALICE, 0, call);
        call = abi.encodeCall(IRollup.pay, (N(1), words));
        _measure("pay 8 withdrawals", address(spoke), ALICE, 0, call);
    }

    function testFullBlock() public {
        BlockCommit memory info = _block(5, new bytes32[](0), 1027, 4096, 1);
        bytes memory call = abi.encodeCall(IHub.commitBlock, (info));
        _measure("commitBlock 1027 + 4096 words", address(hub), validator, 0, call);
    }

    function testDeployment() public {
        uint256 before = gasleft();
        deploy("Groth16Verifier", abi.encode(Prover.key()));
        vm.snapshotValue("gas", "deploy verifier (execution)", before - gasleft());
        before = gasleft();
        deploy("Hub", abi.encode(params(HUB), GENESIS));
        vm.snapshotValue("gas", "deploy hub (execution)", before - gasleft());
        before = gasleft();
        deploy("Rollup", abi.encode(params(SPOKE)));
        vm.snapshotValue("gas", "deploy rollup (execution)", before - gasleft());
    }

    /// Every access is cold, as in a transaction of its own.
    function _measure(
        string memory step,
        address to,
        address from,
        uint256 value,
        bytes memory call
    ) private {
        vm.cool(address(spoke));
        vm.cool(address(hub));
        vm.cool(address(usd));
        vm.cool(address(verifier));
        vm.cool(address(spokeOracle));
        vm.cool(address(hubOracle));
        if (from != address(this)) vm.prank(from);
        uint256 before = gasleft();
        (bool ok,) = to.call{value: value}(call);
        uint256 used = before - gasleft() + 21_000;
        vm.assertTrue(ok, step);
        for (uint256 i = 0; i < call.length; ++i) {
            used += call[i] == 0 ? 4 : 16;
        }
        vm.snapshotValue("gas", step, used);
    }

    function _operations() private returns (bytes32[] memory words) {
        words = new bytes32[](0);
        for (uint256 i = 0; i < 8; ++i) {
            bool coins = i < 4;
            if (coins) depositNative(spoke, ALICE, 10);
            else depositUsd(spoke, ALICE, 10);
            (uint16 id, uint128 amount) = coins ? (NATIVE, uint128(10)) : (USD, uint128(10e12));
            words = Words.join(words, Words.deposit(SPOKE, 4, 3, id, amount, padded(ALICE)));
        }
        for (uint256 i = 0; i < 8; ++i) {
            bytes32 owner = padded(address(uint160(0xb000 + i)));
            (uint16 id, uint8 scale) = i < 4 ? (NATIVE, 0) : (USD, 12);
            words = Words.join(words, Words.withdraw(SPOKE, 4, id, 7, scale, owner));
        }
    }

    function _block(
        uint16 shape,
        bytes32[] memory operations,
        uint256 onchain,
        uint256 data,
        uint256 seed
    ) private view returns (BlockCommit memory info) {
        info = nextBlockOf(shape, operations, onchain);
        info.data = new bytes32[](data);
        for (uint256 i = 0; i < data; ++i) {
            info.data[i] = bytes32(uint256(keccak256(abi.encode(seed, i))) >> 8);
        }
    }

    function nextBlockOf(uint16 shape, bytes32[] memory operations, uint256 onchain)
        private
        view
        returns (BlockCommit memory info)
    {
        info.number = N(committedBlocks() + 1);
        info.shape = S(shape);
        info.timestamp = uint64(block.timestamp);
        info.newRoot = ROOT;
        info.d = uint256(keccak256("digest")) % Field.MODULUS;
        bytes32[] memory head =
            Words.head(hub.root(), ROOT, committedBlocks() + 1, info.timestamp, shape);
        info.onchain = Words.padTo(Words.join(head, operations), onchain);
    }

    function _inputs() private returns (uint256[4] memory) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IHub.BlockCommitted.selector) continue;
            (, uint256 d, uint256 z, uint256 yData, uint256 yOnchain) =
                abi.decode(logs[i].data, (bytes32, uint256, uint256, uint256, uint256));
            return [d, z, yData, yOnchain];
        }
        revert("no block was committed");
    }

    function _digest(uint32 nonce) private view returns (bytes32) {
        bytes32 kind =
            keccak256("ChangePubKey(uint256 keyX,uint256 keyY,uint32 accountId,uint32 nonce)");
        bytes32 inner = keccak256(abi.encode(kind, 1, 2, 4, nonce));
        return keccak256(abi.encodePacked(hex"1901", spoke.domainSeparator(), inner));
    }
}
